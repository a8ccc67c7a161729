"""Every program keeps its libraries from calling out, and the documentation says how."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from engine.offline import SWITCHES, go_offline

ROOT = Path(__file__).parents[2]
SAYS = """
import json, os, sys
sys.argv = ["tenken", "--help"]
from {module}.__main__ import main
try:
    main(["--help"])
except SystemExit:
    print(json.dumps(dict(os.environ)), file=sys.stderr)
"""


def test_what_was_set_before_does_not_count() -> None:
    """A variable of the machine cannot switch anything on again, and DBOS' cloud is forgotten."""
    environment = {"HF_HUB_OFFLINE": "0", "DBOS__OTLP_TRACES_ENDPOINT": "https://example.com", "PATH": "/bin"}
    go_offline(environment)
    assert environment == {**SWITCHES, "PATH": "/bin"}


@pytest.mark.parametrize("module", ["engine", "bot", "lsp", "training"])
def test_each_program_switches_them_off_first(module: str) -> None:
    """Before it does anything, whatever it is asked for; so all that it starts inherits them."""
    kept = {name: value for name, value in os.environ.items() if name not in SWITCHES}
    done = subprocess.run(
        [sys.executable, "-c", SAYS.format(module=module)], cwd=ROOT, text=True, capture_output=True,
        env={**kept, "PYTHONPATH": str(ROOT), "TRANSFORMERS_OFFLINE": "0"}, check=False, timeout=60,
    )  # fmt: skip
    assert SWITCHES.items() <= json.loads(done.stderr.splitlines()[-1]).items()


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
    done = subprocess.run(command, cwd=ROOT, text=True, capture_output=True, check=True, timeout=60)
    assert done.stdout.split() == ["True"] * 3
