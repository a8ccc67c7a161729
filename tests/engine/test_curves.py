"""Loss curves: few points, in order, the ends and the kept step among them."""

from __future__ import annotations

from itertools import pairwise

import pytest
from pydantic import ValidationError

from engine.curves import MOST_POINTS, LossCurve, LossPoint, Objective, curve_of, evenly, followed_by, thinned


def a_run(steps: int, every: int = 1, validated: int = 100) -> list[LossPoint]:
    return [
        LossPoint(step, 4 / step, 5 / step if step % validated == 0 else None)
        for step in range(every, steps + 1, every)
    ]


def test_a_short_run_is_kept_as_it_is() -> None:
    """Every point of it."""
    points = a_run(MOST_POINTS)
    assert curve_of(points, 7) == LossCurve(points=tuple(points), kept_step=7)


@pytest.mark.parametrize(("steps", "validated"), [(201, 100), (3000, 100), (5000, 1), (100_000, 7)])
def test_a_long_run_is_thinned_out(steps: int, validated: int) -> None:
    """Both series keep first and last point, the kept step stays, and no gap is much over the others."""
    points = a_run(steps, validated=validated)
    kept_step = validated * 2
    curve = curve_of(points, kept_step)
    assert len(curve.points) <= MOST_POINTS
    assert set(curve.points) <= set(points)
    for whole, left in (
        ([p.step for p in points if p.training], [p.step for p in curve.points if p.training]),
        ([p.step for p in points if p.validation], [p.step for p in curve.points if p.validation]),
    ):
        assert (left[0], left[-1]) == (whole[0], whole[-1])
        assert len(left) >= min(len(whole), 50)
    assert kept_step in {point.step for point in curve.points}
    gaps = [later.step - earlier.step for earlier, later in pairwise(curve.points)]
    assert max(gaps) <= 2 * steps / 140 + 1


def test_a_curve_that_grows_keeps_its_beginning() -> None:
    """Thinned out while it is told, it has as many points of its first half as of its second."""
    points: tuple[LossPoint, ...] = ()
    for step in range(1, 3001):
        points = followed_by(points, LossPoint(step, 4 / step))
        assert len(points) <= MOST_POINTS
    assert (points[0].step, points[-1].step) == (1, 3000)
    halves = [sum(low < point.step <= low + 1500 for point in points) for low in (0, 1500)]
    assert min(halves) >= 55, halves
    assert max(later.step - earlier.step for earlier, later in pairwise(points)) <= 3 * 3000 / 140


def test_what_is_logged_at_one_step_is_one_point() -> None:
    """The validation loss comes after the training loss."""
    points = followed_by((), LossPoint(10, 3.0))
    points = followed_by(points, LossPoint(20, 2.0))
    points = followed_by(points, LossPoint(20, validation=2.5))
    assert points == ((10, 3.0, None), (20, 2.0, 2.5))


def test_what_is_trained_again_is_told_again() -> None:
    """A training that goes on from a checkpoint takes back what it said of later steps."""
    points = tuple(a_run(50, 10))
    again = followed_by(points, LossPoint(30, 1.5))
    assert again == (*points[:2], (30, 1.5, None))


def test_few_steps_are_all_kept() -> None:
    """And of one step often, once."""
    assert evenly([3, 5], 2) == [3, 5]
    assert evenly([1, 2, 3, 1000], 3) == [1, 3, 1000]
    assert thinned([]) == ()


@pytest.mark.parametrize(
    "broken",
    [
        {"points": [[2, 1.0, None], [1, 1.0, None]]},
        {"points": [[1, 1.0, None], [1, 1.0, None]]},
        {"points": [[-1, 1.0, None]]},
        {"points": [[1, float("inf"), None]]},
        {"points": [[1, 1e10, None]]},
        {"points": [[1, None, None]]},
        {"points": [[10**10, 1.0, None]]},
        {"points": [[1, 1.0, None, 4]]},
        {"points": [[step, 1.0, None] for step in range(MOST_POINTS + 1)]},
        {"kept_step": -1},
        {"objective": "other"},
        {"more": 1},
    ],
)
def test_what_is_no_curve_is_refused(broken: dict[str, object]) -> None:
    """An adapter comes from elsewhere, and its curve is drawn."""
    with pytest.raises(ValidationError):
        LossCurve.model_validate(broken)


def test_a_curve_reads_back() -> None:
    """As JSON it is lists of three, without anything of Python."""
    curve = LossCurve(
        objective=Objective.PREFERENCE, points=(LossPoint(1, 2.0), LossPoint(2, None, 1.5)), kept_step=2
    )
    text = curve.model_dump_json()
    assert text == '{"objective":"preference","points":[[1,2.0,null],[2,null,1.5]],"kept_step":2}'
    assert LossCurve.model_validate_json(text) == curve
