"""What is said about a review as a whole."""

from __future__ import annotations

import pytest

from engine.findings import Category, Finding, Severity, verdict_of
from engine.formats.summaries import counts_line, coverage_line, origin_line, remarks, verdict_sentence
from engine.wire import FileCoverage, Language, Review, SkipReason, Timings

READ = FileCoverage(path="a.py", reviewed=True, lines=1200)
SKIPPED = FileCoverage(path="b.lock", reviewed=False, reason=SkipReason.LOCK_FILE)


def finding(severity: Severity) -> Finding:
    """Make a finding of a severity."""
    return Finding(
        path="a.py", line=1, end_line=1, severity=severity, category=Category.BUG, message="m", confidence=1
    )


def review(*severities: Severity, partial: bool = False, read: bool = True) -> Review:
    """Make a review with findings of these severities."""
    findings = [finding(severity) for severity in severities]
    coverage = (READ, SKIPPED) if read else (SKIPPED,)
    return Review(verdict=verdict_of(findings), findings=tuple(findings), coverage=coverage, partial=partial)


@pytest.mark.parametrize(
    ("shown", "sentence"),
    [
        (review(), "Nothing to report."),
        (review(partial=True), "No findings in the part that was reviewed."),
        (review(read=False), "No file was reviewed."),
        (review(Severity.MINOR), "A few remarks, nothing that has to be changed."),
        (review(Severity.MAJOR, partial=True), "Changes are needed."),
    ],
)
def test_verdict_sentence(shown: Review, sentence: str) -> None:
    """Only a whole review that read something is called clean."""
    assert verdict_sentence(shown) == sentence


def test_counts_start_with_the_worst() -> None:
    """Findings are counted by severity, the worst first."""
    shown = review(Severity.INFO, Severity.CRITICAL, Severity.INFO)
    assert counts_line(shown) == "3 findings: 1 critical, 2 info"
    assert counts_line(review()) == "0 findings"
    japanese = shown.model_copy(update={"language": Language.JA})
    assert counts_line(japanese) == "指摘 3 件: 致命的 1、情報 2"


def test_coverage() -> None:
    """What was read and what was not is always said."""
    assert coverage_line(review()) == "1 file reviewed, 1,200 lines read, 1 file not reviewed"


def test_remarks() -> None:
    """A reader is told of everything that is missing."""
    shown = review(partial=True).model_copy(update={"suppressed": 1, "malformed_replies": 2})
    assert len(list(remarks(shown))) == 3
    assert list(remarks(review())) == []


def test_origin_is_one_safe_line() -> None:
    """Model and adapter names can't act on a terminal."""
    made = {"base_model": "m\x1b[2J\n", "adapter": "a", "tool_version": "1", "timings": Timings(total=2.04)}
    assert origin_line(review().model_copy(update=made)) == "tenken 1, model m␛[2J , adapter a, 2.0 s"
