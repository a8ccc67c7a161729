"""The table of an evaluation: every measure of every source, with bootstrap intervals."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from engine.scores import Calibration
from training import metrics
from training.bootstrap import Estimate, estimate, item_weights, spread
from training.calibration import apply, cross_fit
from training.metrics import Floats
from training.scored import LineTable, ScoredItem, line_table

ALL = "all"
Measures = dict[str, Floats]
"""Measure -> its value, then that of each bootstrap sample."""

_SUFFIX = re.compile(r"(\+[^-]*|-(clean|ok|good|uncommented))$")


@dataclass(frozen=True, slots=True)
class Spoken:
    """A system's scores as it would speak: calibrated, with the lines that pass the threshold."""

    items: tuple[ScoredItem, ...]
    table: LineTable
    probabilities: Floats  # a line, calibrated
    item_probabilities: Floats  # that an item has a finding, calibrated
    passes: npt.NDArray[np.bool_]  # a line


def speak(items: Sequence[ScoredItem], calibration: Calibration | None) -> Spoken:
    """Return what `calibration` makes of the scores; None calibrates each item by the others."""
    table = line_table(items)
    if calibration is None:
        fitted = cross_fit(table)
        passes = fitted.probabilities >= fitted.thresholds[table.item]
        return Spoken(tuple(items), table, fitted.probabilities, fitted.item_probabilities, passes)
    scores = [score for item in items for score in item.scores(calibration)]
    passes = np.array([calibration.passes(score) for score in scores], dtype=bool)
    said = apply(calibration.points, table.raw)
    likely = apply(calibration.item_points or calibration.points, table.item_scores(table.raw))
    return Spoken(tuple(items), table, said, likely, passes)


def family(source: str) -> str:
    """Return the name that a source of findings shares with the source of its clean counterparts."""
    return _SUFFIX.sub("", source) or source


def groups(items: Sequence[ScoredItem]) -> dict[str, npt.NDArray[np.bool_]]:
    """Return a mask of all items, and one for each family of sources where there are several."""
    families = np.array([family(scored.item.source) for scored in items], dtype=object)
    names = sorted(set(families.tolist()))
    masks = {ALL: np.ones(len(items), dtype=bool)}
    return masks | ({name: families == name for name in names} if len(names) > 1 else {})


def measure(spoken: Spoken, samples: int = 1000, seed: int = 0) -> dict[str, Measures]:
    """Return each group's measures. Two systems on the same items and seed get paired samples."""
    weights = item_weights(len(spoken.items), samples, seed)
    return {
        name: _measure(_part(spoken, mask), weights[:, mask]) for name, mask in groups(spoken.items).items()
    }


def estimates(measures: Mapping[str, Floats]) -> dict[str, Estimate]:
    """Return each measure's value and interval."""
    return {name: estimate(values) for name, values in measures.items()}


def differences(ours: Measures, theirs: Measures) -> dict[str, Estimate]:
    """Return by how much each measure of ours is above theirs, on the same samples."""
    return {name: estimate(values - theirs[name]) for name, values in ours.items() if name in theirs}


def _part(spoken: Spoken, mask: npt.NDArray[np.bool_]) -> Spoken:
    items = tuple(scored for scored, chosen in zip(spoken.items, mask, strict=True) if chosen)
    lines = mask[spoken.table.item]
    return Spoken(
        items,
        spoken.table.of_items(mask),
        spoken.probabilities[lines],
        spoken.item_probabilities[mask],
        spoken.passes[lines],
    )


def _measure(spoken: Spoken, weights: Floats) -> Measures:
    return _ranking(spoken, weights) | _speaking(spoken, weights)


def _ranking(spoken: Spoken, weights: Floats) -> Measures:
    """What needs no threshold. By raw probability: a calibration may put lines level, never reorder them."""
    table = spoken.table
    scores = table.item_scores(table.raw)
    lines = spread(weights, table.item)
    tops = [_top(scored) for scored in spoken.items]
    with_finding = table.has_finding.astype(float)
    return {
        "item_auc": metrics.auc(table.has_finding, scores, weights),
        "item_ap": metrics.average_precision(table.has_finding, scores, weights),
        "recall90": metrics.recall_at_silence(table.has_finding, scores, 0.9, weights),
        "line_auc": metrics.auc(table.has_remark, table.raw, lines),
        "line_ap": metrics.average_precision(table.has_remark, table.raw, lines),
        "top1": metrics.mean([top[0] for top in tops], weights, per=with_finding),
        "top1_random": metrics.mean([top[1] for top in tops], weights, per=with_finding),
        "top1_category": metrics.mean([top[2] for top in tops], weights, per=with_finding),
    }


def _speaking(spoken: Spoken, weights: Floats) -> Measures:
    """What depends on calibration and threshold."""
    table, lines = spoken.table, spread(weights, spoken.table.item)
    counts = np.bincount(table.item[spoken.passes], minlength=len(table.has_finding)).astype(float)
    clean = (~table.has_finding).astype(float)
    return {
        **_matches(spoken, 0, "", weights),
        **_matches(spoken, 1, "_within1", weights),
        "silent_clean": metrics.mean(clean * (counts == 0), weights, per=clean),
        "false_alarms_per_clean_item": metrics.mean(clean * counts, weights, per=clean),
        "recall_items": metrics.mean((1 - clean) * (counts > 0), weights, per=1 - clean),
        "findings_per_item": metrics.mean(counts, weights),
        "line_ece": metrics.ece(table.has_remark, spoken.probabilities, weights=lines),
        "item_ece": metrics.ece(table.has_finding, spoken.item_probabilities, weights=weights),
        "line_brier": metrics.brier(table.has_remark, spoken.probabilities, lines),
    }


def _matches(spoken: Spoken, within: int, suffix: str, weights: Floats) -> Measures:
    said: list[list[metrics.Anchor]] = [[] for _ in spoken.items]
    anchors = [anchor for scored in spoken.items for anchor in scored.anchors()]
    for number, anchor, passes in zip(spoken.table.item, anchors, spoken.passes, strict=True):
        if passes:
            said[number].append(anchor)
    actual = [sorted({(f.line, f.category) for f in scored.item.findings}) for scored in spoken.items]
    hits = [metrics.match_count(ours, theirs, within) for ours, theirs in zip(said, actual, strict=True)]
    predicted, present = [len(found) for found in said], [len(found) for found in actual]
    return {
        f"precision{suffix}": metrics.mean(hits, weights, per=predicted),
        f"recall{suffix}": metrics.mean(hits, weights, per=present),
        f"f1{suffix}": metrics.f1(hits, predicted, present, weights),
    }


def _top(scored: ScoredItem) -> tuple[bool, float, bool]:
    """Whether the likeliest line has a finding, the chance of it, and whether its category is right too."""
    actual = {(finding.line, finding.category) for finding in scored.item.findings}
    lines = [line for line, _ in actual]
    top = scored.top()
    if top is None or not actual:
        return False, metrics.random_hit(lines, len(scored.lines)) if actual else 0.0, False
    return top[0] in lines, metrics.random_hit(lines, len(scored.lines)), top in actual


def source_sizes(items: Sequence[ScoredItem]) -> dict[str, tuple[int, int]]:
    """Return each group's number of items with findings and of clean ones."""
    sizes = Counter((family(scored.item.source), bool(scored.item.findings)) for scored in items)
    names = sorted({name for name, _ in sizes})
    total = (sum(sizes[name, True] for name in names), sum(sizes[name, False] for name in names))
    return {ALL: total} | {name: (sizes[name, True], sizes[name, False]) for name in names}
