"""/v1/reviews: have a change reviewed, at once or piece by piece."""

from __future__ import annotations

from aiohttp import web

from engine.api.problems import ProblemBody, ProblemKind
from engine.api.routes import CALLER, Route, answer, read_body, wants_events
from engine.api.running import Reviews, Running
from engine.api.streams import PATIENCE_SECONDS, send_events
from engine.findings import Finding
from engine.wire import Review, ReviewProgress, ReviewRequest, ReviewStatus

_ID = "^[0-9a-f]{24}$"


def routes(reviews: Reviews) -> tuple[Route, ...]:
    """Return the routes of this resource."""

    async def create(request: web.Request) -> web.StreamResponse:
        wanted = await read_body(request, ReviewRequest)
        running = await reviews.start(wanted, request[CALLER])
        headers = {"Location": f"/v1/reviews/{running.id}"}
        if "respond-async" in request.headers.get("Prefer", ""):
            return answer(running.status, 202, headers)
        return await _until_done(request, running, headers)

    async def show(request: web.Request) -> web.StreamResponse:
        running = reviews.find(request.match_info["id"], request[CALLER])
        if running.problem:
            raise running.problem
        return answer(running.status)

    async def cancel(request: web.Request) -> web.StreamResponse:
        running = reviews.find(request.match_info["id"], request[CALLER])
        running.cancellation.cancel()
        return answer(running.status, 202)

    common = (ProblemKind.NOT_FOUND,)
    return (
        Route(
            "POST",
            "/v1/reviews",
            create,
            "Review a diff. With `Prefer: respond-async`, answer at once and go on.",
            {200: Review, 202: ReviewStatus},
            body=ReviewRequest,
            problems=(
                ProblemKind.UNKNOWN_ADAPTER,
                ProblemKind.INVALID_DIFF,
                ProblemKind.TOO_MANY_FILES,
                ProblemKind.TOO_MANY_OPEN_REVIEWS,
                ProblemKind.QUEUE_FULL,
                ProblemKind.ENGINE_FAILED,
                ProblemKind.NOT_READY,
                ProblemKind.SHUTTING_DOWN,
            ),
            streams=(ReviewProgress, Finding, Review, ProblemBody),
        ),
        Route(
            "GET",
            "/v1/reviews/{id}",
            show,
            "Show a review of one's own, while it runs and some minutes longer.",
            {200: ReviewStatus},
            problems=(*common, ProblemKind.ENGINE_FAILED),
            path_patterns={"id": _ID},
        ),
        Route(
            "DELETE",
            "/v1/reviews/{id}",
            cancel,
            "Stop a review of one's own; it ends with what it has.",
            {202: ReviewStatus},
            problems=common,
            path_patterns={"id": _ID},
        ),
    )


async def _until_done(request: web.Request, running: Running, headers: dict[str, str]) -> web.StreamResponse:
    """Answer when it is done, or as it happens. A caller that goes away cancels the review."""
    try:
        if wants_events(request):
            return await send_events(request, running.events(PATIENCE_SECONDS), headers)
        return answer(await running.result(), headers=headers)
    finally:
        if running.ended is None:
            running.cancellation.cancel()
