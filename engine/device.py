"""The one thread that runs the model, and the Runner that each review sees of it.

A review runs in a thread of its own, on the same pipeline as everywhere; its runner hands the work to the
scheduler and waits. Only the device's thread calls the real runners, but for `count_tokens`.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from typing import Protocol, TypeVar, cast

import structlog

from engine.adapters import Adapter
from engine.batching import Batch, Kind, Scheduler, Ticket, Work
from engine.errors import EngineError, RunnerError
from engine.residents import Residents
from engine.runners import Cancellation, MixingRunner, Reply, Runner, ScoreRequest, Scores, WriteRequest

_POLL_SECONDS = 0.2  # a Cancellation calls nobody back, so whoever waits looks at it
_WRITTEN_TOKEN = 8  # costs as much as so many that are read, on a CPU
_REPLY_TOKENS = 64  # of most replies; the budget of one is many times that
_CHARACTERS = 4  # to a token, about

_log = structlog.get_logger()
_Answer = TypeVar("_Answer", Scores, Reply)
_Message = tuple[int, Scores | Reply] | EngineError


class Meter(Protocol):
    """What is measured of batches."""

    def batch(self, batch: Batch[Task], answers: Sequence[Scores | Reply], seconds: float) -> None:
        """Note a batch that was run, and what was answered of it."""


@dataclass(frozen=True, slots=True)
class Task:
    """A request of a review, and where its answer goes."""

    index: int
    request: ScoreRequest | WriteRequest
    inbox: SimpleQueue[_Message]


@dataclass(slots=True)
class _Running:
    """The batch on the device; stopped when nobody waits for any of it."""

    batch: Batch[Task]
    cancellation: Cancellation = field(default_factory=Cancellation)
    withdrawn: set[str] = field(default_factory=set)

    def withdraw(self, ticket: str) -> None:
        self.withdrawn.add(ticket)
        if all(work.ticket in self.withdrawn for work in self.batch.works):
            self.cancellation.cancel()


class Device:
    """Runs what the scheduler chooses. `open`, `close` and the runners it gives may be used by any thread."""

    def __init__(self, residents: Residents, scheduler: Scheduler[Task], meter: Meter | None = None) -> None:
        self._residents = residents
        self._scheduler = scheduler
        self._meter = meter
        self._opened: dict[str, Adapter | None] = {}
        self._running: _Running | None = None
        self._changed = threading.Condition()
        self._stopping = False
        self._default: Runner | None = None
        self._failure: EngineError | None = None
        self._thread = threading.Thread(target=self._run, name="device", daemon=True)

    def start(self) -> None:
        """Load the default adapter's runner, in the background, and run batches from then on."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread and free the models. What still waits is answered with an error."""
        with self._changed:
            self._stopping = True
            if self._running:
                self._running.cancellation.cancel()
            self._changed.notify_all()
        if self._thread.ident is not None:
            self._thread.join()

    @property
    def ready(self) -> bool:
        """Whether the model is loaded and batches are run."""
        return self._default is not None and self._failure is None and not self._stopping

    @property
    def failure(self) -> EngineError | None:
        """Why the model could not be loaded, if so."""
        return self._failure

    def load(self) -> tuple[int, int]:
        """Return how many reviews are open and how many works wait."""
        with self._changed:
            return self._scheduler.open_reviews, self._scheduler.waiting

    def open(
        self, ticket: Ticket, adapter: Adapter | None, deadline: float = threading.TIMEOUT_MAX
    ) -> ScheduledRunner:
        """Let a review in and return its runner, to be closed by the caller; raises QueueFull.

        From `deadline` (of the monotonic clock) on the runner cancels what it is asked for.
        """
        if self._default is None or self._stopping:
            raise self._failure or RunnerError("the model is not loaded")
        with self._changed:
            self._scheduler.open(ticket)
            self._opened[ticket.id] = adapter
        return ScheduledRunner(self, ticket, self._default, deadline)

    def close(self, ticket: str) -> None:
        """Let a review out. Idempotent."""
        self.withdraw(ticket)
        with self._changed:
            self._scheduler.close(ticket)
            self._opened.pop(ticket, None)

    def submit(self, works: Sequence[Work[Task]]) -> None:
        """Queue works of an open review."""
        with self._changed:
            if self._stopping:
                raise RunnerError("the engine is shutting down")
            self._scheduler.submit(works)
            self._changed.notify_all()

    def withdraw(self, ticket: str) -> None:
        """Forget the works of a review. A running batch ends when all in it were forgotten."""
        with self._changed:
            self._scheduler.withdraw(ticket)
            if self._running:
                self._running.withdraw(ticket)

    def _run(self) -> None:
        try:
            self._default = self._residents.default
        except EngineError as failure:
            self._failure = failure
            _log.error("device.failed", reason=str(failure))
            return
        while (running := self._next()) is not None:
            self._execute(running)
        self._refuse_rest()
        self._residents.close()

    def _next(self) -> _Running | None:
        with self._changed:
            self._running = None
            while not self._stopping:
                if (batch := self._scheduler.next_batch()) is not None:
                    self._running = _Running(batch)
                    return self._running
                self._changed.wait()
        return None

    def _execute(self, running: _Running) -> None:
        works = running.batch.works
        waiting = {index: work.payload for index, work in enumerate(works)}
        answers: list[Scores | Reply] = []
        started = time.monotonic()
        try:
            for index, answer in self._answers(running):
                task = waiting.pop(index)
                answers.append(answer)
                task.inbox.put((task.index, answer))
            error = RunnerError("the engine is shutting down" if self._stopping else "no answer")
        except EngineError as failure:
            error = failure if isinstance(failure, RunnerError) else RunnerError(str(failure))
        except Exception:  # noqa: BLE001 - the outermost loop: one batch's fault must not end the thread
            _log.exception("batch.failed", kind=running.batch.kind)
            error = RunnerError("the model failed on this request; the engine's log says how")
        for task in waiting.values():
            task.inbox.put(error)
        if self._meter:
            self._meter.batch(running.batch, answers, time.monotonic() - started)

    def _answers(self, running: _Running) -> Iterator[tuple[int, Scores | Reply]]:
        """Yield (index in the batch, answer). Works of reviews that were let out meanwhile are left out."""
        with self._changed:
            wanted = [
                (index, work, self._opened[work.ticket])
                for index, work in enumerate(running.batch.works)
                if work.ticket in self._opened
            ]
        if not wanted:
            return
        runners = [self._residents.runner(adapter) for _, _, adapter in wanted]
        requests = [work.payload.request for _, work, _ in wanted]
        for place, answer in _run(running, runners, requests):
            yield wanted[place][0], answer

    def _refuse_rest(self) -> None:
        with self._changed:
            for ticket in self._opened:
                for work in self._scheduler.withdraw(ticket):
                    work.payload.inbox.put(RunnerError("the engine is shutting down"))


def _run(
    running: _Running, runners: Sequence[Runner], requests: Sequence[ScoreRequest | WriteRequest]
) -> Iterator[tuple[int, Scores]] | Iterator[tuple[int, Reply]]:
    """One call of the runner; where the batch has several adapters, of one that mixes them."""
    first, cancellation = runners[0], running.cancellation
    alone = all(runner is first for runner in runners)
    if running.batch.kind is Kind.SCORE:
        labels, scores = running.batch.works[0].labels, cast(Sequence[ScoreRequest], requests)
        if alone:
            return first.score(scores, labels, cancellation, _ignore)
        return cast(MixingRunner, first).score_with(runners, scores, labels, cancellation)
    writes = cast(Sequence[WriteRequest], requests)
    if alone:
        return first.write(writes, cancellation)
    return cast(MixingRunner, first).write_with(runners, writes, cancellation)


class ScheduledRunner:
    """A Runner for one review; many share the device. Use it in one thread."""

    def __init__(self, device: Device, ticket: Ticket, default: Runner, deadline: float) -> None:
        self.base_model = default.base_model
        self.adapter = ticket.adapter
        self._device = device
        self._ticket = ticket
        self._deadline = deadline
        self._count = default.count_tokens

    def count_tokens(self, text: str) -> int:
        """Return the number of tokens of `text`; no queueing."""
        return self._count(text)

    def score(
        self,
        requests: Sequence[ScoreRequest],
        labels: Sequence[str],
        cancellation: Cancellation,
        on_tokens: Callable[[int], None] = lambda count: None,
    ) -> Iterator[tuple[int, Scores]]:
        """Yield (index of the request, scores) as they are ready; stops early when cancelled."""
        inbox: SimpleQueue[_Message] = SimpleQueue()
        works = [
            Work(self._ticket.id, Kind.SCORE, _score_cost(request), Task(i, request, inbox), tuple(labels))
            for i, request in enumerate(requests)
        ]
        for index, answer in self._collect(works, inbox, cancellation, Scores):
            on_tokens(answer.prompt_tokens)
            yield index, answer

    def write(
        self, requests: Sequence[WriteRequest], cancellation: Cancellation
    ) -> Iterator[tuple[int, Reply]]:
        """Yield (index of the request, reply) as they are ready; stops early when cancelled."""
        inbox: SimpleQueue[_Message] = SimpleQueue()
        works = [
            Work(self._ticket.id, Kind.WRITE, _write_cost(request), Task(i, request, inbox))
            for i, request in enumerate(requests)
        ]
        yield from self._collect(works, inbox, cancellation, Reply)

    def close(self) -> None:
        """Let the review out. Idempotent."""
        self._device.close(self._ticket.id)

    def _collect(
        self,
        works: Sequence[Work[Task]],
        inbox: SimpleQueue[_Message],
        cancellation: Cancellation,
        kind: type[_Answer],
    ) -> Iterator[tuple[int, _Answer]]:
        left = 0 if cancellation.cancelled else len(works)
        if left:
            self._device.submit(works)
        try:
            while left and (message := self._wait(inbox, cancellation)) is not None:
                if isinstance(message, EngineError):
                    raise message
                index, answer = message
                assert isinstance(answer, kind)
                left -= 1
                yield index, answer
        finally:
            if left:
                self._device.withdraw(self._ticket.id)

    def _wait(self, inbox: SimpleQueue[_Message], cancellation: Cancellation) -> _Message | None:
        while not cancellation.cancelled:
            left = self._deadline - time.monotonic()
            if left <= 0:
                cancellation.cancel()
                break
            try:
                return inbox.get(timeout=min(left, _POLL_SECONDS))
            except Empty:
                continue
        return None


def _score_cost(request: ScoreRequest) -> int:
    return 1 + (len(request.prompt) + sum(map(len, request.blocks))) // _CHARACTERS


def _write_cost(request: WriteRequest) -> int:
    return 1 + len(request.suffix) // _CHARACTERS + min(request.max_tokens, _REPLY_TOKENS) * _WRITTEN_TOKEN


def _ignore(count: int) -> None:
    """Tokens of a batch belong to no one review; each counts its own by the answers."""
