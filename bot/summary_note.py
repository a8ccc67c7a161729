"""A review's summary -> the Markdown of the one note that is updated in place. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum

from bot.comments import fingerprint_of, place
from bot.markers import SUMMARY, Marker, marked
from bot.masking import mask
from bot.review_texts import REVIEW_TEXTS, ReviewTexts
from engine.findings import Finding, Severity
from engine.formats.markdown import ICONS, coverage_details
from engine.formats.summaries import counts_line, coverage_line, origin_line, remarks, verdict_sentence
from engine.sanitize import code_span, inline
from engine.texts import TEXTS
from engine.wire import Review

MAX_ROWS = 100

_MAX_WORDS = 120
_URL = re.compile(r"https?://[\w.:~%/@-]+", re.ASCII)
_UNESCAPED_BAR = re.compile(r"(?<!\\)\|")


class State(Enum):
    """What became of a finding that a review reports."""

    NEW = "new"
    KNOWN = "known"
    DISMISSED = "dismissed"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a summary tells of beside the review itself."""

    head_sha: str
    since_sha: str = ""  # where only what changed since then was read
    web_url: str = ""  # of the merge request
    states: Mapping[str, State] | None = None  # by fingerprint
    note_ids: Mapping[str, int] | None = None  # by fingerprint
    settled: int = 0


def summary_note(review: Review, outcome: Outcome) -> str:
    """Return the note: verdict, findings with their threads, coverage, origin, how to answer."""
    texts = REVIEW_TEXTS[review.language]
    blocks = [f"## {TEXTS[review.language].title}", f"**{verdict_sentence(review)}** {coverage_line(review)}"]
    blocks.append(_commits(outcome, texts))
    blocks.extend(f"> ⚠️ {remark}" for remark in remarks(review))
    if review.findings:
        blocks += [counts_line(review), _table(review, outcome)]
    if outcome.settled:
        blocks.append(f"✅ {texts.settled(outcome.settled)}")
    blocks.extend(coverage_details(review, MAX_ROWS))
    if review.findings:
        blocks.append(_feedback(texts))
    blocks.append(f"---\n\n{inline(origin_line(review))}")
    marker = Marker(SUMMARY.kind, SUMMARY.id, {"head": outcome.head_sha, "adapter": review.adapter})
    return marked(mask("\n\n".join(blocks)), marker)


def _commits(outcome: Outcome, texts: ReviewTexts) -> str:
    parts = [texts.commit.format(commit=code_span(outcome.head_sha[:8]))]
    if outcome.since_sha:
        parts.append(texts.since.format(commit=code_span(outcome.since_sha[:8])))
    return " ".join(parts)


def _table(review: Review, outcome: Outcome) -> str:
    texts = REVIEW_TEXTS[review.language]
    # The worst first; those of one severity stay in the order of the files.
    findings = sorted(review.findings, key=lambda finding: -finding.severity.rank)
    rows = [_row(cells) for cells in (texts.columns, ("---",) * len(texts.columns))]
    rows += [_row(tuple(_cells(finding, review, outcome))) for finding in findings[:MAX_ROWS]]
    if len(findings) > MAX_ROWS:
        rows.append(_row((texts.more(len(findings) - MAX_ROWS), *[""] * (len(texts.columns) - 1))))
    return "\n".join(rows)


def _cells(finding: Finding, review: Review, outcome: Outcome) -> Iterator[str]:
    texts, key = REVIEW_TEXTS[review.language], fingerprint_of(finding)
    yield f"{ICONS[finding.severity]} {_severity(finding.severity, review)}"
    where, note = place(finding, review.language), (outcome.note_ids or {}).get(key)
    linked = note is not None and _URL.fullmatch(outcome.web_url)
    yield f"[{where}]({outcome.web_url}#note_{note})" if linked else where
    yield inline(mask(_short(finding.message)))
    state = (outcome.states or {}).get(key)
    yield getattr(texts, state.value) if state else ""


def _severity(severity: Severity, review: Review) -> str:
    return TEXTS[review.language].severity[severity]


def _short(message: str) -> str:
    first = message.strip().partition("\n")[0]
    return first if len(first) <= _MAX_WORDS else f"{first[:_MAX_WORDS].rstrip()}…"


def _row(cells: tuple[str, ...]) -> str:
    # In a table even a bar inside code ends the cell.
    return f"| {' | '.join(_UNESCAPED_BAR.sub(chr(92) + '|', cell) for cell in cells)} |"


def _feedback(texts: ReviewTexts) -> str:
    lines = "\n".join(f"- {line}" for line in texts.feedback)
    return f"<details><summary>{texts.feedback_title}</summary>\n\n{lines}\n\n</details>"
