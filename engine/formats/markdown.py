"""A review as Markdown, for files, wikis and job summaries.

Messages, code and paths come from the model or a repository, so every one passes `engine.sanitize`.
"""

from __future__ import annotations

from collections.abc import Iterator

from engine.findings import Finding, Severity
from engine.formats.excerpts import LineLookup, RowKind, excerpt, no_lines
from engine.formats.summaries import (
    confidence_phrase,
    coverage_line,
    origin_line,
    remarks,
    severity_counts,
    skipped_by_reason,
    verdict_sentence,
)
from engine.languages import language_of
from engine.sanitize import code_span, fence, inline, prose
from engine.texts import TEXTS
from engine.wire import Language, Review

ICONS = {Severity.CRITICAL: "🔴", Severity.MAJOR: "🟠", Severity.MINOR: "🟡", Severity.INFO: "🔵"}

_SIGNS = {RowKind.REMOVED: "-", RowKind.ADDED: "+"}


def render(review: Review, line_at: LineLookup = no_lines) -> str:
    """Return the review as Markdown: verdict, table of counts, findings, what was not reviewed."""
    blocks = [f"## {TEXTS[review.language].title}", f"**{verdict_sentence(review)}** {coverage_line(review)}"]
    blocks.extend(f"> ⚠️ {remark}" for remark in remarks(review))
    if review.findings:
        blocks.append(_table(review))
    for finding in review.findings:
        blocks.extend(_finding(finding, review.language, line_at))
    blocks.extend(_skipped(review))
    blocks.append(f"---\n\n{inline(origin_line(review))}")
    return "\n\n".join(blocks) + "\n"


def _table(review: Review) -> str:
    texts = TEXTS[review.language]
    rows = [(f"{ICONS[severity]} {texts.severity[severity]}", n) for severity, n in severity_counts(review)]
    table = [(texts.findings(len(review.findings)), ""), ("---", "--:"), *rows]
    return "\n".join(f"| {left} | {right} |" for left, right in table)


def _finding(finding: Finding, language: Language, line_at: LineLookup) -> Iterator[str]:
    texts = TEXTS[language]
    kind = f"{texts.severity[finding.severity]} · {texts.category[finding.category]}"
    yield f"### {ICONS[finding.severity]} {kind} · {code_span(_place(finding))}"
    mark = f" · {code_span(finding.fingerprint)}" if finding.fingerprint else ""
    yield f"{prose(finding.message)}\n\n*{confidence_phrase(finding.confidence, language)}*{mark}"
    if finding.suggestion is not None:
        yield f"**{texts.suggestion}**\n\n{_diff(finding, line_at)}"
    elif finding.code:
        yield fence(finding.code, language_of(finding.path) or "")


def _place(finding: Finding) -> str:
    end = f"-{finding.end_line}" if finding.end_line > finding.line else ""
    return f"{finding.path}:{finding.line}{end}"


def _diff(finding: Finding, line_at: LineLookup) -> str:
    rows = excerpt(finding, line_at)
    return fence("\n".join(f"{_SIGNS.get(row.kind, ' ')}{row.text}" for row in rows), "diff")


def _skipped(review: Review) -> Iterator[str]:
    texts = TEXTS[review.language]
    rows = []
    for reason, files in skipped_by_reason(review).items():
        for file in files:
            detail = f" ({inline(file.detail)})" if file.detail else ""
            rows.append(f"- {code_span(file.path)}: {texts.skip_reason[reason]}{detail}")
    if rows:
        body = "\n".join(rows)
        yield f"<details><summary>{texts.files_skipped(len(rows))}</summary>\n\n{body}\n\n</details>"
