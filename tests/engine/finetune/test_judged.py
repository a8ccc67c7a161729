"""The order of judged texts: both sides in each batch, nothing left out."""

from __future__ import annotations

from array import array
from collections import Counter

import pytest

from engine.finetune.encoding import IGNORED, EncodedRow
from engine.finetune.judged import balance, judged_order, judged_tokens


@pytest.mark.parametrize(("accepted", "rejected", "batch"), [(8, 8, 4), (30, 10, 8), (3, 14, 4), (1, 1, 8)])
def test_batches_mix_both_sides(accepted: int, rejected: int, batch: int) -> None:
    """Each batch is whole, each row is used in each epoch, and the sides are spread evenly."""
    sides = [True] * accepted + [False] * rejected
    order = judged_order(sides, batch, epochs=3, seed=1)
    assert len(order) % batch == 0
    used = Counter(order)
    assert set(used) == set(range(len(sides)))
    assert min(used.values()) >= 3
    share = accepted / len(sides)
    for start in range(0, len(order), batch):
        found = sum(sides[index] for index in order[start : start + batch])
        assert abs(found - share * batch) < 2


def test_epochs_differ_and_seeds_decide() -> None:
    """No epoch repeats the order of another; the same seed gives the same."""
    sides = [True, False] * 20
    order = judged_order(sides, 8, epochs=2, seed=1)
    assert order[:40] != order[40:]
    assert order == judged_order(sides, 8, epochs=2, seed=1)
    assert order != judged_order(sides, 8, epochs=2, seed=2)


@pytest.mark.parametrize(("accepted", "rejected"), [(10, 10), (40, 10), (5, 50)])
def test_both_sides_have_as_much_to_say(accepted: int, rejected: int) -> None:
    """Weights make up for numbers, and only the rarer side's is raised."""
    desirable, undesirable = balance(accepted, rejected)
    assert desirable * accepted == pytest.approx(undesirable * rejected)
    assert min(desirable, undesirable) == 1


def test_rows_are_cut_where_training_begins() -> None:
    """What is asked is the prompt, what is trained the completion."""
    row = EncodedRow(array("i", [2, 10, 11, 12, 5]), array("i", [IGNORED, IGNORED, IGNORED, 12, 5]), 1.0)
    cut = judged_tokens(row, accepted=False)
    assert (cut.prompt, cut.completion, cut.accepted) == ([2, 10, 11], [12, 5], False)
