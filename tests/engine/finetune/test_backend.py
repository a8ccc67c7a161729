"""The backend is chosen by what is installed, and says what is missing."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from engine.errors import EngineError, MissingExtra, ModelError
from engine.finetune.backend import choose_backend, load
from engine.finetune.settings import Backend, FinetuneSettings
from engine.offline import go_offline

ROOT = Path(__file__).parents[3]
TRL = FinetuneSettings(backend=Backend.TRL)


def break_import(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, statement: str) -> None:
    """Put an unsloth in front of the real one whose import runs `statement`."""
    (tmp_path / "unsloth.py").write_text(statement, encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "unsloth", raising=False)


def test_hub_is_switched_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """No library that is imported later reaches for the hub or sends statistics."""
    names = (
        "HF_HUB_OFFLINE",
        "TRANSFORMERS_OFFLINE",
        "HF_HUB_DISABLE_TELEMETRY",
        "UNSLOTH_DISABLE_STATISTICS",
    )
    for name in names:
        monkeypatch.delenv(name, raising=False)
    go_offline()
    assert [os.environ[name] for name in names] == ["1"] * 4


def test_unsloth_is_taken_where_it_imports(monkeypatch: pytest.MonkeyPatch) -> None:
    """AUTO and UNSLOTH agree then; TRL never asks."""
    monkeypatch.setitem(sys.modules, "unsloth", ModuleType("unsloth"))
    assert choose_backend(Backend.AUTO) is choose_backend(Backend.UNSLOTH) is Backend.UNSLOTH
    assert choose_backend(Backend.TRL) is Backend.TRL


def test_unsloth_is_missed_only_where_it_was_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """AUTO falls back to TRL; UNSLOTH says which extra brings it."""
    monkeypatch.setitem(sys.modules, "unsloth", None)
    assert choose_backend(Backend.AUTO) is Backend.TRL
    with pytest.raises(MissingExtra, match=r"unsloth is not installed; run: pip install 'tenken\[unsloth\]'"):
        choose_backend(Backend.UNSLOTH)


def test_unsloth_that_refuses_the_machine_is_quoted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Installed but unable is another error than missing, and has another remedy."""
    break_import(monkeypatch, tmp_path, "raise NotImplementedError('You need a GPU')")
    assert choose_backend(Backend.AUTO) is Backend.TRL
    with pytest.raises(EngineError, match=r"cannot run here \(You need a GPU\); set backend to trl"):
        choose_backend(Backend.UNSLOTH)


_WITHOUT = """
import sys
from pathlib import Path
from engine.errors import MissingExtra
from engine.finetune.backend import load
from engine.finetune.settings import Backend, FinetuneSettings
sys.modules[sys.argv[1]] = None
try:
    load(Path(sys.argv[2]), FinetuneSettings(backend=Backend.TRL))
except MissingExtra as error:
    print(error)
"""


@pytest.mark.parametrize("library", ["torch", "peft", "transformers"])
def test_missing_library_is_named(tmp_path: Path, library: str) -> None:
    """Training without its extra says how to install it.

    In a process of its own: transformers remembers for as long as it lives that there is no torch.
    """
    (tmp_path / "config.json").write_text("{}", encoding="utf-8")
    command = [sys.executable, "-c", _WITHOUT, library, str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == f"{library} is not installed; run: pip install 'tenken[train]'"


def test_directory_without_model_is_refused(tmp_path: Path) -> None:
    """A wrong directory is named before any library is loaded."""
    with pytest.raises(ModelError, match=r"is no model directory: config\.json is missing"):
        load(tmp_path, TRL)


@pytest.mark.train
@pytest.mark.parametrize("config", ["{}", "not JSON", '{"model_type": "gemma3_text"}'])
def test_damaged_model_is_refused(tmp_path: Path, config: str) -> None:
    """A configuration without weights, or one that cannot be read, names the directory."""
    (tmp_path / "config.json").write_text(config, encoding="utf-8")
    with pytest.raises(ModelError, match=f"{tmp_path} cannot be loaded"):
        load(tmp_path, TRL)
