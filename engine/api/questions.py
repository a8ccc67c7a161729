"""/v1/ask: a question about given lines."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Protocol

import structlog
from aiohttp import web
from pydantic import BaseModel

from engine.api.admission import Admission, Place
from engine.api.callers import Caller
from engine.api.problems import Problem, ProblemBody, ProblemKind, problem_of
from engine.api.routes import CALLER, Route, answer, read_body, wants_events
from engine.api.streams import PATIENCE_SECONDS, send_events
from engine.asking import Prepared, prepare
from engine.asking import answer as answered
from engine.errors import EngineError, InputError
from engine.wire import Answer, Question

_log = structlog.get_logger()


class QuestionMeter(Protocol):
    """What is measured of questions."""

    def question(self, outcome: str, seconds: float) -> None:
        """Note a question that ended."""


class Questions:
    """Has questions answered."""

    def __init__(self, admission: Admission, meter: QuestionMeter) -> None:
        self._admission = admission
        self._meter = meter
        self._tasks: set[asyncio.Task[Answer | Problem]] = set()

    async def start(self, question: Question, caller: Caller) -> Asked:
        """Take a question on; raises Problem where it cannot be."""
        place = await self._admission.enter(caller, question)
        try:
            prepared = await asyncio.to_thread(self._prepare, question, place)
        except BaseException:
            self._admission.leave(place)
            raise
        task = asyncio.create_task(self._run(question, prepared, place))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return Asked(task, place)

    def _prepare(self, question: Question, place: Place) -> Prepared:
        try:
            return prepare(question, place.runner.count_tokens, self._admission.limits.context)
        except InputError as error:
            raise problem_of(error, question.language) from error

    async def _run(self, question: Question, prepared: Prepared, place: Place) -> Answer | Problem:
        started = time.monotonic()
        try:
            ended = await self._admission.run(
                lambda: answered(prepared, place.runner, place.cancellation)
            ) or self._why_not(question)
        except EngineError as error:
            ended = problem_of(error, question.language)
        except Exception:  # noqa: BLE001 - the outermost loop of a question: log, tell the caller, go on
            _log.exception("question.broke", question=place.id)
            ended = Problem(ProblemKind.INTERNAL, language=question.language)
        self._admission.leave(place)
        outcome, seconds = "done" if isinstance(ended, Answer) else "failed", time.monotonic() - started
        self._meter.question(outcome, seconds)
        _log.info(
            "question.ended", question=place.id, token=place.owner, outcome=outcome, seconds=round(seconds, 3)
        )
        return ended

    def _why_not(self, question: Question) -> Problem:
        """A caller that left hears nothing of it, so the end was the engine's or the deadline's."""
        if self._admission.draining:
            return Problem(ProblemKind.SHUTTING_DOWN, language=question.language)
        seconds = self._admission.limits.seconds
        return Problem(ProblemKind.ENGINE_FAILED, f"no answer within {seconds:g} s", question.language)


class Asked:
    """A question that is on its way."""

    def __init__(self, task: asyncio.Task[Answer | Problem], place: Place) -> None:
        self._task = task
        self._place = place

    def cancel(self) -> None:
        """End it; nothing happens where it has ended."""
        self._place.cancellation.cancel()

    async def result(self) -> Answer:
        """Return the answer; raises the Problem it ended with."""
        ended = await asyncio.shield(self._task)
        if isinstance(ended, Problem):
            raise ended
        return ended

    async def events(self, patience: float) -> AsyncIterator[BaseModel | None]:
        """Yield the Answer or a ProblemBody, before that None whenever `patience` seconds have passed."""
        while not (await asyncio.wait((self._task,), timeout=patience))[0]:
            yield None
        ended = self._task.result()
        yield ended.body() if isinstance(ended, Problem) else ended


def routes(questions: Questions) -> tuple[Route, ...]:
    """Return the routes of this resource."""

    async def ask(request: web.Request) -> web.StreamResponse:
        asked = await questions.start(await read_body(request, Question), request[CALLER])
        try:
            if wants_events(request):
                return await send_events(request, asked.events(PATIENCE_SECONDS), {})
            return answer(await asked.result())
        finally:
            asked.cancel()

    return (
        Route(
            "POST",
            "/v1/ask",
            ask,
            "Ask a question about lines of code or about a change.",
            {200: Answer},
            body=Question,
            problems=(
                ProblemKind.UNKNOWN_ADAPTER,
                ProblemKind.TOO_MANY_OPEN_REVIEWS,
                ProblemKind.QUEUE_FULL,
                ProblemKind.ENGINE_FAILED,
                ProblemKind.NOT_READY,
                ProblemKind.SHUTTING_DOWN,
            ),
            streams=(Answer, ProblemBody),
        ),
    )
