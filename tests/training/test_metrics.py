"""Metrics against hand-computed cases, invariants, and scikit-learn where it has the same function."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from training import metrics
from training.bootstrap import item_weights

LABELLED = st.lists(
    st.tuples(st.booleans(), st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.75, 1.0])), min_size=2, max_size=40
).filter(lambda rows: len({label for label, _ in rows}) == 2)
ANCHORS = st.lists(st.tuples(st.integers(1, 6), st.sampled_from(["bug", "style"])), max_size=6)


def columns(rows: list[tuple[bool, float]]) -> tuple[list[bool], list[float]]:
    return [label for label, _ in rows], [score for _, score in rows]


def one(values: metrics.Floats) -> float:
    """The only value of an unweighted statistic."""
    (value,) = values.tolist()
    return float(value)


def test_auc_counts_won_pairs_and_half_of_ties() -> None:
    """Positives 0.8, 0.4 against negatives 0.4, 0.1: 3 pairs won and one tied of 4."""
    assert one(metrics.auc([1, 1, 0, 0], [0.8, 0.4, 0.4, 0.1])) == 3.5 / 4


def test_auc_of_one_class_has_no_value() -> None:
    """Without negatives, or without anything, there is nothing to compare."""
    assert math.isnan(one(metrics.auc([1, 1], [0.1, 0.2])))
    assert math.isnan(one(metrics.auc([], [])))
    assert math.isnan(one(metrics.average_precision([], [])))


def test_average_precision_by_hand() -> None:
    """Ranks: hit, miss, hit gives 1/2 * 1 + 1/2 * 2/3."""
    assert one(metrics.average_precision([1, 0, 1], [0.9, 0.8, 0.7])) == pytest.approx(1 / 2 + 1 / 3)


@given(LABELLED)
def test_auc_and_average_precision_agree_with_scikit_learn(rows: list[tuple[bool, float]]) -> None:
    """The peer gives the same numbers, ties included."""
    peer = pytest.importorskip("sklearn.metrics")
    labels, scores = columns(rows)
    assert one(metrics.auc(labels, scores)) == pytest.approx(peer.roc_auc_score(labels, scores))
    expected = peer.average_precision_score(labels, scores)
    assert one(metrics.average_precision(labels, scores)) == pytest.approx(expected)


@given(LABELLED)
def test_brier_agrees_with_scikit_learn(rows: list[tuple[bool, float]]) -> None:
    """The peer gives the same mean squared distance."""
    peer = pytest.importorskip("sklearn.metrics")
    labels, scores = columns(rows)
    assert one(metrics.brier(labels, scores)) == pytest.approx(peer.brier_score_loss(labels, scores))


@given(LABELLED)
def test_curves_agree_with_scikit_learn(rows: list[tuple[bool, float]]) -> None:
    """The area under our ROC curve is the AUC; precision and recall are the peer's."""
    peer = pytest.importorskip("sklearn.metrics")
    labels, scores = columns(rows)
    false, true = metrics.roc_curve(labels, scores)
    assert peer.auc(false, true) == pytest.approx(one(metrics.auc(labels, scores)))
    recall, precision = metrics.precision_recall_curve(labels, scores)
    theirs, theirs_recall, _ = peer.precision_recall_curve(labels, scores)
    np.testing.assert_allclose(recall[::-1], theirs_recall[:-1])
    np.testing.assert_allclose(precision[::-1], theirs[:-1])


@given(LABELLED)
def test_auc_flips_with_the_scores(rows: list[tuple[bool, float]]) -> None:
    """Negated scores give the complement; a rising map changes nothing."""
    labels, scores = columns(rows)
    auc = one(metrics.auc(labels, scores))
    assert one(metrics.auc(labels, [-score for score in scores])) == pytest.approx(1 - auc)
    assert one(metrics.auc(labels, [score**3 + 7 for score in scores])) == pytest.approx(auc)


@given(LABELLED, st.integers(0, 2**32 - 1))
def test_weights_stand_for_repeated_observations(rows: list[tuple[bool, float]], seed: int) -> None:
    """A statistic under a bootstrap's weights is that of the resampled data."""
    weights = item_weights(len(rows), samples=3, seed=seed)
    labels, scores = (np.array(column, dtype=float) for column in columns(rows))
    for statistic in (
        metrics.auc,
        metrics.average_precision,
        metrics.brier,
        lambda x, y, w=None: metrics.recall_at_silence(x, y, 0.9, w),
    ):
        for row, value in zip(weights, statistic(labels, scores, weights), strict=True):
            chosen = np.repeat(np.arange(len(rows)), row.astype(int))
            alone = one(statistic(labels[chosen], scores[chosen]))
            assert value == pytest.approx(alone, nan_ok=True)


def test_mean_is_a_ratio_of_weighted_sums() -> None:
    """Two hits of four predictions is one half, whichever item they are from."""
    weights = np.array([[1.0, 1.0], [2.0, 0.0], [0.0, 0.0]])
    found = metrics.mean([2, 0], weights, per=[3, 1])
    assert found[:2].tolist() == [0.5, 4 / 6]
    assert math.isnan(found[2])


def test_f1_by_hand() -> None:
    """One hit of two predictions and of one finding: precision 1/2, recall 1, F1 2/3."""
    assert one(metrics.f1([1, 0], [1, 1], [1, 0])) == pytest.approx(2 / 3)


def test_recall_at_silence_by_hand() -> None:
    """Of ten clean items at 0.0 to 0.9 the limit is the highest; two of three findings are above it."""
    clean = [n / 10 for n in range(10)]
    assert one(metrics.silence_threshold(clean)) == 0.9
    labels = [False] * 10 + [True] * 3
    assert one(metrics.recall_at_silence(labels, [*clean, 0.95, 0.9, 0.91])) == pytest.approx(2 / 3)
    assert one(metrics.recall_at_silence(labels, [*clean, 0.6, 0.4, 0.55], share=0.5)) == pytest.approx(2 / 3)


def test_recall_at_silence_needs_clean_items() -> None:
    """Without a clean item there is no limit, and no value."""
    assert math.isnan(one(metrics.recall_at_silence([True], [0.5])))


@given(st.lists(st.floats(0, 1), min_size=1, max_size=50), st.floats(0.1, 1))
def test_the_wanted_share_is_silent(scores: list[float], share: float) -> None:
    """At most the wanted share less one item is above the limit."""
    limit = one(metrics.silence_threshold(scores, share))
    assert sum(score <= limit for score in scores) >= math.floor(share * len(scores))


def test_ece_by_hand() -> None:
    """Two bins of two: gaps |1/2 - 0.2| and |1 - 0.7|, each of half the mass."""
    labels, said = [0, 1, 1, 1], [0.1, 0.3, 0.6, 0.8]
    assert one(metrics.ece(labels, said, bins=2)) == pytest.approx(0.3)
    low, high = metrics.reliability(labels, said, bins=2)
    np.testing.assert_allclose([low.predicted, low.observed, low.count], [0.2, 0.5, 2])
    np.testing.assert_allclose([high.predicted, high.observed, high.count], [0.7, 1.0, 2])


@given(LABELLED, st.integers(1, 20))
def test_ece_is_the_gap_of_the_reliability_bins(rows: list[tuple[bool, float]], bins: int) -> None:
    """The error is the bins' mean gap by mass, between 0 and 1, and 0 for the truth itself."""
    labels, scores = columns(rows)
    found = metrics.reliability(labels, scores, bins)
    assert sum(b.count for b in found) == len(rows)
    gap = sum(abs(b.predicted - b.observed) * b.count for b in found) / len(rows)
    assert one(metrics.ece(labels, scores, bins)) == pytest.approx(gap)
    assert 0 <= gap <= 1
    assert one(metrics.ece(labels, np.array(labels, dtype=float), bins)) == 0


@pytest.mark.parametrize(
    ("predicted", "actual", "within", "hits"),
    [
        ([(3, "bug")], [(3, "bug")], 0, 1),
        ([(3, "bug")], [(3, "style")], 0, 0),
        ([(4, "bug")], [(3, "bug")], 0, 0),
        ([(4, "bug")], [(3, "bug")], 1, 1),
        ([(2, "bug"), (4, "bug")], [(3, "bug")], 1, 1),
        ([(3, "bug"), (4, "bug")], [(3, "bug"), (5, "bug")], 1, 2),
        ([], [(3, "bug")], 1, 0),
    ],
    ids=["exact", "category", "line off", "within 1", "one finding", "nearest first", "silent"],
)
def test_matches_by_hand(
    predicted: list[metrics.Anchor], actual: list[metrics.Anchor], within: int, hits: int
) -> None:
    """A finding is found once, by a prediction of its category that is near enough."""
    assert metrics.match_count(predicted, actual, within) == hits


@given(ANCHORS, ANCHORS, st.integers(0, 3))
def test_matches_are_bounded_and_grow_with_the_distance(
    predicted: list[metrics.Anchor], actual: list[metrics.Anchor], within: int
) -> None:
    """Never more hits than either side has; everything matches itself."""
    hits = metrics.match_count(predicted, actual, within)
    assert hits <= min(len(predicted), len(actual))
    assert metrics.match_count(predicted, predicted, within) == len(predicted)
    assert metrics.match_count(predicted, actual, 0) <= hits


def test_random_hit_counts_distinct_lines() -> None:
    """Two findings on one of four lines are hit one time in four; never more than always."""
    assert metrics.random_hit([3, 3], 4) == 0.25
    assert metrics.random_hit([1, 2, 3], 2) == 1.0
    assert metrics.random_hit([1], 0) == 1.0
