"""Texts that people accepted or rejected, and their order in preference tuning. No torch."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import cycle, islice

from engine.finetune.encoding import IGNORED, EncodedRow
from engine.finetune.rows import TextRow


@dataclass(frozen=True, slots=True)
class JudgedRow:
    """A prompt, what was said, and whether it was wanted."""

    row: TextRow
    accepted: bool


@dataclass(frozen=True, slots=True)
class JudgedTokens:
    """A judged row as tokens."""

    prompt: list[int]
    completion: list[int]
    accepted: bool


def judged_tokens(encoded: EncodedRow, accepted: bool) -> JudgedTokens:
    """Cut an encoded text row where what is trained begins."""
    start = next(index for index, label in enumerate(encoded.labels) if label != IGNORED)
    ids = encoded.input_ids.tolist()
    return JudgedTokens(ids[:start], ids[start:], accepted)


def balance(accepted: int, rejected: int) -> tuple[float, float]:
    """Return weights of both sides, so that each has as much to say: equation 8 of the KTO paper.

    https://huggingface.co/papers/2402.01306
    """
    return (rejected / accepted, 1.0) if accepted < rejected else (1.0, accepted / rejected)


def judged_order(accepted: Sequence[bool], batch: int, epochs: int, seed: int) -> list[int]:
    """Return the rows of all epochs in order, each batch with both sides as far as their numbers go.

    Every epoch fills its last batch from its beginning: KTO compares each text with the batch's others.
    """
    order: list[int] = []
    for epoch in range(epochs):
        rng = random.Random(f"{seed}/{epoch}")
        sides = [[i for i, good in enumerate(accepted) if good is side] for side in (True, False)]
        for side in sides:
            rng.shuffle(side)
        mixed = _evenly(*sides)
        order += islice(cycle(mixed), math.ceil(len(mixed) / batch) * batch)
    return order


def _evenly(one: Sequence[int], other: Sequence[int]) -> list[int]:
    """Deal the shorter of two evenly into the longer."""
    placed = [((index + 0.5) / len(side), value) for side in (one, other) for index, value in enumerate(side)]
    return [value for _, value in sorted(placed)]
