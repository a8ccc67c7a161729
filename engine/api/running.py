"""The reviews in the engine's care: run in threads, watched, cancelled, remembered for a while."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Collection
from dataclasses import asdict, dataclass, field
from typing import Protocol

import structlog
from pydantic import BaseModel

from engine.api.admission import Admission, Place
from engine.api.callers import Caller
from engine.api.problems import Problem, ProblemBody, ProblemKind, problem_of
from engine.errors import EngineError, InputError
from engine.findings import Finding
from engine.opening import calibration_of
from engine.parsing import parse_diff
from engine.review import Progress, review
from engine.runners import Cancellation
from engine.wire import Review, ReviewProgress, ReviewRequest, ReviewState, ReviewStatus
from engine.workload import require_room

_log = structlog.get_logger()


class ReviewMeter(Protocol):
    """What is measured of reviews."""

    def first_finding(self, seconds: float) -> None:
        """Note how long the first finding of a review took."""

    def review(self, outcome: str, seconds: float) -> None:
        """Note a review that ended."""


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

    def __init__(self, admission: Admission, meter: ReviewMeter) -> None:
        self._admission = admission
        self._meter = meter
        self._open: dict[str, Running] = {}
        self._finished: OrderedDict[str, Running] = OrderedDict()
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self, request: ReviewRequest, caller: Caller) -> Running:
        """Take a review on and return it running; raises Problem where it cannot be."""
        place = await self._admission.enter(caller, request, background=request.background)
        try:
            suppressed = await asyncio.to_thread(self._admission.projects.suppressed, place.project)
            await asyncio.to_thread(self._check, request, place)
        except BaseException:
            self._admission.leave(place)
            raise
        running = self._open[place.id] = Running(place.id, place.owner, place.cancellation)
        task = asyncio.create_task(self._run(running, request, place, suppressed))
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

    def _check(self, request: ReviewRequest, place: Place) -> None:
        limits = self._admission.limits
        try:
            files = len(parse_diff(request.diff))
            require_room(request, place.runner.count_tokens, limits.context)
        except InputError as error:
            raise problem_of(error, request.language) from error
        if files > limits.files:
            detail = f"{files} files; at most {limits.files} are reviewed at once"
            raise Problem(ProblemKind.TOO_MANY_FILES, detail, request.language)

    async def _run(
        self, running: Running, request: ReviewRequest, place: Place, suppressed: Collection[str]
    ) -> None:
        loop, told = asyncio.get_running_loop(), False

        def on_progress(progress: Progress) -> None:
            loop.call_soon_threadsafe(running.note, ReviewProgress(**asdict(progress)))

        def on_finding(finding: Finding) -> None:
            nonlocal told
            if not told:
                self._meter.first_finding(time.monotonic() - running.started)
            told = True
            loop.call_soon_threadsafe(running.note, None, finding)

        def work() -> Review:
            return review(
                request,
                place.runner,
                calibration_of(place.adapter),
                on_progress=on_progress,
                on_finding=on_finding,
                cancellation=place.cancellation,
                suppressed=suppressed,
            )

        try:
            running.review = await self._admission.run(work)
        except (EngineError, InputError) as error:
            running.problem = problem_of(error, request.language)
        except Exception:  # noqa: BLE001 - the outermost loop of a review: log, tell the caller, go on
            _log.exception("review.broke", review=running.id)
            running.problem = Problem(ProblemKind.INTERNAL, language=request.language)
        self._admission.leave(place)
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
        limits = self._admission.limits
        oldest = time.monotonic() - limits.remembered_seconds
        while self._finished:
            first = next(iter(self._finished.values()))
            if len(self._finished) <= limits.remembered and (first.ended or 0) >= oldest:
                return
            self._finished.popitem(last=False)
