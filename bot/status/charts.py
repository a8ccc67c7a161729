"""Small pictures as SVG in the page itself. Pure; what they show stands beside them as text, too."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

_WIDTH, _HEIGHT, _MARGIN = 240, 72, 8
_BAR_WIDTH, _BAR_HEIGHT = 480, 12


def line(points: Sequence[tuple[str, float]], label: str) -> str:
    """Return a curve through named values, in their order."""
    values = [value for _, value in points]
    low, high = min(values), max(values)
    step = (_WIDTH - 2 * _MARGIN) / max(1, len(points) - 1)

    def place(number: int, value: float) -> tuple[float, float]:
        share = (value - low) / (high - low) if high > low else 0.5
        return _MARGIN + number * step, _HEIGHT - _MARGIN - share * (_HEIGHT - 2 * _MARGIN)

    placed = [place(number, value) for number, value in enumerate(values)]
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in placed)
    dots = "".join(
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3"><title>{escape(name)}: {value:.3g}</title></circle>'
        for (name, value), (x, y) in zip(points, placed, strict=True)
    )
    return (
        f'<svg class="line" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{escape(label)}">'
        f'<polyline points="{path}"/>{dots}</svg>'
    )


def bar(parts: Sequence[tuple[str, int]], label: str) -> str:
    """Return a bar of named parts; each has its name as its class."""
    total, x, drawn = sum(count for _, count in parts), 0.0, []
    for name, count in parts:
        width = _BAR_WIDTH * count / total
        drawn.append(f'<rect class="{escape(name)}" x="{x:.1f}" width="{width:.1f}" height="{_BAR_HEIGHT}"/>')
        x += width
    return (
        f'<svg class="bar" viewBox="0 0 {_BAR_WIDTH} {_BAR_HEIGHT}" preserveAspectRatio="none" role="img" '
        f'aria-label="{escape(label)}">{"".join(drawn)}</svg>'
    )
