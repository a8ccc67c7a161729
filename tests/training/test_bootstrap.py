"""Bootstrap weights and intervals."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from training import metrics
from training.bootstrap import estimate, item_weights, spread


@given(st.integers(0, 30), st.integers(0, 20), st.integers(0, 2**32 - 1))
def test_each_sample_draws_as_many_items_as_there_are(items: int, samples: int, seed: int) -> None:
    """The first row counts each item once; every other row draws whole items, as many in all."""
    weights = item_weights(items, samples, seed)
    assert weights.shape == (1 + samples, items)
    assert (weights[0] == 1).all()
    assert (weights.sum(1) == items).all()
    assert (weights == np.floor(weights)).all()


def test_the_seed_decides() -> None:
    """The same seed draws the same items, another one others."""
    assert (item_weights(20, 5, 1) == item_weights(20, 5, 1)).all()
    assert (item_weights(20, 5, 1) != item_weights(20, 5, 2)).any()


def test_lines_get_their_items_weights() -> None:
    """Two lines of the second item count as often as it does."""
    weights = np.array([[1.0, 1.0], [2.0, 0.0]])
    assert spread(weights, [0, 1, 1]).tolist() == [[1, 1, 1], [2, 0, 0]]


def test_the_interval_of_a_mean_is_the_normal_one() -> None:
    """400 fair coins: the mean is 0.5 and the interval about 1.96 standard errors to each side."""
    flips = np.arange(400) % 2
    found = estimate(metrics.mean(flips, item_weights(400, 4000)))
    assert found.value == 0.5
    assert found.low == pytest.approx(0.5 - 1.96 * 0.025, abs=0.005)
    assert found.high == pytest.approx(0.5 + 1.96 * 0.025, abs=0.005)


def test_a_paired_difference_of_the_same_system_is_zero() -> None:
    """Samples are shared, so equal scores differ in none of them."""
    weights = item_weights(30, 200)
    scores, labels = np.linspace(0, 1, 30), np.arange(30) % 3 == 0
    found = estimate(metrics.auc(labels, scores, weights) - metrics.auc(labels, scores + 1, weights))
    assert (found.value, found.low, found.high) == (0, 0, 0)


def test_a_statistic_without_a_value_has_none() -> None:
    """NaN becomes None, and does not spoil the interval of the samples that have a value."""
    assert estimate(np.array([np.nan, np.nan])).value is None
    assert estimate(np.array([np.nan, np.nan])).low is None
    assert estimate(np.array([0.5, np.nan, 0.5])).low == 0.5
