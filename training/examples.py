"""Review items -> training rows, by the prompts and replies that the engine itself uses.

Two kinds come out. A score row trains the label of every commentable line at once; a write row trains the
reply about one line. Lines without a finding also give write rows whose reply is "nothing to say", the
writer's way out.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Literal

from pydantic import Field

from engine import prompts
from engine.chunks import Chunk
from engine.diffs import DiffLine, LineKind
from engine.findings import Category
from engine.finetune.rows import Block, LabelRow, Row, TextRow
from engine.replies import (
    MESSAGE_LENGTH,
    SUGGESTION_LENGTH,
    ParsedReply,
    canonical_reply,
    clean_message,
    dedent_suggestion,
)
from engine.wire import Language
from training.records import ReviewFinding, ReviewItem


@dataclass(frozen=True, slots=True)
class ExampleSettings:
    """How items become rows."""

    tasks: Annotated[frozenset[Literal["score", "write"]], Field(description="What rows are made for.")] = (
        frozenset({"score", "write"})
    )
    passes: Annotated[int, Field(description="Times each item is used; from the second on cropped.")] = 1
    crop_share: Annotated[float, Field(description="Of items, in each pass after the first.")] = 0.5
    write_share: Annotated[float, Field(description="Of items with rows that write, likewise.")] = 1.0
    nothing_share: Annotated[float, Field(description="Rows with nothing to say, for each finding.")] = 0.15
    japanese_share: Annotated[float, Field(description="Of rows that write, where there is Japanese.")] = 0.3
    score_weight: Annotated[float, Field(description="Of the loss of line scores.")] = 1.0
    write_weight: Annotated[float, Field(description="Of the loss of messages.")] = 0.2
    seed: Annotated[int, Field(description="Of crops and draws.")] = 0


def example_rows(items: Sequence[ReviewItem], settings: ExampleSettings) -> Iterator[Row]:
    """Yield the rows of all passes. Deterministic under `settings.seed`."""
    rng = random.Random(settings.seed)
    if not any(finding.message_ja for item in items for finding in item.findings):
        settings = replace(settings, japanese_share=0.0)
    for number in range(settings.passes):
        for item in items:
            chunk = item.to_chunk()
            if number and rng.random() < settings.crop_share:
                chunk = crop(chunk, rng)
            if "score" in settings.tasks:
                yield from score_row(item, chunk, settings.score_weight)
            if "write" in settings.tasks and (number == 0 or rng.random() < settings.write_share):
                yield from write_rows(item, chunk, rng, settings)


def score_row(item: ReviewItem, chunk: Chunk, weight: float = 1.0) -> Iterator[LabelRow]:
    """Yield the row that trains a label for each commentable line; none if no line is commentable."""
    found = findings_by_line(item)
    blocks = tuple(
        Block(text=text, label=_label(found.get(line.new_number or 0, ())))
        for text, line in zip(prompts.score_blocks(chunk), chunk.commentable, strict=True)
    )
    if blocks:
        yield LabelRow(prompt=prompts.review_prompt(chunk), blocks=blocks, weight=weight)


def write_rows(
    item: ReviewItem, chunk: Chunk, rng: random.Random, settings: ExampleSettings
) -> Iterator[TextRow]:
    """Yield a row for each finding on a commentable line, and some with nothing to say."""
    by_line = findings_by_line(item)
    rate = settings.nothing_share * _finding_rate(item, chunk)
    for line in chunk.commentable:
        findings = by_line.get(line.new_number or 0, ())
        for finding in findings:
            language = _language(rng, settings, finding.message_ja is not None)
            reply = _reply(finding, line, language)
            if reply is not None:
                yield _write_row(chunk, line, finding.category, language, reply, settings)
        if not findings and rng.random() < rate:
            category, language = rng.choice(list(Category)), _language(rng, settings)
            yield _write_row(chunk, line, category, language, None, settings)


def crop(chunk: Chunk, rng: random.Random) -> Chunk:
    """Return the chunk without some lines at its start and end: at least half of it is left."""
    spare = len(chunk.lines) // 2
    start = rng.randint(0, spare)
    end = len(chunk.lines) - rng.randint(0, spare - start)
    return replace(chunk, lines=chunk.lines[start:end])


def findings_by_line(item: ReviewItem) -> dict[int, tuple[ReviewFinding, ...]]:
    """Return the findings of each line of the new file, the most severe first."""
    lines: dict[int, list[ReviewFinding]] = {}
    for finding in item.findings:
        lines.setdefault(finding.line, []).append(finding)
    return {n: tuple(sorted(found, key=lambda f: -f.severity.rank)) for n, found in lines.items()}


def _label(findings: Sequence[ReviewFinding]) -> str:
    return prompts.CATEGORY_LABELS[findings[0].category] if findings else prompts.NO_FINDING


def _finding_rate(item: ReviewItem, chunk: Chunk) -> float:
    """Spread the nothing-rows over all lines so that their number follows that of the findings."""
    return max(len(item.findings), 1) / max(sum(line.kind is LineKind.ADDED for line in chunk.lines), 1)


def _language(rng: random.Random, settings: ExampleSettings, has_japanese: bool = True) -> Language:
    return Language.JA if has_japanese and rng.random() < settings.japanese_share else Language.EN


def _reply(finding: ReviewFinding, line: DiffLine, language: Language) -> ParsedReply | None:
    """Return what is to be said in the reply's form, or None where no readable text is left of it."""
    message = finding.message_ja if language is Language.JA and finding.message_ja else finding.message
    suggestion = None if finding.suggestion is None else dedent_suggestion(finding.suggestion, line.text)
    text = shorten(message)
    return ParsedReply(finding.severity, text, fitting(suggestion)) if text else None


def shorten(message: str) -> str:
    """Return the message, cut at the last sentence that fits the reply, or at the last word."""
    text = clean_message(message)
    if len(text) <= MESSAGE_LENGTH:
        return text
    head = text[:MESSAGE_LENGTH]
    stop = max(head.rfind(". "), head.rfind("。"))
    return head[: stop + 1] if stop > 0 else head.rsplit(" ", 1)[0]


def fitting(suggestion: str | None) -> str | None:
    """Return the suggestion, or None where it is too long for a reply: half of one is worse than none."""
    return suggestion if suggestion and len(suggestion) <= SUGGESTION_LENGTH else None


def _write_row(
    chunk: Chunk,
    line: DiffLine,
    category: Category,
    language: Language,
    reply: ParsedReply | None,
    settings: ExampleSettings,
) -> TextRow:
    suffix = prompts.write_suffix(chunk, line, category, language)
    prompt = prompts.review_prompt(chunk)
    return TextRow(
        prompt=prompt, suffix=suffix, completion=canonical_reply(reply), weight=settings.write_weight
    )
