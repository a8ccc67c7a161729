"""The reviews in the engine's care: let in, run in threads, watched, cancelled, remembered for a while."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Collection
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from typing import Protocol

import structlog
from pydantic import BaseModel

from engine.adapters import Adapter
from engine.api.callers import Caller
from engine.api.problems import Problem, ProblemBody, ProblemKind
from engine.batching import Ticket
from engine.device import Device, ScheduledRunner
from engine.errors import DiffError, EngineError, InputError, QueueFull, UnknownAdapter
from engine.findings import Finding
from engine.opening import calibration_of
from engine.parsing import parse_diff
from engine.residents import version_of
from engine.review import Progress, review
from engine.runners import Cancellation
from engine.wire import Review, ReviewProgress, ReviewRequest, ReviewState, ReviewStatus
from engine.workload import require_room

_log = structlog.get_logger()
_SOON = {"Retry-After": "5"}


class Projects(Protocol):
    """Knows the projects; called from worker threads."""

    def adapter(self, project: str, version: str) -> Adapter | None:
        """Return the adapter of that version, the project's champion where it is empty.

        None is the base model alone. Raises UnknownAdapter.
        """

    def suppressed(self, project: str) -> Collection[str]:
        """Return the fingerprints of the findings that the project does not want again."""


class ReviewMeter(Protocol):
    """What is measured of reviews."""

    def first_finding(self, seconds: float) -> None:
        """Note how long the first finding of a review took."""

    def review(self, outcome: str, seconds: float) -> None:
        """Note a review that ended."""


@dataclass(frozen=True, slots=True)
class ReviewLimits:
    """What one engine takes on."""

    open_reviews: int = 256
    open_per_token: int = 32
    files: int = 3000  # of a diff
    seconds: float = 1800  # then a review ends with what it has
    context: int = 4096  # tokens the model reads at once
    remembered: int = 256  # finished reviews that can still be asked for
    remembered_seconds: float = 900


@dataclass(slots=True, eq=False)
class Running:
    """A review and what has come of it. Changed on the event loop alone."""

    id: str
    owner: str
    cancellation: Cancellation = field(default_factory=Cancellation)
    progress: ReviewProgress | None = None
    findings: list[Finding] = field(default_factory=list)
    review: Review | None = None
    problem: Problem | None = None
    started: float = field(default_factory=time.monotonic)
    ended: float | None = None
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def status(self) -> ReviewStatus:
        """What is known so far."""
        state = ReviewState.RUNNING
        if self.ended is not None:
            state = ReviewState.DONE if self.review else ReviewState.FAILED
        findings = self.review.findings if self.review else tuple(self.findings)
        return ReviewStatus(
            id=self.id, state=state, progress=self.progress, findings=findings, review=self.review
        )

    def note(
        self, progress: ReviewProgress | None = None, finding: Finding | None = None, *, ended: bool = False
    ) -> None:
        """Take in what is new and wake whoever watches."""
        self.progress = progress or self.progress
        if finding:
            self.findings.append(finding)
        if ended:
            self.ended = time.monotonic()
        self._changed.set()
        self._changed = asyncio.Event()

    async def result(self) -> Review:
        """Return the finished review; raises the Problem it ended with."""
        async for _ in self.events():
            continue
        if self.review is None:
            raise self.problem or Problem(ProblemKind.INTERNAL)
        return self.review

    async def events(self, patience: float | None = None) -> AsyncIterator[BaseModel | None]:
        """Yield each finding, the newest progress, and at last the Review or a ProblemBody.

        None tells that nothing happened for `patience` seconds. A slow reader gets fewer reports of
        progress, never fewer findings.
        """
        told, progress = 0, None
        while True:
            changed, ended = self._changed, self.ended is not None
            if self.progress is not progress:
                progress = self.progress
                assert progress is not None
                yield progress
            while told < len(self.findings):
                told += 1
                yield self.findings[told - 1]
            if ended:
                yield self.review or self.failure()
                return
            try:
                await asyncio.wait_for(changed.wait(), patience)
            except TimeoutError:
                yield None

    def failure(self) -> ProblemBody:
        """Return the problem it ended with."""
        return (self.problem or Problem(ProblemKind.INTERNAL)).body()


class Reviews:
    """All reviews of this engine."""

    def __init__(self, device: Device, projects: Projects, limits: ReviewLimits, meter: ReviewMeter) -> None:
        self._device = device
        self._projects = projects
        self._limits = limits
        self._meter = meter
        self._pool = ThreadPoolExecutor(limits.open_reviews, thread_name_prefix="review")
        self._open: dict[str, Running] = {}
        self._finished: OrderedDict[str, Running] = OrderedDict()
        self._tasks: set[asyncio.Task[None]] = set()
        self._draining = False

    @property
    def ready(self) -> bool:
        """Whether reviews are taken on."""
        return self._device.ready and not self._draining

    @property
    def why_not_ready(self) -> str:
        """Why reviews are not taken on, for a person; empty where it is only a matter of time."""
        return str(self._device.failure or "")

    async def start(self, request: ReviewRequest, caller: Caller) -> Running:
        """Take a review on and return it running; raises Problem where it cannot be."""
        project = caller.project(request.project)
        self._require_place(caller)
        running = Running(secrets.token_hex(12), caller.id)
        self._open[running.id] = running
        try:
            adapter = await self._adapter(project, request.adapter)
            suppressed = await asyncio.to_thread(self._projects.suppressed, project)
            runner = self._let_in(running, project or f"token {caller.id}", request, adapter)
            try:
                await asyncio.to_thread(self._check, request, runner)
            except BaseException:
                runner.close()
                raise
        except BaseException:
            del self._open[running.id]
            raise
        task = asyncio.create_task(self._run(running, request, runner, adapter, suppressed))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return running

    def find(self, name: str, caller: Caller) -> Running:
        """Return a review of the caller's; raises Problem 404 for any other."""
        self._forget()
        running = self._open.get(name) or self._finished.get(name)
        if running is None or running.owner != caller.id:
            raise Problem(ProblemKind.NOT_FOUND)
        return running

    async def drain(self, seconds: float) -> None:
        """Refuse new reviews and wait for the open ones; then end what is left with what it has."""
        self._draining = True
        tasks = tuple(self._tasks)
        if tasks:
            await asyncio.wait(tasks, timeout=seconds)
        for running in self._open.values():
            running.cancellation.cancel()
        if self._tasks:
            await asyncio.wait(tuple(self._tasks))
        self._pool.shutdown(wait=False)

    def _require_place(self, caller: Caller) -> None:
        if self._draining:
            raise Problem(ProblemKind.SHUTTING_DOWN, headers=_SOON)
        if not self._device.ready:
            raise Problem(ProblemKind.NOT_READY, self.why_not_ready, headers=_SOON)
        own = sum(running.owner == caller.id for running in self._open.values())
        if own >= self._limits.open_per_token:
            raise Problem(ProblemKind.TOO_MANY_OPEN_REVIEWS, f"{own} are open", headers=_SOON)

    async def _adapter(self, project: str, version: str) -> Adapter | None:
        try:
            return await asyncio.to_thread(self._projects.adapter, project, version)
        except UnknownAdapter as error:
            raise Problem(ProblemKind.UNKNOWN_ADAPTER, str(error)) from error

    def _let_in(
        self, running: Running, share: str, request: ReviewRequest, adapter: Adapter | None
    ) -> ScheduledRunner:
        deadline = time.monotonic() + self._limits.seconds
        ticket = Ticket(running.id, share, version_of(adapter), request.background)
        try:
            return self._device.open(ticket, adapter, deadline)
        except QueueFull as error:
            wait = {"Retry-After": str(error.retry_after)}
            raise Problem(ProblemKind.QUEUE_FULL, str(error), request.language, headers=wait) from error

    def _check(self, request: ReviewRequest, runner: ScheduledRunner) -> None:
        try:
            files = len(parse_diff(request.diff))
            require_room(request, runner.count_tokens, self._limits.context)
        except InputError as error:
            raise problem_of(error, request) from error
        if files > self._limits.files:
            detail = f"{files} files; at most {self._limits.files} are reviewed at once"
            raise Problem(ProblemKind.TOO_MANY_FILES, detail, request.language)

    async def _run(
        self,
        running: Running,
        request: ReviewRequest,
        runner: ScheduledRunner,
        adapter: Adapter | None,
        suppressed: Collection[str],
    ) -> None:
        loop = asyncio.get_running_loop()

        def on_progress(progress: Progress) -> None:
            loop.call_soon_threadsafe(running.note, ReviewProgress(**asdict(progress)))

        def on_finding(finding: Finding) -> None:
            if not running.findings:
                self._meter.first_finding(time.monotonic() - running.started)
            loop.call_soon_threadsafe(running.note, None, finding)

        def work() -> Review:
            try:
                return review(
                    request,
                    runner,
                    calibration_of(adapter),
                    on_progress=on_progress,
                    on_finding=on_finding,
                    cancellation=running.cancellation,
                    suppressed=suppressed,
                )
            finally:
                runner.close()

        try:
            running.review = await loop.run_in_executor(self._pool, work)
        except (EngineError, InputError) as error:
            running.problem = problem_of(error, request)
        except Exception:  # noqa: BLE001 - the outermost loop of a review: log, tell the caller, go on
            _log.exception("review.broke", review=running.id)
            running.problem = Problem(ProblemKind.INTERNAL, language=request.language)
        self._end(running)

    def _end(self, running: Running) -> None:
        running.note(ended=True)
        del self._open[running.id]
        self._finished[running.id] = running
        self._forget()
        seconds = time.monotonic() - running.started
        outcome = "failed" if running.review is None else "partial" if running.review.partial else "done"
        self._meter.review(outcome, seconds)
        _log.info(
            "review.ended",
            review=running.id,
            token=running.owner,
            outcome=outcome,
            findings=len(running.findings),
            seconds=round(seconds, 3),
        )

    def _forget(self) -> None:
        oldest = time.monotonic() - self._limits.remembered_seconds
        while self._finished:
            first = next(iter(self._finished.values()))
            if len(self._finished) <= self._limits.remembered and (first.ended or 0) >= oldest:
                return
            self._finished.popitem(last=False)


def problem_of(error: EngineError | InputError, request: ReviewRequest) -> Problem:
    """Return what a caller is told of an error of the pipeline."""
    if isinstance(error, DiffError):
        return Problem(ProblemKind.INVALID_DIFF, error.reason, request.language, error.line)
    if isinstance(error, InputError):
        return Problem(ProblemKind.INVALID_REQUEST, str(error), request.language)
    return Problem(ProblemKind.ENGINE_FAILED, str(error), request.language)
