"""What an evaluation measures, as plain functions of arrays.

A statistic that takes `weights` is computed once for every row of them: `(samples, n)` weights, one column
an observation, give `(samples,)` values. `None` counts each observation once and gives one value. Bootstrap
samples (`training.bootstrap`) are such rows, so an interval costs one call. A statistic without a value,
like an AUC of one class, is NaN.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Anchor = tuple[int, str]
"""Where a finding is: line and category."""


def auc(labels: npt.ArrayLike, scores: npt.ArrayLike, weights: Floats | None = None) -> Floats:
    """Return the probability that a positive outranks a negative; a tie counts half."""
    positive, negative = _mass_by_score(labels, scores, weights)
    below = np.cumsum(negative, axis=1) - negative
    won = (positive * (below + negative / 2)).sum(1)
    return _ratio(won, positive.sum(1) * negative.sum(1))


def average_precision(labels: npt.ArrayLike, scores: npt.ArrayLike, weights: Floats | None = None) -> Floats:
    """Return the mean precision over the recall steps, equal scores taken together."""
    positive, negative = (mass[:, ::-1] for mass in _mass_by_score(labels, scores, weights))
    found = np.cumsum(positive, axis=1)
    shown = found + np.cumsum(negative, axis=1)
    steps = positive * np.divide(found, shown, out=np.zeros_like(found), where=shown > 0)
    return _ratio(steps.sum(1), positive.sum(1))


def mean(values: npt.ArrayLike, weights: Floats | None = None, *, per: npt.ArrayLike | None = None) -> Floats:
    """Return the sum of `values` for each of `per`: for each observation by default, a ratio otherwise."""
    numerator = np.asarray(values, dtype=float)
    denominator = np.ones_like(numerator) if per is None else np.asarray(per, dtype=float)
    weights = _weights(weights, len(numerator))
    return _ratio(weights @ numerator, weights @ denominator)


def f1(
    hits: npt.ArrayLike, predicted: npt.ArrayLike, actual: npt.ArrayLike, weights: Floats | None = None
) -> Floats:
    """Return 2 hits / (predicted + actual), each given per item."""
    return mean(2 * np.asarray(hits), weights, per=np.asarray(predicted) + np.asarray(actual))


def silence_threshold(
    clean_scores: npt.ArrayLike, share: float = 0.9, weights: Floats | None = None
) -> Floats:
    """Return the score to exceed before speaking, so that `share` of the clean items stay silent."""
    scores = np.asarray(clean_scores, dtype=float)
    if not len(scores):
        return np.full(1 if weights is None else len(weights), np.nan)
    order = np.argsort(scores, kind="stable")
    mass = np.cumsum(_weights(weights, len(scores))[:, order], axis=1)
    rank = np.minimum(np.floor(share * mass[:, -1]), mass[:, -1] - 1)
    limits: Floats = scores[order][(mass > rank[:, None]).argmax(1)]
    return np.where(mass[:, -1] > 0, limits, np.nan)


def recall_at_silence(
    labels: npt.ArrayLike, scores: npt.ArrayLike, share: float = 0.9, weights: Floats | None = None
) -> Floats:
    """Return the share of the items with a finding that score above `silence_threshold` of the clean ones."""
    positive, values = np.asarray(labels, dtype=bool), np.asarray(scores, dtype=float)
    weights = _weights(weights, len(values))
    limit = silence_threshold(values[~positive], share, weights[:, ~positive])
    mass = weights[:, positive]
    recall = _ratio((mass * (values[positive] > limit[:, None])).sum(1), mass.sum(1))
    return np.where(np.isnan(limit), np.nan, recall)


def brier(labels: npt.ArrayLike, probabilities: npt.ArrayLike, weights: Floats | None = None) -> Floats:
    """Return the mean squared distance of the probabilities from what happened."""
    return mean((np.asarray(probabilities, dtype=float) - np.asarray(labels, dtype=float)) ** 2, weights)


def ece(
    labels: npt.ArrayLike, probabilities: npt.ArrayLike, bins: int = 10, weights: Floats | None = None
) -> Floats:
    """Return the expected calibration error over bins of equal mass; the bins are those of all data."""
    gaps = np.asarray(labels, dtype=float) - np.asarray(probabilities, dtype=float)
    weights = _weights(weights, len(gaps))
    per_bin = [np.abs(weights[:, members] @ gaps[members]) for members in _equal_mass(probabilities, bins)]
    return _ratio(np.sum(per_bin, axis=0) if per_bin else np.zeros(len(weights)), weights.sum(1))


@dataclass(frozen=True, slots=True)
class ReliabilityBin:
    """Predictions of similar confidence: what was said and what happened."""

    predicted: float
    observed: float
    count: int


def reliability(labels: npt.ArrayLike, probabilities: npt.ArrayLike, bins: int = 10) -> list[ReliabilityBin]:
    """Return at most `bins` bins of equal mass, by rising probability."""
    truth, said = np.asarray(labels, dtype=float), np.asarray(probabilities, dtype=float)
    return [
        ReliabilityBin(float(said[members].mean()), float(truth[members].mean()), len(members))
        for members in _equal_mass(said, bins)
    ]


def match_count(predicted: Sequence[Anchor], actual: Sequence[Anchor], within: int = 0) -> int:
    """Return how many predictions find an actual finding of their category at most `within` lines away.

    One to one, the nearest pairs first.
    """
    pairs = sorted(
        (abs(line - other), here, there)
        for here, (line, category) in enumerate(predicted)
        for there, (other, kind) in enumerate(actual)
        if category == kind and abs(line - other) <= within
    )
    used_predictions: set[int] = set()
    used_findings: set[int] = set()
    for _, here, there in pairs:
        if here not in used_predictions and there not in used_findings:
            used_predictions.add(here)
            used_findings.add(there)
    return len(used_predictions)


def random_hit(actual_lines: Sequence[int], commentable: int) -> float:
    """Return the chance that a line drawn from `commentable` ones carries a finding."""
    return min(1.0, len(set(actual_lines)) / max(1, commentable))


def roc_curve(labels: npt.ArrayLike, scores: npt.ArrayLike) -> tuple[Floats, Floats]:
    """Return false and true positive rates from (0, 0) to (1, 1), one point a distinct score."""
    positive, negative = (mass[0, ::-1] for mass in _mass_by_score(labels, scores, None))
    rates = (np.concatenate([[0.0], np.cumsum(mass)]) for mass in (negative, positive))
    false, true = (rate / max(rate[-1], 1.0) for rate in rates)
    return false, true


def precision_recall_curve(labels: npt.ArrayLike, scores: npt.ArrayLike) -> tuple[Floats, Floats]:
    """Return recall and precision by falling score, one point a distinct score."""
    positive, negative = (np.cumsum(mass[0, ::-1]) for mass in _mass_by_score(labels, scores, None))
    return positive / max(positive[-1] if len(positive) else 0.0, 1.0), positive / (positive + negative)


def _mass_by_score(
    labels: npt.ArrayLike, scores: npt.ArrayLike, weights: Floats | None
) -> tuple[Floats, Floats]:
    """Positive and negative weight at each distinct score, by rising score: `(samples, scores)` each."""
    values, truth = np.asarray(scores, dtype=float), np.asarray(labels, dtype=float)
    order = np.argsort(values, kind="stable")
    _, starts = np.unique(values[order], return_index=True)
    mass, truth = _weights(weights, len(values))[:, order], truth[order]
    if not len(values):
        return mass, mass
    return np.add.reduceat(mass * truth, starts, axis=1), np.add.reduceat(mass * (1 - truth), starts, axis=1)


def _equal_mass(probabilities: npt.ArrayLike, bins: int) -> list[npt.NDArray[np.intp]]:
    order = np.argsort(np.asarray(probabilities, dtype=float), kind="stable")
    return [members for members in np.array_split(order, bins) if len(members)]


def _weights(weights: Floats | None, count: int) -> Floats:
    return np.ones((1, count)) if weights is None else np.asarray(weights, dtype=float)


def _ratio(numerator: Floats, denominator: Floats) -> Floats:
    return np.divide(numerator, denominator, out=np.full_like(denominator, np.nan), where=denominator > 0)
