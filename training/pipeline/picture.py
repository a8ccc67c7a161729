"""What came of a run, as a picture: the losses of training, and the measures before and after."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from engine.curves import LossPoint
from engine.errors import unimportable
from engine.retraining import MeasureRow
from training.jsonl import replaced

_SHARES = ("top1", "top1_category", "item_auc", "silent_clean")
_COLOURS = {"base": "0.75", "before": "tab:blue", "candidate": "tab:orange"}


def draw_result(path: Path, points: Sequence[LossPoint], rows: Sequence[MeasureRow]) -> None:
    """Draw a PNG; raises MissingExtra where nothing can draw."""
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise unimportable(error, "matplotlib", "train") from error
    figure = Figure(figsize=(9, 3.6), dpi=110, layout="constrained")
    left, right = figure.subplots(1, 2)
    _losses(left, points)
    _measures(right, [row for row in rows if row.name in _SHARES])
    with replaced(path) as part:
        figure.savefig(part, format="png")


def _losses(axes: Any, points: Sequence[LossPoint]) -> None:
    training = [(point.step, point.training) for point in points if point.training is not None]
    validation = [(point.step, point.validation) for point in points if point.validation is not None]
    for name, values, colour, marker in (
        ("training", training, "tab:orange", None),
        ("validation", validation, "tab:green", "o"),
    ):
        if values:
            axes.plot(*zip(*values, strict=True), label=name, color=colour, marker=marker)
    axes.set(title="loss, nats a label", xlabel="step")
    if points:
        axes.legend()


def _measures(axes: Any, rows: Sequence[MeasureRow]) -> None:
    height = 0.26
    for number, (name, colour) in enumerate(_COLOURS.items()):
        values = [(row.base, row.champion, row.candidate)[number] or 0.0 for row in rows]
        places = [place + (number - 1) * height for place in range(len(rows))]
        axes.barh(places, values, height, label=name, color=colour)
    axes.set(title="held-out items", xlim=(0, 1), yticks=range(len(rows)), yticklabels=[r.name for r in rows])
    axes.invert_yaxis()
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.08), ncols=3)
