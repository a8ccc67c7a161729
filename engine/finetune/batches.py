"""Rows of like length -> batches under a token budget, in a seeded random order. No torch."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence

_WINDOW = 4096


class TokenBatches:
    """A batch sampler: each batch's longest row times its size stays within `budget` tokens.

    Rows are shuffled, sorted by length within windows of 4,096, cut into batches, and the batches shuffled, so
    that padding is rare and no epoch sees the same neighbours. A row over the budget is a batch of its own.
    The number of batches differs a little between epochs; `len` tells the next epoch's exactly.
    """

    def __init__(self, lengths: Sequence[int], budget: int, seed: int) -> None:
        self.lengths = lengths
        self.budget = budget
        self.seed = seed
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __iter__(self) -> Iterator[list[int]]:
        batches = self._batches()
        self.epoch += 1
        return iter(batches)

    def __len__(self) -> int:
        return len(self._batches())

    def _batches(self) -> list[list[int]]:
        rng = random.Random(f"{self.seed}/{self.epoch}")
        order = list(range(len(self.lengths)))
        rng.shuffle(order)
        batches: list[list[int]] = []
        for start in range(0, len(order), _WINDOW):
            window = sorted(order[start : start + _WINDOW], key=self.lengths.__getitem__)
            batches += cut_batches(window, self.lengths, self.budget)
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
