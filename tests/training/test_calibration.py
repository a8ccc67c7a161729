"""Calibration: monotone maps, a threshold that keeps its promise, honest cross-fitting."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.scores import Calibration
from training.calibration import MAX_POINTS, apply, cross_fit, fit_calibration, isotonic, platt
from training.metrics import Floats, brier, ece
from training.scored import LineTable

ROWS = st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=60)


def table_of(raw: Floats, labels: npt.ArrayLike, lines_per_item: int) -> LineTable:
    """A table of items with equally many lines."""
    item = np.arange(len(raw)) // lines_per_item
    has_remark = np.asarray(labels, dtype=bool)
    has_finding = np.bincount(item, weights=has_remark) > 0
    return LineTable(raw, has_remark, item.astype(np.intp), has_finding)


def overconfident(items: int, lines: int = 10, seed: int = 0) -> LineTable:
    """Lines whose true probability is the square of the raw one, a tenth of which is high."""
    generator = np.random.default_rng(seed)
    raw = generator.beta(0.4, 3, items * lines)
    return table_of(raw, generator.random(len(raw)) < raw**2, lines)


def test_isotonic_pools_violators() -> None:
    """Labels 0, 1, 0, 1 by rising score: the middle pair violates the order and shares its mean."""
    points = isotonic(np.array([0.1, 0.2, 0.4, 0.9]), np.array([0.0, 1.0, 0.0, 1.0]))
    np.testing.assert_allclose(points, [(0.1, 0.0), (0.3, 0.5), (0.9, 1.0)])


@given(st.lists(st.tuples(st.integers(0, 100), st.booleans()), min_size=1, max_size=60))
def test_isotonic_blocks_agree_with_scikit_learn(rows: list[tuple[int, bool]]) -> None:
    """At each point the value is the peer's fit there, as long as nothing had to be pruned."""
    peer = pytest.importorskip("sklearn.isotonic")
    raw, labels = np.array([r / 100 for r, _ in rows]), np.array([float(y) for _, y in rows])
    points = isotonic(raw, labels)
    fitted = peer.IsotonicRegression().fit_transform(raw, labels)
    if len(points) < MAX_POINTS:
        assert [y for _, y in points] == pytest.approx(sorted(set(fitted.round(12))), abs=1e-9)


@given(ROWS)
def test_every_fit_is_a_valid_calibration(rows: list[tuple[float, bool]]) -> None:
    """Points rise, lie in the unit square, are few, and read the same by array and by manifest."""
    raw, labels = np.array([r for r, _ in rows]), np.array([float(y) for _, y in rows])
    for fit in (isotonic, platt):
        points = fit(raw, labels)
        assert 1 <= len(points) <= MAX_POINTS
        calibration = Calibration(points=points)
        expected = [calibration.calibrate(value) for value in raw]
        assert apply(points, raw).tolist() == pytest.approx(expected, abs=1e-9)


def test_platt_recovers_the_sigmoid_it_was_drawn_from() -> None:
    """With many draws the fitted map is near the true one."""
    generator = np.random.default_rng(3)
    raw = generator.random(20_000)
    true = 1 / (1 + np.exp(-(0.5 * np.log(raw / (1 - raw)) - 1)))
    points = platt(raw, (generator.random(len(raw)) < true).astype(float))
    assert np.abs(apply(points, raw) - true).mean() < 0.015


def test_calibration_helps_an_overconfident_model() -> None:
    """Fitted on some items, it makes others' error and Brier score smaller."""
    calibration, fresh = fit_calibration(overconfident(300)), overconfident(300, seed=1)
    said = apply(calibration.points, fresh.raw)
    assert ece(fresh.has_remark, said)[0] < 0.02 < ece(fresh.has_remark, fresh.raw)[0]
    assert brier(fresh.has_remark, said)[0] < brier(fresh.has_remark, fresh.raw)[0]


@pytest.mark.parametrize("share", [0.5, 0.9, 1.0])
def test_the_threshold_keeps_the_wanted_share_silent(share: float) -> None:
    """On the data it was fitted on, at least that share of clean items has no line that passes."""
    table = overconfident(200)
    calibration = fit_calibration(table, share)
    scores = table.item_scores(apply(calibration.points, table.raw))[~table.has_finding]
    assert (scores < calibration.threshold).mean() >= share - 1 / len(scores)


def test_cross_fitting_never_uses_an_items_own_labels() -> None:
    """Flipping all labels of one item changes other items' probabilities at most, never its own."""
    table = overconfident(40)
    flipped = table.has_remark.copy()
    flipped[table.item == 7] ^= True
    other = LineTable(table.raw, flipped, table.item, table.has_finding)
    mine = table.item == 7
    ours, theirs = cross_fit(table).probabilities, cross_fit(other).probabilities
    assert ours[mine].tolist() == theirs[mine].tolist()
    assert ours[~mine].tolist() != theirs[~mine].tolist()


def test_items_are_calibrated_apart_from_lines() -> None:
    """That some line of ten is bad is likelier than that the likeliest is, and items are told so."""
    table = overconfident(600)
    fitted = cross_fit(table)
    calibrated = ece(table.has_finding, fitted.item_probabilities)[0]
    assert calibrated < 0.05 < ece(table.has_finding, table.item_scores(fitted.probabilities))[0]


def test_nothing_to_fit_gives_the_identity() -> None:
    """No lines, or a single item, are no reason to fail."""
    empty = table_of(np.empty(0), np.empty(0), 1)
    assert fit_calibration(empty) == Calibration()
    assert cross_fit(table_of(np.array([0.2, 0.8]), np.array([0.0, 1.0]), 2)).probabilities.tolist() == [
        0.2,
        0.8,
    ]
