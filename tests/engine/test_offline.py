"""Every program keeps its libraries from calling out, and the documentation says how."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

from engine.offline import SWITCHES, go_offline

ROOT = Path(__file__).parents[2]


def test_what_was_set_before_does_not_count() -> None:
    """A variable of the machine cannot switch anything on again, and DBOS' cloud is forgotten."""
    environment = {"HF_HUB_OFFLINE": "0", "DBOS__OTLP_TRACES_ENDPOINT": "https://example.com", "PATH": "/bin"}
    go_offline(environment)
    assert environment == {**SWITCHES, "PATH": "/bin"}


@pytest.mark.parametrize("module", ["engine", "bot", "lsp", "training"])
def test_each_program_switches_them_off_first(module: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before it does anything, whatever it is asked for; so all that it starts inherits them."""
    for name in SWITCHES:
        monkeypatch.setenv(name, "0")
    with pytest.raises(SystemExit):
        import_module(f"{module}.__main__").main(["--help"])
    assert {name: os.environ[name] for name in SWITCHES} == SWITCHES


@pytest.mark.parametrize("name", SWITCHES)
def test_each_switch_is_documented(name: str) -> None:
    """With its value, in the table of what calls whom."""
    assert f"| `{name}` | `{SWITCHES[name]}` |" in (ROOT / "deploy" / "docs" / "egress.md").read_text("utf-8")


def test_the_libraries_read_them() -> None:
    """The switches for the hub are those that its library knows; a renamed one would be without effect."""
    pytest.importorskip("huggingface_hub")
    code = (
        "from engine.offline import go_offline; go_offline(); from huggingface_hub import constants as c;"
        "print(c.HF_HUB_OFFLINE, c.HF_HUB_DISABLE_TELEMETRY, c.HF_HUB_DISABLE_UPDATE_CHECK)"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=ROOT, text=True, capture_output=True, check=True, timeout=300)
    assert done.stdout.split() == ["True"] * 3
