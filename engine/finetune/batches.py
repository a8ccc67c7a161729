"""Rows of like length -> batches under a token budget, in a seeded random order. No torch."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence

_WINDOW = 4096


def training_batches(lengths: Sequence[int], budget: int, seed: int, epochs: float = 1.0) -> list[list[int]]:
    """Return the batches of all epochs, one after the other; of a fraction of an epoch its first ones.

    The trainer goes through them once. Epochs differ a little in their number of batches, which a trainer
    that counts epochs itself would not know: it would lose the last ones, and resume at the wrong place.
    """
    batches: list[list[int]] = []
    for epoch in range(math.ceil(epochs)):
        found = epoch_batches(lengths, budget, seed, epoch)
        batches += found[: math.ceil(len(found) * min(1.0, epochs - epoch))]
    return batches


def epoch_batches(lengths: Sequence[int], budget: int, seed: int, epoch: int) -> list[list[int]]:
    """Return batches that hold each row once; each batch's longest row times its size is within `budget`.

    Rows are shuffled, sorted by length within windows of 4,096, cut into batches, and the batches shuffled,
    so that padding is rare and no epoch sees the same neighbours. A row over the budget is a batch of its
    own.
    """
    rng = random.Random(f"{seed}/{epoch}")
    order = list(range(len(lengths)))
    rng.shuffle(order)
    batches: list[list[int]] = []
    for start in range(0, len(order), _WINDOW):
        window = sorted(order[start : start + _WINDOW], key=lengths.__getitem__)
        batches += cut_batches(window, lengths, budget)
    rng.shuffle(batches)
    return batches


def cut_batches(order: Sequence[int], lengths: Sequence[int], budget: int) -> list[list[int]]:
    """Cut `order` into runs whose padded size (longest x count) is within `budget` tokens."""
    batches: list[list[int]] = []
    longest = 0
    for index in order:
        longest = max(longest, lengths[index])
        if batches and longest * (len(batches[-1]) + 1) <= budget:
            batches[-1].append(index)
        else:
            batches.append([index])
            longest = lengths[index]
    return batches
