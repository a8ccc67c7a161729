"""A dataset's plots, as PNG files."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

from engine.errors import unimportable
from engine.sanitize import one_line
from training.dataset import Dataset
from training.dataset_texts import DatasetTexts

_MOST = 15


def draw(dataset: Dataset, out: Path, texts: DatasetTexts) -> list[tuple[str, str]]:
    """Draw lengths and counts into `out`; return title and file name of each plot."""
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise unimportable(error, "matplotlib", "train") from error
    lengths = Figure(figsize=(9, 3.5), dpi=110, layout="constrained")
    for axes, (values, name) in zip(
        lengths.subplots(1, 2),
        ((dataset.code_tokens, "code"), (dataset.message_tokens, "message")),
        strict=True,
    ):
        axes.hist(values.values, bins=40)
        axes.set(title=name, xlabel="tokens")
    lengths.savefig(out / "lengths.png")
    plots = [(texts.lengths, "lengths.png")]
    for key in ("language", "category", "author", "label", "month"):
        counts = dataset.by.get(key)
        if counts:
            _bars(Figure(figsize=(9, 3.5), dpi=110, layout="constrained"), counts, key).savefig(
                out / f"{key}.png"
            )
            plots.append((texts.by[key], f"{key}.png"))
    return plots


def _bars(figure: Any, counts: Counter[str], key: str) -> Any:
    shown = sorted(counts.items())[-_MOST:] if key == "month" else counts.most_common(_MOST)[::-1]
    axes = figure.subplots()
    # A label is other people's text: a dollar sign would start mathematics.
    names = [one_line(name).replace("$", r"\$")[:40] for name, _ in shown]
    axes.barh(range(len(shown)), [count for _, count in shown])
    axes.set(title=key, yticks=range(len(shown)), yticklabels=names)
    return figure
