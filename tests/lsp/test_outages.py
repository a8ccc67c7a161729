"""What an error means, when it is tried again, and that it is said once. No clock runs."""

from __future__ import annotations

import pytest

from engine.errors import (
    AccessRefused,
    ConfigError,
    DiffError,
    NotReady,
    QueueFull,
    RunnerError,
    Unreachable,
)
from lsp.errors import EmbeddedFailed, NoEngine, TimedOut
from lsp.outages import Health, Outage, State, state_of


@pytest.mark.parametrize(
    ("error", "state", "health", "retried", "said"),
    [
        (Unreachable("x"), State.UNREACHABLE, Health.WARNING, True, True),
        (EmbeddedFailed("x"), State.UNREACHABLE, Health.WARNING, True, True),
        (AccessRefused("x"), State.UNAUTHORIZED, Health.ERROR, False, True),
        (NoEngine("x"), State.NO_ENGINE, Health.ERROR, False, True),
        (ConfigError("x"), State.MISCONFIGURED, Health.ERROR, False, True),
        (QueueFull(7), State.QUEUED, Health.OK, True, False),
        (NotReady("x", 7), State.LOADING, Health.OK, True, False),
        (RunnerError("x"), State.FAILED, Health.ERROR, True, True),
        (DiffError("x"), State.FAILED, Health.ERROR, True, True),
        (TimedOut("x"), State.FAILED, Health.ERROR, True, True),
        (ValueError("x"), State.FAILED, Health.ERROR, True, True),
    ],
)
def test_what_an_error_means(
    error: Exception, state: State, health: Health, retried: bool, said: bool
) -> None:
    """A state with its health; whether it passes by itself, and whether a person has to hear of it."""
    outage = Outage()
    assert state_of(error) is state
    assert outage.failed(error, 100) is said
    assert (outage.state, outage.state.health) == (state, health)
    assert not outage.may_try(100)
    assert outage.may_try(1000) is retried
    assert (outage.retry_in(100) is not None) is retried


def test_pauses_grow_and_end() -> None:
    """Each failure doubles the pause up to five minutes; success makes the next one the first again."""
    outage = Outage()
    pauses = []
    for _ in range(8):
        outage.failed(Unreachable("x"), 0, jitter=1)
        pauses.append(outage.retry_at)
    assert pauses == [5, 10, 20, 40, 80, 160, 300, 300]
    outage.failed(Unreachable("x"), 0, jitter=0)
    assert outage.retry_at == 150
    outage.succeeded()
    assert outage.may_try(0)
    outage.failed(QueueFull(7), 10)
    assert outage.retry_in(12) == 5


def test_one_message_for_an_outage() -> None:
    """Whatever follows the first error is not said; after a success, or when a person acts, it is."""
    outage = Outage()
    assert not outage.failed(QueueFull(1), 0)
    assert outage.failed(Unreachable("x"), 0)
    assert not outage.failed(Unreachable("y"), 0)
    assert not outage.failed(AccessRefused("z"), 0)
    assert outage.text == "z"
    outage.lifted()
    assert outage.failed(AccessRefused("z"), 0)
