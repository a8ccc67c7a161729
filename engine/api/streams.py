"""Server-sent events: a review as it happens, or an answer when it is there."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping

from aiohttp import web
from pydantic import BaseModel

from engine.api.problems import ProblemBody
from engine.findings import Finding
from engine.wire import Answer, Review, ReviewProgress

EVENT_NAMES: Mapping[type[BaseModel], str] = {
    ReviewProgress: "progress",
    Finding: "finding",
    Review: "review",
    Answer: "answer",
    ProblemBody: "problem",
}
PATIENCE_SECONDS = 10.0
_KEEP_ALIVE = b": still here\n\n"


def encode(event: BaseModel) -> bytes:
    """Return the event on the wire. JSON has no line ends of its own, so one data line is enough."""
    return b"event: %s\ndata: %s\n\n" % (EVENT_NAMES[type(event)].encode(), event.model_dump_json().encode())


async def send_events(
    request: web.Request, events: AsyncIterator[BaseModel | None], headers: Mapping[str, str]
) -> web.StreamResponse:
    """Answer with `events`; None is sent as a comment, so that nobody on the way thinks us dead.

    A peer that is gone raises ConnectionError, or cancels the handler.
    """
    response = web.StreamResponse(headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no", **headers})
    response.content_type = "text/event-stream"
    await response.prepare(request)
    async for event in events:
        await response.write(_KEEP_ALIVE if event is None else encode(event))
    await response.write_eof()
    return response
