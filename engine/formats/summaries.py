"""What is said about a review as a whole, in words: shared by all formats made for people. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from engine.findings import Severity
from engine.sanitize import one_line
from engine.texts import TEXTS
from engine.wire import FileCoverage, Language, Review, SkipReason


def verdict_sentence(review: Review) -> str:
    """Return the review in a sentence; an incomplete or empty one is never called clean."""
    texts = TEXTS[review.language]
    if review.findings:
        return texts.verdict[review.verdict]
    if not any(file.reviewed for file in review.coverage):
        return texts.nothing_reviewed
    return texts.no_findings_in_part if review.partial else texts.verdict[review.verdict]


def severity_counts(review: Review) -> list[tuple[Severity, int]]:
    """Return how many findings there are of each severity that occurs, the worst first."""
    counts = {severity: 0 for severity in sorted(Severity, reverse=True)}
    for finding in review.findings:
        counts[finding.severity] += 1
    return [(severity, count) for severity, count in counts.items() if count]


def counts_line(review: Review) -> str:
    """Return e.g. `3 findings: 1 critical, 2 minor`."""
    texts = TEXTS[review.language]
    parts = [
        texts.severity_count.format(count=count, severity=texts.severity[severity])
        for severity, count in severity_counts(review)
    ]
    total = texts.findings(len(review.findings))
    return f"{total}: {texts.list_separator.join(parts)}" if parts else total


def coverage_line(review: Review) -> str:
    """Return e.g. `4 files reviewed, 120 lines read, 1 file not reviewed`."""
    texts = TEXTS[review.language]
    reviewed = [file for file in review.coverage if file.reviewed]
    parts = [texts.files_reviewed(len(reviewed)), texts.lines_scored(sum(file.lines for file in reviewed))]
    if skipped := len(review.coverage) - len(reviewed):
        parts.append(texts.files_skipped(skipped))
    return texts.list_separator.join(parts)


def remarks(review: Review) -> Iterator[str]:
    """Yield what a reader must know not to trust the review too much."""
    texts = TEXTS[review.language]
    if review.partial:
        yield texts.partial
    if review.suppressed:
        yield texts.suppressed(review.suppressed)
    if review.malformed_replies:
        yield texts.malformed(review.malformed_replies)


def origin_line(review: Review) -> str:
    """Return which model and adapter made the review, and how long it took. One line, safe to print."""
    texts = TEXTS[review.language]
    parts = [f"tenken {review.tool_version}".strip()]
    if review.base_model:
        parts.append(texts.model.format(model=review.base_model))
    if review.adapter:
        parts.append(texts.adapter.format(adapter=review.adapter))
    if review.timings.total:
        parts.append(texts.seconds.format(seconds=f"{review.timings.total:.1f}"))
    return one_line(texts.list_separator.join(parts))


def skipped_by_reason(review: Review) -> dict[SkipReason, list[FileCoverage]]:
    """Return the files that were not reviewed, by reason, in the order the reasons first occur."""
    groups: dict[SkipReason, list[FileCoverage]] = {}
    for file in review.coverage:
        if not file.reviewed:
            groups.setdefault(file.reason or SkipReason.UNSUPPORTED, []).append(file)
    return groups


def percent(confidence: float) -> str:
    """Return a probability as a whole percentage."""
    return f"{confidence:.0%}"


def confidence_phrase(confidence: float, language: Language) -> str:
    """Return e.g. `87% sure`; at most 99, since a model is never certain."""
    return TEXTS[language].confidence.format(percent=percent(min(0.99, confidence)))
