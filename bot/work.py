"""Work that outlives the process: kinds of it, a piece of it, how it fails. `bot.durable` does it.

A piece of work is a function of JSON, done in steps. After a crash it is called again, and steps that were
done before give what they gave then, at once. A step may be cut off anywhere and done again, so each leaves
the same behind when done twice.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol, TypeVar

import structlog

from bot.errors import BotError, GitLabError, GitLabUnavailable, RateLimited, Superseded
from bot.workers import Lease
from engine.errors import EngineError, InputError, NotReady, QueueFull, StoreError, Unreachable

Payload = Mapping[str, Any]
_T = TypeVar("_T")
_LONGEST_PAUSE = 60.0
_PASSING = (GitLabUnavailable, Unreachable, NotReady, QueueFull, StoreError)
"""What may be different in a while."""

_log = structlog.get_logger()


class FailureKind(StrEnum):
    """Why work was given up."""

    GITLAB = "gitlab"  # GitLab did not answer, or refused
    ENGINE = "engine"  # no engine answered, or it could not work
    INPUT = "input"  # something in the project cannot be used; the text says what
    TIME = "time"  # it took too long
    MOVED = "moved"  # what it was about changed again and again meanwhile
    CRASH = "crash"  # the process died over it, again and again
    INTERNAL = "internal"  # a fault of ours; the log has it


@dataclass(frozen=True, slots=True)
class Failure:
    """Why work was given up, and the error's own words, fit to be shown to whoever runs the bot."""

    kind: FailureKind
    text: str = ""

    @classmethod
    def of(cls, error: Exception) -> Failure:
        """Return what became of `error`."""
        match error:
            case TimeoutError():
                return cls(FailureKind.TIME)
            case GitLabError():
                return cls(FailureKind.GITLAB, str(error))
            case InputError() | BotError():
                return cls(FailureKind.INPUT, str(error))
            case EngineError():
                return cls(FailureKind.ENGINE, str(error))
        return cls(FailureKind.INTERNAL, type(error).__name__)


class StepFailed(Exception):
    """A step failed for good. It is the same each time the work is done again."""

    def __init__(self, failure: Failure) -> None:
        self.failure = failure
        super().__init__(f"{failure.kind}: {failure.text}")


class Work(Protocol):
    """A piece of work that is being done now."""

    @property
    def id(self) -> str:
        """What it is called, the same each time it is done again."""

    @property
    def payload(self) -> Payload:
        """What was submitted."""

    async def step(
        self,
        name: str,
        act: Callable[[], Awaitable[_T]],
        *,
        seconds: float | None = None,
        abort: bool = False,
    ) -> _T:
        """Return what `act` gives, JSON; what it gave before if it was done before.

        What may pass is tried again for a while. Raises StepFailed where it fails for good, after `seconds`
        too. With `abort` it is cancelled as soon as the work is superseded; without, it ends by itself,
        asking `still_current` before it writes.
        """

    async def still_current(self) -> bool:
        """Whether the work is still wanted, and this worker's to do. Asked before every write."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of work. Its name stands in the database, so it is never changed."""

    name: str
    run: Callable[[Work], Awaitable[None]]
    failed: Callable[[Work, Failure], Awaitable[None]]  # tells people; a step like any other
    at_once: int = 1  # of one worker
    poll_seconds: float = 0.5
    one_by_one: bool = False  # of those with the same `group`, one after another
    leases: Callable[[Payload], tuple[Lease, ...]] = lambda payload: ()


@dataclass(frozen=True, slots=True)
class Order:
    """Work to be done. The same id again is the same work, and does nothing."""

    kind: str
    id: str
    payload: Payload
    group: str | None = None  # set exactly for kinds that go one by one


async def patiently(act: Callable[[], Awaitable[_T]], patience: float, first_pause: float = 1.0) -> _T:
    """Return what `act` gives. What may pass is tried again until `patience` seconds are over."""
    end = time.monotonic() + patience
    pause = first_pause
    while True:
        try:
            return await act()
        except _PASSING as error:
            wait = max(pause * random.uniform(0.5, 1), _wished(error))
            if time.monotonic() + wait > end:
                raise
            _log.warning("step.again", error=type(error).__name__, seconds=round(wait, 1))
            await asyncio.sleep(wait)
            pause = min(2 * pause, _LONGEST_PAUSE)


async def require_current(work: Work) -> None:
    """Raise Superseded where the work is not wanted any more."""
    if not await work.still_current():
        raise Superseded("a newer request took the place of this one")


def _wished(error: Exception) -> float:
    return float(error.retry_after) if isinstance(error, RateLimited | QueueFull | NotReady) else 0.0
