"""What a model wrote against what the data says of the same lines, with intervals over items.

A remark has a reference where the item has a finding on its line; the others are counted, not compared. How
texts are compared is `training.text_metrics`'s.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from engine.findings import Category
from engine.replies import indent_suggestion
from engine.wire import Language
from training.bootstrap import Estimate, estimate, item_weights
from training.examples import findings_by_line
from training.metrics import mean
from training.records import ReviewFinding, ReviewItem
from training.scoring import Remark, Written
from training.text_metrics import (
    Variety,
    chrf,
    corpus_bleu,
    corpus_chrf,
    rouge_l,
    suggestion_is_valid,
    variety,
)


@dataclass(frozen=True, slots=True)
class Pair:
    """A message that was written and the one that the data has, of the item at a place."""

    item: int
    said: str
    wanted: str
    line: int


@dataclass(frozen=True, slots=True)
class Texts:
    """How well written messages are. Intervals are those of a bootstrap over items."""

    messages: int
    compared: int  # of these, messages about a line that has a finding
    chrf: Estimate  # mean of the pairs, 0 to 100
    rouge_l: Estimate  # mean of the pairs, 0 to 1
    corpus_chrf: float | None  # of all pairs together; None without any
    corpus_bleu: float | None
    suggestions: int  # in a language that a parser knows
    suggestions_valid: Estimate  # share of these that leave the code as well-formed as it was
    variety: Variety  # of all messages


def measure_texts(
    items: Sequence[ReviewItem], written: Written, language: Language, samples: int = 1000, seed: int = 0
) -> Texts:
    """Return the measures of the written messages; raises MissingExtra without sacrebleu."""
    found = pairs(items, written, language)
    sound = [(place, valid) for place, valid in _suggestions(items, written) if valid is not None]
    messages = [remark.message for remarks in written.remarks for remark in remarks if remark.message]
    weights = item_weights(len(items), samples, seed)
    places = [pair.item for pair in found]

    def over_items(values: Sequence[float], places: Sequence[int]) -> Estimate:
        sums = np.bincount(np.array(places, int), np.array(values, float), minlength=len(items))
        return estimate(mean(sums, weights, per=np.bincount(np.array(places, int), minlength=len(items))))

    said, wanted = [pair.said for pair in found], [pair.wanted for pair in found]
    return Texts(
        messages=len(messages),
        compared=len(found),
        chrf=over_items([chrf(pair.said, pair.wanted) for pair in found], places),
        rouge_l=over_items([rouge_l(pair.said, pair.wanted) for pair in found], places),
        corpus_chrf=corpus_chrf(said, wanted) if found else None,
        corpus_bleu=corpus_bleu(said, wanted) if found else None,
        suggestions=len(sound),
        suggestions_valid=over_items([valid for _, valid in sound], [place for place, _ in sound]),
        variety=variety(messages),
    )


def pairs(items: Sequence[ReviewItem], written: Written, language: Language) -> list[Pair]:
    """Return each message with its reference: the finding of its line, of its category if there is one."""
    found = []
    for place, (item, remarks) in enumerate(zip(items, written.remarks, strict=True)):
        by_line = findings_by_line(item)
        found += [
            Pair(
                place,
                remark.message,
                reference(_meant(by_line[remark.line], remark.category), language),
                remark.line,
            )
            for remark in remarks
            if remark.message and remark.line in by_line
        ]
    return found


def reference(finding: ReviewFinding, language: Language) -> str:
    """Return the finding's message in `language`, or the one it has."""
    return (finding.message_ja if language is Language.JA else None) or finding.message


def _meant(findings: Sequence[ReviewFinding], category: Category) -> ReviewFinding:
    return next((finding for finding in findings if finding.category is category), findings[0])


def _suggestions(items: Sequence[ReviewItem], written: Written) -> list[tuple[int, bool | None]]:
    return [
        (place, _is_valid(item, remark, remark.suggestion))
        for place, (item, remarks) in enumerate(zip(items, written.remarks, strict=True))
        for remark in remarks
        if remark.suggestion is not None
    ]


def _is_valid(item: ReviewItem, remark: Remark, suggestion: str) -> bool | None:
    rows = [line for line in item.to_chunk().lines if line.new_number is not None]
    place = next(at for at, line in enumerate(rows) if line.new_number == remark.line)
    code = [line.text for line in rows]
    return suggestion_is_valid(code, place, indent_suggestion(suggestion, code[place]), item.language)
