"""`review_result.txt`: one line a finding, made for grep and for editors that jump to `path:line`.

Severity and category keep their machine names in every language; the summary below is in the review's own.
"""

from __future__ import annotations

from collections.abc import Iterator

from engine.findings import Finding
from engine.formats.excerpts import LineLookup, no_lines
from engine.formats.summaries import (
    counts_line,
    coverage_line,
    origin_line,
    remarks,
    skipped_by_reason,
    verdict_sentence,
)
from engine.sanitize import one_line
from engine.texts import TEXTS
from engine.wire import Review


def render(review: Review, line_at: LineLookup = no_lines) -> str:
    """Return `path:line: severity category: message [fingerprint]` for each finding, then a summary."""
    blocks = [[_finding(finding) for finding in review.findings], list(_skipped(review)), _summary(review)]
    return "\n\n".join("\n".join(block) for block in blocks if block) + "\n"


def _finding(finding: Finding) -> str:
    place = f"{one_line(finding.path)}:{finding.line}"
    mark = f" [{one_line(finding.fingerprint)}]" if finding.fingerprint else ""
    return f"{place}: {finding.severity} {finding.category}: {one_line(finding.message)}{mark}"


def _skipped(review: Review) -> Iterator[str]:
    texts = TEXTS[review.language]
    for reason, files in skipped_by_reason(review).items():
        for file in files:
            detail = f" ({one_line(file.detail)})" if file.detail else ""
            yield f"{one_line(file.path)}: {texts.skipped_heading}: {texts.skip_reason[reason]}{detail}"


def _summary(review: Review) -> list[str]:
    lines = [verdict_sentence(review), *remarks(review), coverage_line(review), origin_line(review)]
    return [counts_line(review), *lines] if review.findings else lines
