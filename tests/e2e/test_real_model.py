"""The whole command with the real Gemma 3 270M: what the README promises."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from engine.diffs import LineKind
from engine.parsing import parse_diff

pytestmark = pytest.mark.model

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "tests" / "data" / "example.diff"


@pytest.fixture(scope="module")
def reviewed(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, dict[str, object]]:
    """What one review of the example prints in a home that has never seen Tenken, and its JSON."""
    home = tmp_path_factory.mktemp("home")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("ENGINE_", "XDG_"))}
    done = subprocess.run(
        [sys.executable, "-m", "engine", "review", "--diff", str(EXAMPLE), "--report", "json=report.json"],
        cwd=home,
        env=kept | {"HOME": str(home), "PYTHONPATH": str(ROOT), "COLUMNS": "100"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout, json.loads((home / "report.json").read_text("utf-8"))


@pytest.fixture
def report(reviewed: tuple[str, dict[str, object]]) -> dict[str, object]:
    return reviewed[1]


def test_the_readme_shows_what_is_printed(reviewed: tuple[str, dict[str, object]]) -> None:
    """Places, kinds, fingerprints, code, counts; another processor may round to other words and percents."""
    (shown,) = re.findall(r"^```\n(▲.*?)^```$", (ROOT / "README.md").read_text("utf-8"), re.M | re.S)
    assert _sure_of(shown) == _sure_of(reviewed[0])
    assert len(_sure_of(shown)) > 25


def _sure_of(text: str) -> list[str]:
    """Return the lines of a report that are no message, without percents and what was measured."""
    lines = (re.sub(r"\d+% sure", "", line).rstrip() for line in text.splitlines())
    return [line for line in lines if "│" in line or (line and not line.startswith(("tenken ", "  ")))]


def test_every_line_is_read(report: dict[str, object]) -> None:
    """Each added line of source code is scored, the document is skipped with a reason."""
    coverage = {file["path"]: file for file in report["coverage"]}  # type: ignore[attr-defined]
    assert coverage["docs/orders.md"]["reason"] == "unsupported"
    assert coverage["shop/orders.py"]["lines"] == 24
    assert not report["partial"]


def test_findings_are_valid_and_on_added_lines(report: dict[str, object]) -> None:
    """No reply is malformed and no finding leaves the diff."""
    added = {
        (file.new_path, line.new_number): line.text
        for file in parse_diff(EXAMPLE.read_text("utf-8"))
        for hunk in file.hunks
        for line in hunk.lines
        if line.kind is LineKind.ADDED
    }
    assert report["malformed_replies"] == 0
    for finding in report["findings"]:  # type: ignore[attr-defined]
        assert added[finding["path"], finding["line"]] == finding["code"]


def test_prompts_are_reused(report: dict[str, object]) -> None:
    """What was read for scoring is not read again for writing."""
    usage = report["usage"]
    assert not report["findings"] or usage["cached_tokens"] > 0  # type: ignore[index]
