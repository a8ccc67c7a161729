"""How fast a run is and how long it still takes."""

from __future__ import annotations

import pytest

from engine.finetune.callbacks import Pace


class Clock:
    """A clock that goes on when it is told."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_pace_is_that_of_the_latest_steps() -> None:
    """A slow first step, which compiles, counts for less and less, and after 50 steps for nothing."""
    clock = Clock()
    pace = Pace([100] * 200, clock)
    pace.begin(0)
    clock.now = 60.0
    first = pace.after(1)
    assert (first.done, first.steps) == (1, 200)
    assert first.seconds_left == pytest.approx(199 * 60)
    for step in range(2, 61):
        clock.now += 0.5
        latest = pace.after(step)
    assert latest.tokens_per_second == pytest.approx(200)
    assert latest.seconds_left == pytest.approx(140 * 0.5)


def test_resumed_runs_count_their_own_steps() -> None:
    """What was done before the interruption is neither time nor tokens of this one."""
    clock = Clock()
    pace = Pace([10, 10, 30, 50], clock)
    pace.begin(2)
    clock.now = 2.0
    step = pace.after(3)
    assert (step.tokens_per_second, step.seconds_left) == (15, 2)
