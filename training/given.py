"""What a system says where the data says something: a message, given hunk, line and category.

All systems write about the same lines, and none may be silent, so their texts can be compared with one
another. What a system says of its own accord is `training.said`'s.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np

from engine.prompts import review_prompt, write_suffix
from engine.replies import MAX_TOKENS, ParsedReply, parse_reply, remark_schema
from engine.runners import Runner, WriteRequest
from engine.wire import Language
from training.bootstrap import item_weights
from training.measures import Measures, groups
from training.metrics import mean
from training.progress import Progress
from training.records import ReviewFinding, ReviewItem
from training.said import Pair, reference
from training.scored import ScoredItem
from training.scoring import NewProgress, Speed, write_all
from training.text_metrics import chrf, rouge_l

CHRF, ROUGE = "given_chrf", "given_rouge_l"
T = TypeVar("T")
Place = tuple[int, ReviewFinding]
"""The place of an item, and one of its comments."""


def given_places(items: Sequence[ReviewItem], limit: int) -> list[Place]:
    """Return at most `limit` comments on lines that can carry one, evenly out of all."""
    found = [
        (place, finding)
        for place, item in enumerate(items)
        for _, findings in item.anchors()
        for finding in findings
    ]
    return evenly(found, limit)


def evenly(values: list[T], limit: int) -> list[T]:
    """Return at most `limit` of the values, every so many-th."""
    if len(values) <= limit:
        return values
    return [values[number * len(values) // limit] for number in range(limit)]


def write_given(
    runner: Runner,
    items: Sequence[ReviewItem],
    places: Sequence[Place],
    language: Language,
    new_progress: NewProgress = Progress,
) -> tuple[list[Pair], Speed]:
    """Return what the runner says at each place, beside the comment there; "" where that cannot be read."""
    requests = [_request(items[place], finding, language) for place, finding in places]
    replies, speed = write_all(runner, requests, new_progress)
    said = [parse_reply(reply.text, reply.truncated) for reply in replies]
    return [
        Pair(
            place,
            reply.message if isinstance(reply, ParsedReply) else "",
            reference(finding, language),
            finding.line,
        )
        for (place, finding), reply in zip(places, said, strict=True)
    ], speed


def retrieved(
    comment: Callable[[ReviewItem, int], ReviewFinding],
    items: Sequence[ReviewItem],
    places: Sequence[Place],
    language: Language,
) -> list[Pair]:
    """Return the comment that `comment` finds for each place, beside the one there."""
    return [
        Pair(
            place,
            reference(comment(items[place], finding.line), language),
            reference(finding, language),
            finding.line,
        )
        for place, finding in places
    ]


def given_measures(
    items: Sequence[ScoredItem], pairs: Sequence[Pair], samples: int, seed: int
) -> dict[str, Measures]:
    """Return each group's means over pairs, on the samples of `training.measures.measure`."""
    weights = item_weights(len(items), samples, seed)
    places = np.array([pair.item for pair in pairs], int)
    counts = np.bincount(places, minlength=len(items)).astype(float)
    values = {
        CHRF: [chrf(pair.said, pair.wanted) for pair in pairs],
        ROUGE: [rouge_l(pair.said, pair.wanted) for pair in pairs],
    }
    sums = {name: np.bincount(places, found, minlength=len(items)) for name, found in values.items()}
    return {
        group: {name: mean(total[mask], weights[:, mask], per=counts[mask]) for name, total in sums.items()}
        for group, mask in groups(items).items()
    }


def _request(item: ReviewItem, finding: ReviewFinding, language: Language) -> WriteRequest:
    chunk = item.to_chunk()
    line = next(line for line in chunk.commentable if line.new_number == finding.line)
    suffix = write_suffix(chunk, line, finding.category, language)
    return WriteRequest(review_prompt(chunk), suffix, remark_schema(), MAX_TOKENS)
