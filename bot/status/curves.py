"""A loss curve as SVG with axes. Pure; its numbers stand beside it as a table, too."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from engine.curves import LossCurve

_WIDTH, _HEIGHT = 360, 210
_LEFT, _RIGHT, _TOP, _BOTTOM = 40, 14, 26, 38  # between the picture's edge and the axes
_TICKS = 4  # about so many spaces on an axis
_FLAT = 1e-6  # of a loss: what differs by less is one height
_MARKED = 24  # so many points of a curve have a mark each

Places = Sequence[tuple[int, float]]
"""Steps with their losses."""


@dataclass(frozen=True, slots=True)
class CurveWords:
    """What is written into the picture, and read aloud of it."""

    title: str
    description: str
    step: str
    loss: str
    kept: str


def series(curve: LossCurve) -> tuple[Places, Places]:
    """Return the losses of training, and of validation."""
    training = [(point.step, point.training) for point in curve.points if point.training is not None]
    validation = [(point.step, point.validation) for point in curve.points if point.validation is not None]
    return training, validation


def loss_chart(curve: LossCurve, words: CurveWords, name: str, steps: int = 0) -> str:
    """Return the picture of a curve that has a point; `name` is its own in the page.

    There is room for `steps`, where more than these are to be trained.
    """
    training, validation = series(curve)
    losses = [loss for _, loss in (*training, *validation)]
    axes = _Axes(max(steps, curve.points[-1].step), ticks(min(losses), max(losses)))
    return (
        f'<svg class="curve" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" '
        f'aria-labelledby="{name}-title {name}-text"><title id="{name}-title">{escape(words.title)}</title>'
        f'<desc id="{name}-text">{escape(words.description)}</desc>'
        f"{axes.drawn(words)}{axes.kept(curve.kept_step, words.kept)}"
        f"{axes.line('training', training)}{axes.line('validation', validation)}</svg>"
    )


def ticks(low: float, high: float, about: int = _TICKS) -> tuple[float, ...]:
    """Return round numbers at equal distances, from `low` or just below to `high` or just above."""
    span = high - low
    if span <= _FLAT * abs(high):
        span = abs(high) or 1.0
    power = 10.0 ** math.floor(math.log10(span / about))
    size = next(power * factor for factor in (1, 2, 5, 10) if power * factor * (1 + 1e-9) >= span / about)
    first, last = math.floor(low / size + 1e-9), math.ceil(high / size - 1e-9)
    return tuple(number * size for number in range(first, max(last, first + 1) + 1))


class _Axes:
    """Where steps and losses are in the picture."""

    def __init__(self, last_step: int, losses: Sequence[float]) -> None:
        self._last_step = max(1, last_step)
        self._losses = losses
        self._steps = sorted({round(step) for step in ticks(0, self._last_step) if step <= self._last_step})

    def x(self, step: float) -> float:
        return _LEFT + step / self._last_step * (_WIDTH - _LEFT - _RIGHT)

    def y(self, loss: float) -> float:
        low, high = self._losses[0], self._losses[-1]
        return _HEIGHT - _BOTTOM - (loss - low) / (high - low) * (_HEIGHT - _TOP - _BOTTOM)

    def drawn(self, words: CurveWords) -> str:
        """Return lines to read losses by, steps below them, and what both are."""
        right, bottom = _WIDTH - _RIGHT, _HEIGHT - _BOTTOM
        parts = []
        for loss in self._losses:
            y = self.y(loss)
            parts.append(f'<line class="grid" x1="{_LEFT}" y1="{y:.1f}" x2="{right}" y2="{y:.1f}"/>')
            parts.append(_text(_LEFT - 7, y + 4, "end", f"{loss:.6g}"))
        for step in self._steps:
            x = self.x(step)
            parts.append(f'<line class="tick" x1="{x:.1f}" y1="{bottom}" x2="{x:.1f}" y2="{bottom + 4}"/>')
            parts.append(_text(x, bottom + 16, "middle", str(step)))
        parts.append(f'<line class="tick" x1="{_LEFT}" y1="{bottom}" x2="{right}" y2="{bottom}"/>')
        parts.append(_text(0, 12, "start", words.loss))
        parts.append(_text(right, _HEIGHT - 5, "end", words.step))
        return "".join(parts)

    def kept(self, step: int | None, said: str) -> str:
        """Return a line at the step whose weights were kept, its words on the side with more room."""
        if step is None or step > self._last_step:
            return ""
        x, is_right = self.x(step), step > self._last_step / 2
        said_at = _text(x - 5 if is_right else x + 5, _TOP + 10, "end" if is_right else "start", said)
        bottom = _HEIGHT - _BOTTOM
        return f'<line class="kept" x1="{x:.1f}" y1="{_TOP}" x2="{x:.1f}" y2="{bottom}"/>{said_at}'

    def line(self, name: str, places: Places) -> str:
        """Return a curve, its points marked where they are few: round in training, square in validation."""
        placed = [(self.x(step), self.y(loss)) for step, loss in places]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in placed)
        marked = placed if len(placed) <= _MARKED else placed[-1:]
        mark = _dot if name == "training" else _square
        return f'<g class="{name}"><polyline points="{path}"/>{"".join(mark(x, y) for x, y in marked)}</g>'


def _text(x: float, y: float, anchor: str, said: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(said)}</text>'


def _dot(x: float, y: float) -> str:
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2.5"/>'


def _square(x: float, y: float) -> str:
    return f'<rect x="{x - 3:.1f}" y="{y - 3:.1f}" width="6" height="6"/>'
