"""Who may use the model: a place for each review and question, within the limits, until the engine drains."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

from engine.adapters import Adapter
from engine.api.callers import Caller
from engine.api.problems import Problem, ProblemKind
from engine.batching import Ticket
from engine.device import Device, ScheduledRunner
from engine.errors import QueueFull, UnknownAdapter
from engine.residents import version_of
from engine.runners import Cancellation
from engine.wire import Language, Question, ReviewRequest

_SOON = {"Retry-After": "5"}
_T = TypeVar("_T")


class Projects(Protocol):
    """Knows the projects; called from worker threads."""

    def adapter(self, project: str, version: str) -> Adapter | None:
        """Return the adapter of that version, the project's champion where it is empty.

        None is the base model alone. Raises UnknownAdapter.
        """

    def suppressed(self, project: str) -> Collection[str]:
        """Return the fingerprints of the findings that the project does not want again."""


@dataclass(frozen=True, slots=True)
class ReviewLimits:
    """What one engine takes on. A question counts as a review."""

    open_reviews: int = 256
    open_per_token: int = 32
    files: int = 3000  # of a diff
    seconds: float = 1800  # then a review ends with what it has
    context: int = 4096  # tokens the model reads at once
    remembered: int = 256  # finished reviews that can still be asked for
    remembered_seconds: float = 900


@dataclass(frozen=True, slots=True, eq=False)
class Place:
    """A place at the model, until it is left."""

    id: str
    owner: str  # the token's id
    project: str
    adapter: Adapter | None
    runner: ScheduledRunner
    cancellation: Cancellation = field(default_factory=Cancellation)


class Admission:
    """Gives places and takes them back. Used on the event loop alone."""

    def __init__(self, device: Device, projects: Projects, limits: ReviewLimits) -> None:
        self.limits = limits
        self.projects = projects
        self._device = device
        self._pool = ThreadPoolExecutor(limits.open_reviews, thread_name_prefix="review")
        self._places: dict[str, Place] = {}
        self._nobody = asyncio.Event()
        self._nobody.set()
        self._draining = False

    @property
    def ready(self) -> bool:
        """Whether reviews are taken on."""
        return self._device.ready and not self._draining

    @property
    def draining(self) -> bool:
        """Whether the engine is about to end."""
        return self._draining

    @property
    def why_not_ready(self) -> str:
        """Why reviews are not taken on, for a person; empty where it is only a matter of time."""
        return str(self._device.failure or "")

    async def enter(
        self, caller: Caller, request: ReviewRequest | Question, *, background: bool = False
    ) -> Place:
        """Give the caller a place, to be left by `leave`; raises Problem where there is none."""
        project = caller.project(request.project)
        self._require_place(caller)
        adapter = await self._adapter(project, request.adapter)
        self._require_place(caller)  # others came in meanwhile
        name = secrets.token_hex(12)
        ticket = Ticket(name, project or f"token {caller.id}", version_of(adapter), background)
        place = Place(name, caller.id, project, adapter, self._runner(ticket, adapter, request.language))
        self._places[name] = place
        self._nobody.clear()
        return place

    def leave(self, place: Place) -> None:
        """Take the place back."""
        place.runner.close()
        del self._places[place.id]
        if not self._places:
            self._nobody.set()

    async def run(self, work: Callable[[], _T]) -> _T:
        """Return what `work` returns, done in a thread; there is one for each place."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, work)

    async def drain(self, seconds: float) -> None:
        """Give no more places and wait until all are left; after `seconds` those there are, are cancelled."""
        self._draining = True
        with suppress(TimeoutError):
            await asyncio.wait_for(self._nobody.wait(), seconds)
        for place in self._places.values():
            place.cancellation.cancel()
        await self._nobody.wait()
        self._pool.shutdown(wait=False)

    def _require_place(self, caller: Caller) -> None:
        if self._draining:
            raise Problem(ProblemKind.SHUTTING_DOWN, headers=_SOON)
        if not self._device.ready:
            raise Problem(ProblemKind.NOT_READY, self.why_not_ready, headers=_SOON)
        own = sum(place.owner == caller.id for place in self._places.values())
        if own >= self.limits.open_per_token:
            raise Problem(ProblemKind.TOO_MANY_OPEN_REVIEWS, f"{own} are open", headers=_SOON)

    async def _adapter(self, project: str, version: str) -> Adapter | None:
        try:
            return await asyncio.to_thread(self.projects.adapter, project, version)
        except UnknownAdapter as error:
            raise Problem(ProblemKind.UNKNOWN_ADAPTER, str(error)) from error

    def _runner(self, ticket: Ticket, adapter: Adapter | None, language: Language) -> ScheduledRunner:
        deadline = time.monotonic() + self.limits.seconds
        try:
            return self._device.open(ticket, adapter, deadline)
        except QueueFull as error:
            wait = {"Retry-After": str(error.retry_after)}
            raise Problem(ProblemKind.QUEUE_FULL, str(error), language, headers=wait) from error
