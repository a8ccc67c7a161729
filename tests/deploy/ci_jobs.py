"""GitLab's part in running a job of our templates: inputs filled in, variables set, the script in a shell."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
TEMPLATES = ROOT / "deploy" / "gitlab-ci" / "templates"
FAKE_MODEL = ROOT / "tests" / "e2e" / "tenken_with_fake_model.py"
_INPUT = re.compile(r"\$\[\[ inputs\.([\w-]+) \]\]")
_RECORDING = """\
#!{python}
import json, os, sys
with open(os.environ["CALLS"], "a") as file:
    file.write(json.dumps([os.path.basename(sys.argv[0]), *sys.argv[1:]]) + "\\n")
if "pack" in sys.argv[1:2]:
    os.makedirs(sys.argv[sys.argv.index("--out") + 1])
if "publish" in sys.argv[1:2]:
    print("sent: all\\nteam-0123456789ab")
sys.exit(int(os.environ.get("EXIT_" + sys.argv[1].upper(), "0")))
"""
_REAL = """\
#!/bin/sh
PYTHONPATH="{root}" exec "{python}" {what} "$@"
"""


def read(name: str) -> tuple[dict[str, Any], str]:
    """Return a template's inputs, and the text below its header."""
    header, _, body = (TEMPLATES / f"{name}.yml").read_text("utf-8").partition("\n---\n")
    inputs: dict[str, Any] = yaml.safe_load(header)["spec"]["inputs"]
    return inputs, body


def filled(name: str, **given: object) -> dict[str, Any]:
    """Return a template's jobs with `given` inputs (a hyphen is an underscore here), others by default.

    As GitLab does it: a value that is an input and nothing else keeps the input's type.
    """
    inputs, body = read(name)
    values = {key: entry["default"] for key, entry in inputs.items() if "default" in entry}
    values |= {key.replace("_", "-"): value for key, value in given.items()}

    def fill(node: Any) -> Any:
        if isinstance(node, dict):
            return {fill(key): fill(value) for key, value in node.items()}
        if isinstance(node, list):
            return [fill(value) for value in node]
        if not isinstance(node, str):
            return node
        if whole := _INPUT.fullmatch(node):
            return values[whole[1]]
        return _INPUT.sub(lambda match: str(values[match[1]]), node)

    filled_in: dict[str, Any] = fill(yaml.safe_load(body))
    return filled_in


def job(jobs: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Return a job with what it extends."""
    own = dict(jobs[name])
    parent = job(jobs, own.pop("extends")) if "extends" in own else {}
    return parent | own | {"variables": parent.get("variables", {}) | own.get("variables", {})}


def script(found: Mapping[str, Any]) -> str:
    """Return a job's script; a line's failure ends it."""
    return "set -e\n" + "\n".join(found["script"]) + "\n"


def tools(folder: Path, *, real: bool) -> Path:
    """Return a folder with the commands `tenken` and `tenken-train`: our own, or ones that note calls."""
    folder.mkdir()
    for name, what in (("tenken", str(FAKE_MODEL)), ("tenken-train", "-m training")):
        form = _REAL if real else _RECORDING
        path = folder / name
        path.write_text(form.format(python=sys.executable, root=ROOT, what=what))
        path.chmod(0o755)
    return folder


def run(
    found: Mapping[str, Any], folder: Path, path: Path, **variables: str
) -> subprocess.CompletedProcess[str]:
    """Run a job's script in `folder`, its variables expanded, the commands of `path` before all others."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("CI_", "ENGINE_", "TENKEN_", "GIT_", "COLUMNS"))
    }
    environment = kept | {"PATH": f"{path}:{os.environ['PATH']}", "GIT_CONFIG_NOSYSTEM": "1"} | variables
    for name, value in found["variables"].items():
        environment.setdefault(
            name, re.sub(r"\$(\w+)", lambda match: variables.get(match[1], ""), str(value))
        )
    return subprocess.run(
        ["sh", "-c", script(found)], cwd=folder, env=environment, capture_output=True, text=True, timeout=300
    )


def calls(file: Path) -> list[list[str]]:
    """Return the commands that were noted."""
    return [json.loads(line) for line in file.read_text("utf-8").splitlines()] if file.exists() else []
