"""Label probabilities -> calibrated line scores. Pure: where probabilities come from is the runner's."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from engine.findings import Category

_CATEGORIES = tuple(Category)


class Calibration(BaseModel):
    """A monotone, piecewise linear map from raw to calibrated finding probability, and what to do with it.

    Fitted on held-out data when the adapter was trained; stands in its manifest.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    points: tuple[tuple[float, float], ...] = Field(
        default=((0.0, 0.0), (1.0, 1.0)),
        description="(raw, calibrated) with raw rising and calibrated not falling; flat outside.",
    )
    item_points: tuple[tuple[float, float], ...] = Field(
        default=(),
        description="(raw of the likeliest line, probability that the whole hunk has a finding); "
        "empty: that of its likeliest line.",
    )
    threshold: float = Field(
        default=0.5,
        ge=0,
        le=1,
        description="Lines whose calibrated probability reaches this are written about.",
    )
    category_thresholds: dict[Category, float] = Field(
        default_factory=dict, description="Stands in for `threshold` where the line's category has one."
    )

    @model_validator(mode="after")
    def _points_are_monotone(self) -> Self:
        if not self.points:
            raise ValueError("points: at least one is needed")
        _check_monotone("points", self.points)
        _check_monotone("item_points", self.item_points)
        return self

    def calibrate(self, raw: float) -> float:
        """Return the calibrated probability for a raw one."""
        return _interpolate(self.points, raw)

    def calibrate_item(self, raw: float) -> float:
        """Return the probability that a hunk has a finding, for the raw one of its likeliest line."""
        return _interpolate(self.item_points or self.points, raw)

    def passes(self, score: LineScore) -> bool:
        """Tell whether a line deserves a message."""
        return score.probability >= self.category_thresholds.get(score.category, self.threshold)


@dataclass(frozen=True, slots=True)
class LineScore:
    """How likely a line deserves a remark, and of which kind it then is."""

    line: int  # in the new version of the file
    category: Category
    probability: float  # calibrated
    raw: float  # 1 - P(ok), which orders lines that calibration puts level


def line_scores(
    lines: Sequence[int], probabilities: Sequence[Sequence[float]], calibration: Calibration
) -> list[LineScore]:
    """Return one score a line; `probabilities` has a row a line, over `engine.prompts.LABELS`."""
    return [_line_score(line, row, calibration) for line, row in zip(lines, probabilities, strict=True)]


def item_score(scores: Sequence[LineScore]) -> float:
    """Return the probability that something deserves a remark at all: that of the likeliest line."""
    return max((score.probability for score in scores), default=0.0)


def _check_monotone(name: str, points: Sequence[tuple[float, float]]) -> None:
    for (raw, value), (next_raw, next_value) in pairwise(points):
        if next_raw <= raw or next_value < value:
            raise ValueError(f"{name}: ({next_raw}, {next_value}) after ({raw}, {value}) is not rising")
    if any(not 0 <= number <= 1 for point in points for number in point):
        raise ValueError(f"{name}: probabilities lie between 0 and 1")


def _interpolate(points: Sequence[tuple[float, float]], raw: float) -> float:
    index = bisect_right(points, raw, key=lambda point: point[0])
    if index == 0:
        return points[0][1]
    if index == len(points):
        return points[-1][1]
    (raw_0, value_0), (raw_1, value_1) = points[index - 1 : index + 1]
    return min(value_1, value_0 + (raw - raw_0) / (raw_1 - raw_0) * (value_1 - value_0))


def _line_score(line: int, row: Sequence[float], calibration: Calibration) -> LineScore:
    ok, *rest = row
    if len(rest) != len(_CATEGORIES):
        raise ValueError(f"{len(row)} label probabilities, not {len(_CATEGORIES) + 1}")
    raw = min(1.0, max(0.0, 1.0 - ok))
    category = _CATEGORIES[max(range(len(rest)), key=rest.__getitem__)]
    return LineScore(line, category, calibration.calibrate(raw), raw)
