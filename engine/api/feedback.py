"""/v1/feedback: what people did with findings."""

from __future__ import annotations

import asyncio
import re
from datetime import UTC, datetime

from aiohttp import web
from pydantic import BaseModel, ConfigDict

from engine.api.problems import Problem, ProblemKind
from engine.api.routes import CALLER, Route, answer, read_body
from engine.feedback import Feedback
from engine.lifecycle import DEFAULT_PROJECT
from engine.store.feedback import FeedbackStore
from engine.tokens import Role

_FINGERPRINT = r"^[0-9a-f]{16}$"
_AT_MOST = 1000
_PROJECT = {"project": "E.g. group/app; the token's only one, or all of them, if not given."}


class FeedbackList(BaseModel):
    """Feedback, the latest first."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    feedback: tuple[Feedback, ...]


class Removed(BaseModel):
    """How much was forgotten."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    removed: int


def routes(store: FeedbackStore) -> tuple[Route, ...]:
    """Return the routes of this resource."""

    async def record(request: web.Request) -> web.StreamResponse:
        entry = _not_in_the_future(await read_body(request, Feedback))
        request[CALLER].project(entry.project)
        await asyncio.to_thread(store.record, entry)
        return answer(entry)

    async def show_all(request: web.Request) -> web.StreamResponse:
        project = request[CALLER].project(request.query.get("project", "")) or None
        about = request.query.get("fingerprint") or None
        if about and not re.fullmatch(_FINGERPRINT, about):
            raise Problem(ProblemKind.INVALID_REQUEST, "fingerprint: 16 hex digits")
        found = await asyncio.to_thread(store.list_feedback, project, about, _AT_MOST)
        return answer(FeedbackList(feedback=tuple(found)))

    async def export(request: web.Request) -> web.StreamResponse:
        project = request[CALLER].project(request.query.get("project", "")) or None
        response = web.StreamResponse(headers={"Content-Type": "application/x-ndjson"})
        await response.prepare(request)
        entries = store.export(project)
        while (entry := await asyncio.to_thread(next, entries, None)) is not None:
            await response.write(entry.model_dump_json().encode() + b"\n")
        return response

    async def remove(request: web.Request) -> web.StreamResponse:
        project = request[CALLER].project(request.query.get("project", "")) or DEFAULT_PROJECT
        count = await asyncio.to_thread(store.remove, project, request.match_info["fingerprint"])
        return answer(Removed(removed=count))

    return (
        Route(
            "POST",
            "/v1/feedback",
            record,
            "Say what a finding was worth. Later reviews leave it out if it is dismissed or wrong.",
            {200: Feedback},
            body=Feedback,
        ),
        Route(
            "GET",
            "/v1/feedback",
            show_all,
            f"List feedback, the latest {_AT_MOST}.",
            {200: FeedbackList},
            Role.TRAINER,
            query=_PROJECT | {"fingerprint": "About this finding only."},
            problems=(ProblemKind.INVALID_REQUEST,),
        ),
        Route(
            "GET",
            "/v1/feedback/export",
            export,
            "All feedback as JSON lines, for training.",
            {200: "application/x-ndjson"},
            Role.TRAINER,
            query=_PROJECT,
        ),
        Route(
            "DELETE",
            "/v1/feedback/{fingerprint}",
            remove,
            "Forget all feedback about a finding.",
            {200: Removed},
            Role.TRAINER,
            query=_PROJECT,
            path_patterns={"fingerprint": _FINGERPRINT},
        ),
    )


def _not_in_the_future(entry: Feedback) -> Feedback:
    """The latest word holds, so a clock that is ahead must not have it for good."""
    now = datetime.now(UTC)
    return entry if entry.created <= now else entry.model_copy(update={"created": now})
