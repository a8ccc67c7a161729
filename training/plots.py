"""An evaluation's plots, as PNG files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.errors import unimportable
from training.evaluate import System
from training.measures import ALL, Spoken
from training.metrics import precision_recall_curve, reliability, roc_curve


@dataclass(frozen=True, slots=True)
class Plot:
    """A plot beside the report."""

    title: str
    file: str


def draw_plots(systems: Sequence[System], out: Path) -> list[Plot]:
    """Draw reliability, ROC, precision over recall and the sources into `out`; return what was drawn."""
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise unimportable(error, "matplotlib", "train") from error
    drawn = []
    for title, name, draw in (
        ("Reliability of line and item probabilities", "reliability.png", _reliability),
        ("Items and lines, ROC", "roc.png", _roc),
        ("Items and lines, precision over recall", "precision_recall.png", _precision_recall),
        ("By source", "sources.png", _sources),
    ):
        # Figure without pyplot draws with Agg and needs no global state.
        figure = Figure(figsize=(9, 4.5), dpi=120, layout="constrained")
        draw(figure, systems)
        figure.savefig(out / name)
        drawn.append(Plot(title, name))
    return drawn


def _reliability(figure: Any, systems: Sequence[System]) -> None:
    for axes, level in zip(figure.subplots(1, 2), ("lines", "items"), strict=True):
        axes.plot([0, 1], [0, 1], color="0.7", linewidth=1)
        for system in systems:
            bins = reliability(*_said(system.spoken, level))
            said, observed = [b.predicted for b in bins], [b.observed for b in bins]
            axes.plot(said, observed, marker="o", markersize=3, label=system.name)
        axes.set(title=level, xlabel="said", ylabel="observed", xlim=(0, 1), ylim=(0, 1), aspect="equal")
        axes.legend()


def _said(spoken: Spoken, level: str) -> tuple[Any, Any]:
    if level == "lines":
        return spoken.table.has_remark, spoken.probabilities
    return spoken.table.has_finding, spoken.item_probabilities


def _roc(figure: Any, systems: Sequence[System]) -> None:
    for axes, level, curves in _levels(figure, systems):
        for name, labels, scores in curves:
            axes.plot(*roc_curve(labels, scores), label=name)
        axes.set(title=level, xlabel="false positive rate", ylabel="true positive rate")
        axes.legend()


def _precision_recall(figure: Any, systems: Sequence[System]) -> None:
    for axes, level, curves in _levels(figure, systems):
        for name, labels, scores in curves:
            axes.plot(*precision_recall_curve(labels, scores), label=name)
        axes.set(title=level, xlabel="recall", ylabel="precision", ylim=(0, 1.02))
        axes.legend()


def _sources(figure: Any, systems: Sequence[System]) -> None:
    first = systems[0]
    names = [name for name in first.measures if name != ALL] or [ALL]
    for axes, measure in zip(figure.subplots(1, 2, sharey=True), ("item_auc", "top1"), strict=True):
        height = 0.8 / len(systems)
        for number, system in enumerate(systems):
            values = [system.estimates()[name][measure].value or 0.0 for name in names]
            places = [place + number * height for place in range(len(names))]
            axes.barh(places, values, height, label=system.name)
        axes.set(title=measure, xlim=(0, 1), yticks=range(len(names)), yticklabels=names)
    axes.legend(loc="lower right")


def _levels(figure: Any, systems: Sequence[System]) -> Iterator[tuple[Any, str, list[tuple[str, Any, Any]]]]:
    items, lines = figure.subplots(1, 2)
    tables = [(system.name, system.spoken.table) for system in systems]
    yield items, "items", [(name, t.has_finding, t.item_scores(t.raw)) for name, t in tables]
    yield lines, "lines", [(name, t.has_remark, t.raw) for name, t in tables]
