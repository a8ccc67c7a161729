"""The loss of a training by step: values, few enough to be carried with an adapter and told often."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from enum import StrEnum
from itertools import pairwise
from typing import Annotated, NamedTuple, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

MOST_POINTS = 200
_TRAINING, _VALIDATION = 140, 50  # steps that a curve keeps of each series, and the kept one besides
_LARGEST_LOSS = 1e9

Step = Annotated[int, Field(ge=0, le=10**9)]
Loss = Annotated[float, Field(allow_inf_nan=False)]


class LossPoint(NamedTuple):
    """What was logged at a step; None where that loss was not."""

    step: Step
    training: Loss | None = None
    validation: Loss | None = None


class Objective(StrEnum):
    """What the loss is of."""

    LABELS = "labels"  # nats a label
    PREFERENCE = "preference"  # of accepted texts to rejected ones: without a unit


class LossCurve(BaseModel):
    """How the loss of a training went."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    objective: Objective = Objective.LABELS
    points: tuple[LossPoint, ...] = Field(
        default=(),
        max_length=MOST_POINTS,
        description="Step, training loss, validation loss; by step, thinned out. Empty: not recorded.",
    )
    kept_step: Step | None = Field(
        default=None, description="Whose weights were kept, where they are not the last step's."
    )

    @model_validator(mode="after")
    def _can_be_drawn(self) -> Self:
        if any(later.step <= earlier.step for earlier, later in pairwise(self.points)):
            raise ValueError("points: each step is after the one before")
        for point in self.points:
            losses = [loss for loss in point[1:] if loss is not None]
            if not losses or max(map(abs, losses)) > _LARGEST_LOSS:
                raise ValueError(f"points: step {point.step} has no loss, or one over {_LARGEST_LOSS:g}")
        return self


def curve_of(
    points: Sequence[LossPoint], kept_step: int | None = None, objective: Objective = Objective.LABELS
) -> LossCurve:
    """Return the curve through `points`, which are by step."""
    return LossCurve(objective=objective, points=thinned(points, kept_step), kept_step=kept_step)


def thinned(points: Sequence[LossPoint], kept_step: int | None = None) -> tuple[LossPoint, ...]:
    """Return at most MOST_POINTS of `points`: of each series the first, the last, others between."""
    if len(points) <= MOST_POINTS:
        return tuple(points)
    training = [point.step for point in points if point.training is not None]
    validation = [point.step for point in points if point.validation is not None]
    steps = {*evenly(training, _TRAINING), *evenly(validation, _VALIDATION), kept_step}
    return tuple(point for point in points if point.step in steps)


def evenly(steps: Sequence[int], most: int) -> list[int]:
    """Return at most `most` of `steps`, which ascend: the first, the last, others as evenly as there are any.

    What is even is the distance of steps, not their number: thinned out again and again, the beginning stays.
    """
    if len(steps) <= most:
        return list(steps)
    first, last = steps[0], steps[-1]
    wanted = (first + (last - first) * number / (most - 1) for number in range(most))
    return sorted({min(_around(steps, step), key=lambda near: abs(near - step)) for step in wanted})


def _around(steps: Sequence[int], wanted: float) -> Sequence[int]:
    place = bisect_left(steps, wanted)
    return steps[max(0, place - 1) : place + 1]


def followed_by(points: Sequence[LossPoint], point: LossPoint) -> tuple[LossPoint, ...]:
    """Return `points` with one more. What was said of later steps is taken back: it is trained again."""
    before = [each for each in points if each.step < point.step]
    if same := next((each for each in points if each.step == point.step), None):
        training = same.training if point.training is None else point.training
        validation = same.validation if point.validation is None else point.validation
        point = LossPoint(point.step, training, validation)
    return thinned([*before, point])
