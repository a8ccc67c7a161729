"""Batches hold each row once an epoch, keep their budget, and depend on the seed alone."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from engine.finetune.batches import cut_batches, epoch_batches, training_batches

lengths = st.lists(st.integers(min_value=1, max_value=300), max_size=200)
budgets = st.integers(min_value=1, max_value=2000)
seeds = st.integers(min_value=0, max_value=5)


@given(lengths=lengths, budget=budgets, seed=seeds)
def test_each_row_once_an_epoch_within_the_budget(lengths: list[int], budget: int, seed: int) -> None:
    """No row is lost or repeated, and padded batches fit unless one row alone does not."""
    batches = epoch_batches(lengths, budget, seed, epoch=1)
    assert sorted(index for batch in batches for index in batch) == list(range(len(lengths)))
    for batch in batches:
        assert len(batch) == 1 or max(lengths[index] for index in batch) * len(batch) <= budget


@given(lengths=lengths, budget=budgets, seed=seeds, epochs=st.floats(min_value=0.1, max_value=3))
def test_epochs_follow_one_another(lengths: list[int], budget: int, seed: int, epochs: float) -> None:
    """A run has whole epochs one after the other, then the first batches of the last; twice the same."""
    batches = training_batches(lengths, budget, seed, epochs)
    assert batches == training_batches(lengths, budget, seed, epochs)
    for epoch in range(math.floor(epochs)):
        expected = epoch_batches(lengths, budget, seed, epoch)
        assert batches[: len(expected)] == expected
        batches = batches[len(expected) :]
    rest = epoch_batches(lengths, budget, seed, math.floor(epochs))
    assert batches == rest[: math.ceil(len(rest) * (epochs % 1))]


def test_epochs_and_seeds_differ() -> None:
    """Rows meet other neighbours in each epoch and under each seed."""
    lengths = [10 + index % 7 for index in range(100)]
    seen = [epoch_batches(lengths, 60, seed, epoch) for seed in (0, 1) for epoch in (0, 1)]
    assert all(one != other for index, one in enumerate(seen) for other in seen[:index])


def test_rows_of_like_length_meet() -> None:
    """Little of a batch is padding, although lengths differ twentyfold."""
    lengths = [50 + 19 * (index % 51) for index in range(3000)]
    batches = epoch_batches(lengths, 8192, seed=0, epoch=0)
    padded = sum(max(lengths[index] for index in batch) * len(batch) for batch in batches)
    assert padded < 1.05 * sum(lengths)


def test_cut() -> None:
    """A batch ends where one row more would not fit; a row over the budget stands alone."""
    assert cut_batches([0, 1, 2, 3, 4], [2, 3, 3, 20, 1], budget=9) == [[0, 1, 2], [3], [4]]
