"""The engine in the session's care: opened when needed, tried again when it is time, complained of once."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from lsp.engines import Engine
from lsp.outages import Outage, State
from lsp.settings import LspSettings

OpenEngine = Callable[[LspSettings], Engine]


class EngineCare:
    """One engine, and what is wrong with it."""

    def __init__(
        self,
        open_with: OpenEngine,
        complain: Callable[[State, str], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._open_with = open_with
        self._complain = complain
        self._clock = clock
        self._outage = Outage()
        self._turn = threading.Lock()
        self._settings = LspSettings()
        self._engine: Engine | None = None

    @property
    def state(self) -> State:
        """What is wrong, or idle."""
        return self._outage.state

    @property
    def reason(self) -> str:
        """In which words."""
        return self._outage.text

    @property
    def retry_in(self) -> int | None:
        """Seconds until it is tried by itself; None where it is not, or need not be."""
        seconds = self._outage.retry_in(self._clock())
        return None if seconds is None else round(seconds)

    @property
    def name(self) -> str:
        """What to call the engine; nothing before it is needed."""
        return self._engine.name if self._engine else ""

    @property
    def is_shared(self) -> bool:
        """Tell whether it does one thing after the other: then a question would wait for a review."""
        return self._engine is None or self._engine.one_at_a_time

    def configure(self, settings: LspSettings) -> None:
        """Take settings: whatever was wrong may be right now."""
        with self._turn:
            engine, self._engine = self._engine, None
            self._settings = settings
        if engine is not None:
            engine.close()
        self._outage.lifted()

    def get(self) -> Engine:
        """Return the engine; raises ConfigError or NoEngine. Blocks."""
        with self._turn:
            if self._engine is None:
                self._engine = self._open_with(self._settings)
            return self._engine

    @property
    def is_loading(self) -> bool:
        """Tell whether the engine loads its model while a review waits."""
        return self._engine is not None and self._engine.loading

    def may_ask(self, *, by_person: bool = False) -> bool:
        """Tell whether it may be asked now. What a person asks for is always tried, and faults are said."""
        if by_person:
            self._outage.lifted()
        return self._outage.may_try(self._clock())

    @property
    def is_due(self) -> bool:
        """Tell whether something is wrong and it is time to try again."""
        return self._outage.state is not State.IDLE and self._outage.may_try(self._clock())

    def failed(self, error: Exception) -> None:
        """Take down what went wrong."""
        if self._outage.failed(error, self._clock()):
            self._complain(self._outage.state, self._outage.text)

    def succeeded(self) -> bool:
        """Take down that all is well; return whether it was not before."""
        was_out = self._outage.state is not State.IDLE
        self._outage.succeeded()
        return was_out

    def lifted(self) -> None:
        """Forget what was wrong: nobody wants anything of the engine now."""
        self._outage.lifted()

    def close(self) -> None:
        """Free the engine."""
        if self._engine is not None:
            self._engine.close()
