"""SARIF beyond its schema: regions, fixes, addresses, messages and what was not reviewed."""

from __future__ import annotations

import json
from typing import Any

import pytest

from engine.findings import Category, Finding, Severity, Verdict
from engine.formats.sarif import render
from engine.wire import FileCoverage, Review, SkipReason


def finding(**changes: object) -> Finding:
    """Make a finding, changed as asked."""
    values: dict[str, object] = {
        "path": "src/a.py",
        "line": 3,
        "end_line": 4,
        "severity": Severity.MAJOR,
        "category": Category.SECURITY,
        "message": "Look.",
        "confidence": 0.875,
        "code": "a\nb",
        "fingerprint": "0123456789abcdef",
    }
    return Finding.model_validate(values | changes)


def run_of(*findings: Finding, coverage: tuple[FileCoverage, ...] = (), partial: bool = False) -> Any:
    """Return the one run of the log."""
    review = Review(
        verdict=Verdict.COMMENTS, findings=findings, coverage=coverage, partial=partial, tool_version="1.2.3"
    )
    return json.loads(render(review))["runs"][0]


def result_of(shown: Finding) -> Any:
    """Return the one result of the log."""
    return run_of(shown)["results"][0]


def test_result() -> None:
    """A finding's rule, level, place, fingerprint and code stand where viewers look for them."""
    result = result_of(finding())
    assert (result["ruleId"], result["level"], result["rank"]) == ("security", "error", 87.5)
    assert result["partialFingerprints"] == {"tenken/v1": "0123456789abcdef"}
    place = result["locations"][0]["physicalLocation"]
    assert place["artifactLocation"]["uri"] == "src/a.py"
    assert place["region"] == {"startLine": 3, "endLine": 4, "snippet": {"text": "a\nb"}}


def test_rules_are_the_categories() -> None:
    """Each result's index points at its rule."""
    for category in Category:
        run = run_of(finding(category=category))
        assert run["tool"]["driver"]["rules"][run["results"][0]["ruleIndex"]]["id"] == category


@pytest.mark.parametrize(
    ("severity", "level"), [("critical", "error"), ("major", "error"), ("minor", "warning"), ("info", "note")]
)
def test_levels(severity: str, level: str) -> None:
    """Four severities become three levels; the exact one is a property."""
    result = result_of(finding(severity=severity))
    assert (result["level"], result["properties"]["severity"]) == (level, severity)


def test_fix_replaces_whole_lines() -> None:
    """A suggestion replaces the lines up to, not including, the last one's newline."""
    change = result_of(finding(suggestion="x\ny\nz"))["fixes"][0]["artifactChanges"][0]
    assert change["artifactLocation"]["uri"] == "src/a.py"
    assert change["replacements"] == [
        {"deletedRegion": {"startLine": 3, "endLine": 4}, "insertedContent": {"text": "x\ny\nz"}}
    ]


def test_empty_suggestion_removes_the_lines() -> None:
    """Nothing as a suggestion removes the lines with their newline."""
    change = result_of(finding(suggestion=""))["fixes"][0]["artifactChanges"][0]
    region = {"startLine": 3, "startColumn": 1, "endLine": 5, "endColumn": 1}
    assert change["replacements"] == [{"deletedRegion": region}]


def test_no_suggestion_no_fix() -> None:
    """Without a suggestion there is no fix."""
    assert "fixes" not in result_of(finding())


@pytest.mark.parametrize(
    ("path", "uri"),
    [
        ("a b/ü#?%20.py", "a%20b/%C3%BC%23%3F%2520.py"),
        ("使い方.py", "%E4%BD%BF%E3%81%84%E6%96%B9.py"),
        ("javascript:alert(1)", "javascript%3Aalert%281%29"),
        ("//host/x", "%2F%2Fhost/x"),
        ("/etc/x", "%2Fetc/x"),
        ("c:\\x", "c%3A%5Cx"),
        ("a\nb", "a%0Ab"),
    ],
)
def test_paths_are_relative_references(path: str, uri: str) -> None:
    """A path is percent-encoded and can be no scheme, host or absolute path."""
    place = result_of(finding(path=path))["locations"][0]["physicalLocation"]
    assert place["artifactLocation"] == {"uri": uri, "uriBaseId": "%SRCROOT%"}


def test_message_is_neither_placeholder_nor_link() -> None:
    """Braces are doubled and a link is broken up, as the standard asks of literal text."""
    assert result_of(finding(message="{0} [a](1)"))["message"]["text"] == "{{0}} [a] (1)"


def test_what_was_not_reviewed_is_notified() -> None:
    """Skipped files are notes of the run, and a partial review is no success."""
    skipped = FileCoverage(path="x.lock", reviewed=False, reason=SkipReason.EXCLUDED, detail="*.lock")
    invocation = run_of(coverage=(skipped,), partial=True)["invocations"][0]
    partial, note = invocation["toolExecutionNotifications"]
    assert invocation["executionSuccessful"] is False
    assert partial["level"] == "warning"
    assert note["descriptor"] == {"id": "not-reviewed/excluded"}
    assert note["message"]["text"] == "Not reviewed: excluded by a path filter (*.lock)"
    assert note["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] == "x.lock"


def test_reviewed_files_are_artifacts() -> None:
    """A whole review is a success, and names the files it read once each."""
    read = FileCoverage(path="a.py", reviewed=True, lines=3)
    run = run_of(coverage=(read, read))
    assert run["invocations"] == [{"executionSuccessful": True, "toolExecutionNotifications": []}]
    assert [artifact["location"]["uri"] for artifact in run["artifacts"]] == ["a.py"]
