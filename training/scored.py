"""Items with the label probabilities a model gave their lines, as values and as arrays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from engine.findings import Category
from engine.prompts import LABELS, NO_FINDING
from engine.scores import Calibration, LineScore, line_scores
from training.metrics import Floats
from training.records import ReviewItem

Probabilities = tuple[tuple[float, ...], ...]
"""A row a commentable line, over `engine.prompts.LABELS`."""


@dataclass(frozen=True)
class ScoredItem:
    """An item and what a model thinks of its lines."""

    item: ReviewItem
    probabilities: Probabilities

    @cached_property
    def lines(self) -> tuple[int, ...]:
        """The commentable lines' numbers in the new file."""
        return tuple(line.new_number or 0 for line in self.item.to_chunk().commentable)

    def scores(self, calibration: Calibration) -> list[LineScore]:
        """Return the calibrated score of each line."""
        return line_scores(self.lines, self.probabilities, calibration)

    def anchors(self) -> list[tuple[int, Category]]:
        """Return each line with its likeliest category."""
        return [(score.line, score.category) for score in self.scores(Calibration())]

    def top(self) -> tuple[int, Category] | None:
        """Return the likeliest line and its category, None if no line can carry a finding."""
        best = max(self.scores(Calibration()), key=lambda score: score.raw, default=None)
        return None if best is None else (best.line, best.category)


@dataclass(frozen=True, slots=True)
class LineTable:
    """Every line of every item in columns; `item` is the row of `has_finding` that a line belongs to."""

    raw: Floats  # 1 - P(ok)
    has_remark: npt.NDArray[np.bool_]
    item: npt.NDArray[np.intp]
    has_finding: npt.NDArray[np.bool_]

    def item_scores(self, lines: Floats) -> Floats:
        """Return the highest of `lines`, a score a line, of each item; 0 for an item without lines."""
        best = np.zeros(len(self.has_finding))
        np.maximum.at(best, self.item, lines)
        return best

    def of_items(self, chosen: npt.NDArray[np.bool_]) -> LineTable:
        """Return the table of the items that `chosen` marks, renumbered."""
        kept = chosen[self.item]
        numbers = np.cumsum(chosen) - 1
        return LineTable(
            self.raw[kept], self.has_remark[kept], numbers[self.item[kept]], self.has_finding[chosen]
        )


def line_table(items: Sequence[ScoredItem]) -> LineTable:
    """Return the lines of `items`, in order."""
    raw: list[float] = []
    has_remark: list[bool] = []
    item_of: list[int] = []
    for number, scored in enumerate(items):
        remarked = {finding.line for finding in scored.item.findings}
        raw += [1 - row[LABELS.index(NO_FINDING)] for row in scored.probabilities]
        has_remark += [line in remarked for line in scored.lines]
        item_of += [number] * len(scored.lines)
    has_finding = [bool(scored.item.findings) for scored in items]
    return LineTable(
        np.asarray(raw, dtype=float),
        np.asarray(has_remark, dtype=bool),
        np.asarray(item_of, dtype=np.intp),
        np.asarray(has_finding, dtype=bool),
    )
