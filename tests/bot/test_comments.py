"""Notes of findings are golden: data/findings/*.json, each as shown at its line and apart from it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from bot.comments import CommentWriter, code_mark, fingerprint_of, marker_for
from bot.markers import Marker, MarkerKind
from engine.findings import Finding
from engine.wire import Language

FINDINGS = Path(__file__).parent / "data" / "findings"
CASES = sorted(path.stem for path in FINDINGS.glob("*.json"))
HEAD = "c" * 40


def load(case: str) -> tuple[Finding, CommentWriter, bool]:
    data = json.loads((FINDINGS / f"{case}.json").read_text("utf-8"))
    writer = CommentWriter(Language(data["language"]), HEAD, "team-0123456789ab")
    return Finding.model_validate(data["finding"]), writer, data["applicable"]


@pytest.mark.parametrize("case", CASES)
def test_notes_are_golden(case: str, golden: Callable[[Path, str], None]) -> None:
    """At its line a finding has its suggestion to apply; apart from it, it names place and code."""
    finding, writer, applicable = load(case)
    golden(FINDINGS / f"{case}.at-line.md", writer.at_line(finding, applicable=applicable) + "\n")
    golden(FINDINGS / f"{case}.apart.md", writer.apart(finding) + "\n")


def test_an_endless_message_is_cut() -> None:
    """GitLab refuses more than a million characters, and nobody reads as many."""
    finding, writer, _ = load("plain")
    endless = finding.model_copy(update={"message": "@a " * 1_000_000})
    note = writer.at_line(endless, applicable=False)
    assert len(note) < 100_000
    assert "…" in note


def test_the_marker_tells_what_a_later_review_needs() -> None:
    """Path, code and how many lines of it, who found it and where."""
    finding, _, _ = load("suggestion-of-several-lines")
    marker = marker_for(finding, HEAD, "team-0123456789ab")
    assert marker == Marker(MarkerKind.FINDING, finding.fingerprint)
    assert marker.info == {
        "path": "src/app.py",
        "code": code_mark("src/app.py", "if a:\n    b()\nc()"),
        "lines": "3",
        "category": "style",
        "severity": "info",
        "adapter": "team-0123456789ab",
        "head": HEAD,
    }


def test_a_path_with_a_secret_is_in_no_marker() -> None:
    """It would stand there in full, hidden from readers alone."""
    finding, _, _ = load("plain")
    secret = finding.model_copy(update={"path": "conf/AKIAIOSFODNN7EXAMPLE.py"})
    assert marker_for(secret, HEAD).info["path"] == ""


def test_a_finding_without_a_fingerprint_gets_one() -> None:
    """An engine that sends none is followed all the same."""
    finding, _, _ = load("plain")
    bare = finding.model_copy(update={"fingerprint": ""})
    assert len(fingerprint_of(bare)) == 16
    assert fingerprint_of(bare) != fingerprint_of(bare.model_copy(update={"code": "other"}))
