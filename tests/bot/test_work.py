"""How patient work is, and what is said of it when it fails."""

from __future__ import annotations

import asyncio
import time

import pytest

from bot.errors import CommandRefused, GitLabRefused, GitLabUnavailable, RateLimited
from bot.work import Failure, FailureKind, patiently
from engine.errors import ConfigError, NotReady, QueueFull, RunnerError, StoreError, Unreachable

PASSING = [
    GitLabUnavailable("down"),
    Unreachable("down"),
    NotReady("loading", 0),
    StoreError("busy"),
    QueueFull(0),
    RateLimited(0),
]


def test_what_may_pass_is_tried_until_it_has() -> None:
    """GitLab, the engine or the database may be back in a moment."""
    answers: list[Exception] = list(PASSING)

    async def act() -> str:
        if answers:
            raise answers.pop(0)
        return "done"

    assert asyncio.run(patiently(act, patience=60, first_pause=0.001)) == "done"


@pytest.mark.parametrize("error", PASSING)
def test_patience_ends(error: Exception) -> None:
    """Then the error that came last is the answer."""

    async def act() -> None:
        raise error

    with pytest.raises(type(error)):
        asyncio.run(patiently(act, patience=0.05, first_pause=0.01))


@pytest.mark.parametrize(
    "error", [GitLabRefused(403, "no"), RunnerError("broke"), ConfigError("x"), KeyError("x")]
)
def test_what_will_not_pass_is_not_tried_again(error: Exception) -> None:
    """It would be refused again, and somebody waits for an answer."""
    tries = 0

    async def act() -> None:
        nonlocal tries
        tries += 1
        raise error

    with pytest.raises(type(error)):
        asyncio.run(patiently(act, patience=60, first_pause=0.01))
    assert tries == 1


def test_gitlab_says_how_long_to_wait() -> None:
    """Its Retry-After counts, even where our own pause would be shorter; too long is too long."""
    answers = [RateLimited(0.2)]

    async def act() -> None:
        if answers:
            raise answers.pop()

    started = time.monotonic()
    asyncio.run(patiently(act, patience=60, first_pause=0.001))
    assert time.monotonic() - started >= 0.2
    answers.append(RateLimited(3600))
    with pytest.raises(RateLimited):
        asyncio.run(patiently(act, patience=60))


@pytest.mark.parametrize(
    ("error", "failure"),
    [
        (TimeoutError(), Failure(FailureKind.TIME)),
        (ConfigError(".tenken.toml:3: x"), Failure(FailureKind.INPUT, ".tenken.toml:3: x")),
        (RunnerError("no room"), Failure(FailureKind.ENGINE, "no room")),
        (Unreachable("refused"), Failure(FailureKind.ENGINE, "refused")),
        (GitLabRefused(404, "gone"), Failure(FailureKind.GITLAB, "GitLab answers 404: gone")),
        (CommandRefused("no"), Failure(FailureKind.INPUT, "no")),
        (ValueError("quotes the code"), Failure(FailureKind.INTERNAL, "ValueError")),
    ],
)
def test_each_error_is_some_kind_of_failure(error: Exception, failure: Failure) -> None:
    """Words meant for people are kept; those of an error nobody foresaw are not."""
    assert Failure.of(error) == failure
