"""Looks after the durable work of all workers: heartbeats, the work of the dead, and what nobody can do."""

from __future__ import annotations

import asyncio
import time

import structlog

from bot.durable import Durable
from bot.memory import Memories
from engine.errors import StoreError

_FORGET_SECONDS = 3600
_MEMORY_DAYS = 90  # a merge request that nobody has touched for so long is reviewed anew
_log = structlog.get_logger()


class Janitor:
    """One for each worker, so that any may die."""

    def __init__(self, durable: Durable, memories: Memories, keep_days: float) -> None:
        self._durable = durable
        self._memories = memories
        self._keep_days = keep_days
        self._lost_since: dict[str, float] = {}
        self._forgot = float("-inf")

    async def run(self) -> None:
        """Beat and clean up until cancelled.

        The heart beats on the event loop that the work runs on: one that hangs is as good as dead.
        """
        while True:
            try:
                await asyncio.to_thread(self.round)
            except StoreError as error:
                _log.warning("janitor.failed", reason=str(error))
            except Exception:  # noqa: BLE001 - the outermost loop: without it this worker would be as good as dead
                _log.exception("janitor.broke")
            await asyncio.sleep(self._durable.workers.beat_seconds)

    def round(self) -> None:
        """Do everything once. Blocks."""
        workers, orders = self._durable.workers, self._durable.orders
        workers.beat()
        running = orders.running()
        workers.note(set(running.values()) - {""})
        for name in workers.silent():
            self._replace(name)
        self._resume_lost(running)
        if count := orders.report_dead(self._durable.kinds):
            _log.error("janitor.dead_work", count=count)
        if time.monotonic() - self._forgot > _FORGET_SECONDS:
            self._forgot = time.monotonic()
            orders.forget(self._keep_days)
            self._memories.forget(_MEMORY_DAYS)

    def _replace(self, name: str) -> None:
        # Buried first: should it wake up from here on, it finds that it holds nothing any more.
        if self._durable.workers.bury(name):
            _log.warning("janitor.worker_replaced", worker=name)
            self._durable.take_over(name)

    def _resume_lost(self, running: dict[str, str]) -> None:
        """Begin again what this worker let go of when it was thought dead, and nobody took over.

        Work that was just taken from the queue does not run at once, so it has to be lost for a while.
        """
        now, since = time.monotonic(), self._lost_since
        self._lost_since = {work_id: since.get(work_id, now) for work_id in self._durable.lost(running)}
        for work_id, lost_at in self._lost_since.items():
            if now - lost_at >= self._durable.options.silent_seconds:
                _log.warning("janitor.resumed", id=work_id)
                self._durable.orders.resume(work_id)
