"""The loss curve of a run, as a PNG file."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

from engine.curves import LossPoint

log = logging.getLogger(__name__)


def draw_losses(history: Sequence[LossPoint], path: Path) -> None:
    """Draw training and validation loss over steps to `path`; without matplotlib, only say so."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        log.warning("no loss curve: matplotlib is not installed")
        return
    # Figure without pyplot draws with Agg and needs no global state.
    figure = Figure(figsize=(8, 4.5), dpi=120, layout="constrained")
    axes = figure.subplots()
    for column, name in ((1, "training"), (2, "validation")):
        points = [(point[0], point[column]) for point in history if point[column] is not None]
        if points:
            steps, losses = zip(*points, strict=True)
            axes.plot(steps, losses, label=name, marker="o" if len(points) < 50 else None, markersize=3)
    axes.set(xlabel="step", ylabel="loss, nats a label")
    if history:
        axes.legend()
    axes.grid(alpha=0.3)
    figure.savefig(path)
