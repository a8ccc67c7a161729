"""Fits the map from a line's raw finding probability to what it means, and the threshold for speaking.

Two maps compete by cross-validation: isotonic regression, which follows the data, and Platt's sigmoid, which
has two numbers to learn. Both become the few points of `engine.scores.Calibration`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from math import nextafter

import numpy as np
import numpy.typing as npt

from engine.scores import Calibration
from training.metrics import Floats, brier, silence_threshold
from training.scored import LineTable

MAX_POINTS = 20
Point = tuple[float, float]
Fit = Callable[[Floats, Floats], tuple[Point, ...]]

_EDGE = 1e-6
_RIDGE = 1e-6


@dataclass(frozen=True, slots=True)
class CrossFitted:
    """What calibrations that never saw an item say about it."""

    probabilities: Floats  # a line
    item_probabilities: Floats
    thresholds: Floats  # an item


def fit_calibration(table: LineTable, silent_share: float = 0.9) -> Calibration:
    """Return the better map, fitted on all lines, and the threshold that keeps clean items silent.

    Items get a map of their own from their likeliest line: that one of many lines is bad is likelier than
    that the likeliest is. Without lines there is nothing to fit, and the identity is returned.
    """
    if not len(table.raw):
        return Calibration()
    points = _fit_better(table.raw, table.has_remark, table.item)
    items = np.arange(len(table.has_finding))
    item_points = _fit_better(table.item_scores(table.raw), table.has_finding, items)
    threshold = _threshold(points, table, silent_share)
    return Calibration(points=points, item_points=item_points, threshold=threshold)


def cross_fit(table: LineTable, silent_share: float = 0.9, folds: int = 5, seed: int = 0) -> CrossFitted:
    """Return each line's and item's probability and each item's threshold by a fit on the other folds."""
    probabilities, raw_items = np.zeros(len(table.raw)), table.item_scores(table.raw)
    items, thresholds = np.zeros(len(raw_items)), np.zeros(len(raw_items))
    for held in _folds(len(raw_items), folds, seed):
        calibration = fit_calibration(table.of_items(~held), silent_share)
        lines = held[table.item]
        probabilities[lines] = apply(calibration.points, table.raw[lines])
        items[held] = apply(calibration.item_points or calibration.points, raw_items[held])
        thresholds[held] = calibration.threshold
    return CrossFitted(probabilities, items, thresholds)


def isotonic(raw: Floats, labels: Floats) -> tuple[Point, ...]:
    """Return the rising step function nearest to `labels` by pooling adjacent violators, as points."""
    values, group, counts = np.unique(raw, return_inverse=True, return_counts=True)
    blocks: list[tuple[float, float, float]] = []  # weight, sum of raw, sum of labels
    remarks = np.bincount(group, weights=labels, minlength=len(values))
    for value, weight, found in zip(values, counts, remarks, strict=True):
        block = (float(weight), float(value * weight), float(found))
        while blocks and blocks[-1][2] * block[0] >= block[2] * blocks[-1][0]:
            last = blocks.pop()
            block = (last[0] + block[0], last[1] + block[1], last[2] + block[2])
        blocks.append(block)
    points = {total / weight: found / weight for weight, total, found in blocks}
    return tuple(_prune(list(points.items()), [weight for weight, _, _ in blocks]))


def platt(raw: Floats, labels: Floats) -> tuple[Point, ...]:
    """Return the sigmoid of a line through the raw log-odds that fits `labels` best, as points."""
    slope, intercept = _logistic(_logit(raw), labels)
    where = np.unique(np.quantile(raw, np.linspace(0, 1, MAX_POINTS))) if len(raw) else np.array([0.5])
    said = _sigmoid(max(slope, 0.0) * _logit(where) + intercept)
    return tuple((float(x), float(y)) for x, y in zip(where, said, strict=True))


def apply(points: Sequence[Point], raw: Floats) -> Floats:
    """Return the calibrated probability of each of `raw`, as `Calibration.calibrate` does for one."""
    where, values = zip(*points, strict=True)
    probabilities: Floats = np.interp(raw, where, values)
    return probabilities


def _fit_better(
    raw: Floats, happened: npt.NDArray[np.bool_], item: npt.NDArray[np.intp]
) -> tuple[Point, ...]:
    """Return the fit of the map with the smaller Brier score on items it was not fitted on."""
    labels = happened.astype(float)
    better = min((isotonic, platt), key=lambda fit: _held_out_brier(raw, labels, item, fit))
    return better(raw, labels)


def _held_out_brier(
    raw: Floats, labels: Floats, item: npt.NDArray[np.intp], fit: Fit, folds: int = 5, seed: int = 1
) -> float:
    said = np.full(len(labels), labels.mean())
    for held in _folds(int(item.max()) + 1, folds, seed):
        rows = held[item]
        if not rows.all():
            said[rows] = apply(fit(raw[~rows], labels[~rows]), raw[rows])
    return float(brier(labels, said)[0])


def _threshold(points: tuple[Point, ...], table: LineTable, silent_share: float) -> float:
    items = table.item_scores(apply(points, table.raw))
    limit = float(silence_threshold(items[~table.has_finding], silent_share)[0])
    # A line speaks at the threshold itself, and the item at the limit is to stay silent.
    return 0.5 if np.isnan(limit) else min(1.0, nextafter(limit, 2.0))


def _folds(items: int, folds: int, seed: int) -> Iterator[npt.NDArray[np.bool_]]:
    """Yield masks of the items held out; fewer where there are fewer items than folds."""
    fold_of = np.random.default_rng(seed).permutation(items) % max(1, min(folds, items))
    for fold in np.unique(fold_of):
        yield fold_of == fold


def _prune(points: list[Point], weights: list[float]) -> list[Point]:
    """Drop the point whose loss moves the least weight, until few enough are left."""
    points, weights = list(points), list(weights)
    while len(points) > MAX_POINTS:
        where, values = (np.array(column) for column in zip(*points, strict=True))
        along = (where[1:-1] - where[:-2]) / (where[2:] - where[:-2])
        bend = np.abs(values[1:-1] - (values[:-2] + along * (values[2:] - values[:-2])))
        drop = 1 + int(np.argmin(bend * np.array(weights[1:-1])))
        del points[drop], weights[drop]
    return points


def _logit(probabilities: Floats) -> Floats:
    inside = np.clip(probabilities, _EDGE, 1 - _EDGE)
    logits: Floats = np.log(inside) - np.log1p(-inside)
    return logits


def _logistic(x: Floats, labels: Floats, steps: int = 50) -> tuple[float, float]:
    """Newton's method; the slight ridge towards the identity keeps separable data finite."""
    design = np.stack([x, np.ones_like(x)], axis=1)
    start = np.array([1.0, 0.0])
    weights = start.copy()
    for _ in range(steps):
        said = _sigmoid(design @ weights)
        gradient = design.T @ (said - labels) + _RIDGE * len(x) * (weights - start)
        curvature = (design.T * (said * (1 - said))) @ design + (_RIDGE * len(x) + 1e-9) * np.eye(2)
        step = np.linalg.solve(curvature, gradient)
        weights -= step
        if np.abs(step).max() < 1e-9:
            break
    return float(weights[0]), float(weights[1])


def _sigmoid(x: Floats) -> Floats:
    probabilities: Floats = 1 / (1 + np.exp(-np.clip(x, -40, 40)))
    return probabilities
