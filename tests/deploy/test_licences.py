"""Every dependency's licence is known, those that ask for more are explained, and the SBOM has them all."""

from __future__ import annotations

import importlib.util
import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "deploy" / "licences.py"
PAGE = (ROOT / "deploy" / "docs" / "licences.md").read_text("utf-8")
STRICT, _, ALL = PAGE.partition("## All")


def load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("licences", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


LICENCES: Any = load()


def direct() -> set[str]:
    """Return what pyproject.toml names for those who use the program."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    optional = project["optional-dependencies"]
    lines = [
        *project["dependencies"],
        *(line for name, lines in optional.items() if name != "dev" for line in lines),
    ]
    return {canonicalize_name(Requirement(line).name) for line in lines} - {"tenken"}


def rows(text: str) -> dict[str, list[str]]:
    found = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in text.splitlines()
        if line.startswith("| ")
    ]
    return {cells[0]: cells[1:] for cells in found if cells[0] not in ("package", "---")}


@pytest.mark.parametrize("name", sorted(direct()))
def test_every_dependency_has_a_row(name: str) -> None:
    """`make licences` adds it."""
    version, licence, by = rows(ALL)[name]
    assert version
    assert licence != "not stated"
    assert by


def test_versions_are_those_that_are_installed() -> None:
    """The table's are the constraints' of the same moment."""
    pinned = dict(line.split("==") for line in (ROOT / "constraints.txt").read_text("utf-8").split())
    known = {canonicalize_name(name): version for name, version in pinned.items()}
    wrong = {name: cells[0] for name, cells in rows(ALL).items() if known.get(name, cells[0]) != cells[0]}
    assert wrong == {}


def test_licences_that_ask_for_more_are_explained() -> None:
    """The AGPL and LGPL parts among them, each with what that means here."""
    explained = rows(STRICT)
    assert {"unsloth", "unsloth-zoo", "psycopg", "python-gitlab"} <= set(explained)
    assert "AGPL" in explained["unsloth"][0]
    assert all(note for _, note in explained.values())
    strict = re.compile(r"GPL|Lesser|MPL|Mozilla|Gemma", re.I)
    assert {name for name, cells in rows(ALL).items() if strict.search(cells[1])} == set(explained)


def test_the_page_is_what_the_script_writes() -> None:
    """But for versions and for what others have installed: the words above the tables, and the licences."""
    written = LICENCES.page()
    assert written.partition("| package")[0] == PAGE.partition("| package")[0]
    table = rows(written.partition("## All")[2])
    here = rows(ALL)
    both = set(table) & set(here)
    assert len(both) > 60
    differ = {name for name in both if table[name][0] == here[name][0] and table[name][1] != here[name][1]}
    assert differ == set()


def test_the_sbom_has_every_dependency(tmp_path: Path) -> None:
    """The command of `make sbom`, without its own check of the result, which takes a while."""
    pytest.importorskip("cyclonedx_py")
    (words,) = re.findall(r"cyclonedx-py (environment .*)", (ROOT / "Makefile").read_text("utf-8"))
    out = tmp_path / "sbom.cdx.json"
    words = words.replace("$(BIN)/python", sys.executable).replace("build/sbom.cdx.json", str(out))
    command = [sys.executable, "-m", "cyclonedx_py", *words.split(), "--no-validate"]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=300)
    made = json.loads(out.read_text("utf-8"))
    assert made["bomFormat"] == "CycloneDX"
    assert made["metadata"]["component"]["name"] == "tenken"
    components = {canonicalize_name(each["name"]): each for each in made["components"]}
    assert "pydantic" in components
    assert components["pydantic"]["purl"].startswith("pkg:pypi/pydantic@")
    installed = {name for name in direct() if _installed(name)}
    assert installed <= set(components)


def _installed(name: str) -> bool:
    try:
        return bool(LICENCES.metadata.distribution(name))
    except LICENCES.metadata.PackageNotFoundError:
        return False
