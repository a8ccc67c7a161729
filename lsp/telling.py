"""Tells the engine what was said of findings, now or when it is back. What it took down leaves the queue."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from functools import partial

import structlog

from engine.errors import InputError, RunnerError, TenkenError
from lsp.background import in_thread
from lsp.care import EngineCare
from lsp.verdicts import Verdicts

_PATIENCE_SECONDS = 300.0
_log = structlog.get_logger()


class Teller:
    """Empties the queues of verdicts; one round at a time."""

    def __init__(self, care: EngineCare, clock: Callable[[], float] = time.monotonic) -> None:
        self._care = care
        self._clock = clock
        self._busy = False
        self._not_before = 0.0

    async def tell(self, verdicts: Iterable[Verdicts]) -> None:
        """Tell what waits; stops at the first error, which says when to go on."""
        if self._busy or self._clock() < self._not_before:
            return
        self._busy = True
        try:
            for queue in tuple(verdicts):
                await in_thread(partial(self._empty, queue), "feedback")
        except RunnerError as error:
            # The embedded engine lacks the extra `store`, or an engine has a fault: reviews may go on.
            self._not_before = self._clock() + _PATIENCE_SECONDS
            _log.warning("feedback.not_taken", reason=type(error).__name__)
        except TenkenError as error:
            self._care.failed(error)
        finally:
            self._busy = False

    def _empty(self, queue: Verdicts) -> None:
        for feedback in queue.queued():
            with queue.telling(feedback):
                try:
                    self._care.get().record(feedback)
                except InputError as error:
                    _log.warning("feedback.refused", reason=type(error).__name__)
                queue.told(feedback)
