"""Code Quality beyond its schema."""

from __future__ import annotations

import json

from engine.findings import Category, Finding, Severity, Verdict, fingerprint
from engine.formats.code_quality import render
from engine.wire import Review


def finding(code: str = "x", mark: str = "0123456789abcdef", message: str = "Look.") -> Finding:
    """Make a finding with a fingerprint."""
    return Finding(
        path="src/使い方.py",
        line=3,
        end_line=4,
        severity=Severity.CRITICAL,
        category=Category.BUG,
        message=message,
        confidence=1,
        code=code,
        fingerprint=mark,
    )


def render_all(*findings: Finding) -> str:
    """Render a review of `findings`."""
    return render(Review(verdict=Verdict.COMMENTS, findings=findings, coverage=()))


def test_entry() -> None:
    """A finding's fields stand where GitLab looks for them; the path is not encoded."""
    assert json.loads(render_all(finding(message="Two\nlines."))) == [
        {
            "type": "issue",
            "check_name": "tenken-bug",
            "description": "Two lines.",
            "fingerprint": "0123456789abcdef",
            "severity": "critical",
            "location": {"path": "src/使い方.py", "lines": {"begin": 3, "end": 4}},
        }
    ]


def test_fingerprints_are_unique_and_stable() -> None:
    """Equal fingerprints are told apart by their order, in every run the same way."""
    marks = [entry["fingerprint"] for entry in json.loads(render_all(finding(), finding(), finding()))]
    assert marks[0] == "0123456789abcdef"
    assert len(set(marks)) == 3
    assert json.loads(render_all(finding(), finding()))[1]["fingerprint"] == marks[1]


def test_missing_fingerprint_is_made() -> None:
    """A finding without a fingerprint gets the one its code has."""
    entry = json.loads(render_all(finding(mark="")))[0]
    assert entry["fingerprint"] == fingerprint("src/使い方.py", "x", Category.BUG)


def test_no_byte_order_mark() -> None:
    """An empty report is an empty array; GitLab refuses a byte order mark."""
    assert render_all() == "[]\n"
