"""What goes wrong with the engine: which state that is, when to try again, and whether it was said. Pure.

While something is wrong, what happens by itself waits; what a person asks for is always tried.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from enum import StrEnum

from engine.errors import AccessRefused, ConfigError, InputError, NotReady, QueueFull, Unreachable
from lsp.errors import EmbeddedFailed, NoEngine

_FIRST_PAUSE, _LONGEST_PAUSE = 5.0, 300.0


class Health(StrEnum):
    """How a state is shown."""

    OK = "ok"
    WARNING = "warning"
    ERROR = "error"


class State(StrEnum):
    """What the server is doing, or why it is not."""

    STARTING = "starting"
    IDLE = "idle"
    REVIEWING = "reviewing"
    LOADING = "loading"
    QUEUED = "queued"
    UNREACHABLE = "unreachable"
    UNAUTHORIZED = "unauthorized"
    FAILED = "failed"
    NO_ENGINE = "noEngine"
    MISCONFIGURED = "misconfigured"
    EXCLUDED = "excluded"
    OFF = "off"

    @property
    def health(self) -> Health:
        """How it is shown."""
        return _HEALTH.get(self, Health.OK)


_HEALTH = {
    State.UNREACHABLE: Health.WARNING,
    State.UNAUTHORIZED: Health.ERROR,
    State.FAILED: Health.ERROR,
    State.NO_ENGINE: Health.ERROR,
    State.MISCONFIGURED: Health.ERROR,
}

_NEVER_ALONE = {State.UNAUTHORIZED, State.NO_ENGINE, State.MISCONFIGURED}
"""Nothing changes here until a person changes something."""

_QUIET = {State.LOADING, State.QUEUED}
"""These are no faults: nobody has to do anything."""


def state_of(error: Exception) -> State:
    """Return the state that an error means."""
    kinds: tuple[tuple[type[Exception], State], ...] = (
        (NoEngine, State.NO_ENGINE),
        (ConfigError, State.MISCONFIGURED),
        (AccessRefused, State.UNAUTHORIZED),
        (QueueFull, State.QUEUED),
        (NotReady, State.LOADING),
        (Unreachable, State.UNREACHABLE),
        (EmbeddedFailed, State.UNREACHABLE),
        (InputError, State.FAILED),
    )
    return next((state for kind, state in kinds if isinstance(error, kind)), State.FAILED)


@dataclass(slots=True)
class Outage:
    """What is wrong now, if anything. Times are those of any one clock, in seconds."""

    state: State = State.IDLE
    text: str = ""
    retry_at: float | None = None
    failures: int = 0
    said: bool = False

    def failed(self, error: Exception, now: float, jitter: float | None = None) -> bool:
        """Take an error down; return whether a person has to be told, once for all that follows."""
        state = state_of(error)
        self.failures += 1
        self.state, self.text = state, str(error)
        self.retry_at = None if state in _NEVER_ALONE else now + self._pause(error, jitter)
        tell = not self.said and state not in _QUIET
        self.said = self.said or tell
        return tell

    def succeeded(self) -> None:
        """All is well: the next outage is another one."""
        self.state, self.text, self.retry_at, self.failures, self.said = State.IDLE, "", None, 0, False

    def lifted(self) -> None:
        """A person changed something: try again at once, and say what is wrong now."""
        self.succeeded()

    def may_try(self, now: float) -> bool:
        """Tell whether something that happens by itself may use the engine."""
        if self.state is State.IDLE:
            return True
        return self.retry_at is not None and now >= self.retry_at

    def retry_in(self, now: float) -> float | None:
        """Return the seconds until the server tries by itself; None where it does not or need not."""
        return None if self.retry_at is None else max(0.0, self.retry_at - now)

    def _pause(self, error: Exception, jitter: float | None) -> float:
        if isinstance(error, (QueueFull, NotReady)):
            return float(error.retry_after)
        limit = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2.0 ** min(self.failures - 1, 10))
        # Editors that lost the same engine do not come back in the same second.
        return limit * (0.5 + (random.random() if jitter is None else jitter) / 2)
