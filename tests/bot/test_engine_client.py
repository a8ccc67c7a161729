"""Questions, feedback and adapters over the engine's API, and what is made of its refusals."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from aiohttp import web
from certificates import self_signed

from bot.addresses import review_options
from bot.engine_client import EngineAddress, EngineClient
from bot.reviewer import EngineReviewer
from engine.api.problems import Problem, ProblemKind
from engine.errors import AccessRefused, AdapterConflict, NotReady, QueueFull, Unreachable
from engine.feedback import Feedback, FeedbackSource, FeedbackVerdict
from engine.listening import listening
from engine.server import tls_context
from engine.wire import Language, Question, ReviewRequest

QUESTION = Question(
    question="Why?",
    project="team/app",
    language=Language.JA,
    path="a.py",
    first_line=3,
    code="x = 1",
    lines=(3, 3),
)
FEEDBACK = Feedback(
    fingerprint="0" * 16, verdict=FeedbackVerdict.WRONG, project="team/app", source=FeedbackSource.MR
)
REQUEST = ReviewRequest(diff="--- a/a.py\n+++ b/a.py\n@@ -1 +1,2 @@\n a\n+b = 1\n")
Handler = Callable[[web.Request], Awaitable[web.Response]]


@asynccontextmanager
async def engine(handler: Handler, token: str = "secret", admin: str = "") -> AsyncIterator[EngineClient]:
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handler)
    async with listening(app) as port:
        address = EngineAddress(f"http://127.0.0.1:{port}", token, admin_token=admin)
        async with EngineClient(address) as client:
            yield client


def problem(kind: ProblemKind, **headers: str) -> web.Response:
    body = Problem(kind).body("en").model_dump_json()
    return web.Response(
        text=body, status=kind.status, headers=headers, content_type="application/problem+json"
    )


def test_a_question_is_sent_whole() -> None:
    """Lines, code and language arrive with the token; what a newer engine says besides is ignored."""
    seen = []

    async def handler(request: web.Request) -> web.Response:
        seen.append((request.path, request.headers["Authorization"], await request.json()))
        return web.json_response({"text": "So.", "base_model": "gemma", "adapter": "a", "left_out": True})

    async def main() -> None:
        async with engine(handler) as client:
            answer = await client.ask(QUESTION)
            assert (answer.text, answer.base_model, answer.adapter) == ("So.", "gemma", "a")

    asyncio.run(main())
    ((path, token, body),) = seen
    assert (path, token) == ("/v1/ask", "Bearer secret")
    assert (body["question"], body["lines"], body["language"], body["first_line"]) == (
        "Why?",
        [3, 3],
        "ja",
        3,
    )


def test_feedback_is_sent_whole() -> None:
    """What comes back is what was sent."""
    seen = []

    async def handler(request: web.Request) -> web.Response:
        seen.append(await request.json())
        return web.json_response(seen[-1])

    async def main() -> None:
        async with engine(handler) as client:
            await client.record(FEEDBACK)

    asyncio.run(main())
    assert Feedback.model_validate(seen[0]) == FEEDBACK


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        (ProblemKind.UNAUTHENTICATED, AccessRefused),
        (ProblemKind.QUEUE_FULL, QueueFull),
        (ProblemKind.NOT_READY, NotReady),
    ],
)
def test_a_refusal_is_the_error_it_would_be_in_process(kind: ProblemKind, error: type[Exception]) -> None:
    """So that work waits for what may pass, and not for the rest."""

    async def handler(request: web.Request) -> web.Response:
        return problem(kind, **{"Retry-After": "7"})

    async def main() -> None:
        async with engine(handler) as client:
            with pytest.raises(error):
                await client.adapters("team/app")

    asyncio.run(main())


def test_what_is_no_engine() -> None:
    """A page of something else, or nothing at all, is an engine that is not there."""

    async def handler(request: web.Request) -> web.Response:
        return web.Response(text="<html>welcome</html>", content_type="text/html")

    async def main() -> None:
        async with engine(handler) as client:
            with pytest.raises(Unreachable):
                await client.adapters("team/app")
        async with EngineClient(EngineAddress("http://127.0.0.1:9")) as client:
            with pytest.raises(Unreachable, match=r"127\.0\.0\.1:9"):
                await client.ask(QUESTION)
        with pytest.raises(Unreachable):
            await client.ask(QUESTION)

    asyncio.run(main())


def test_a_certificate_that_is_not_trusted(tmp_path: Path) -> None:
    """Both ways to the engine name the bot's own setting, and take what it names."""
    certificate, key = self_signed(tmp_path)

    async def curve(request: web.Request) -> web.Response:
        return web.json_response({"points": [[10, 2.5, None]]})

    async def main() -> None:
        app = web.Application()
        app.router.add_get("/v1/adapters/team-1/curve", curve)
        async with listening(app, tls=tls_context(certificate, key)) as port:
            address = EngineAddress(f"https://localhost:{port}")
            named = r"https://localhost:\d+: .*; BOT_ENGINE_CA_FILE names what to trust"
            async with EngineClient(address) as client:
                with pytest.raises(Unreachable, match=named):
                    await client.curve("team/app", "team-1")
            with pytest.raises(Unreachable, match=named):
                await EngineReviewer(address.url, review_options(address)).review(REQUEST, lambda _: None)
            async with EngineClient(replace(address, ca_file=certificate)) as client:
                assert (await client.curve("team/app", "team-1")).points == ((10, 2.5, None),)

    asyncio.run(main())


def test_rolling_back_takes_the_other_token() -> None:
    """What changes who serves is asked for as an admin; a state that does not allow it is no outage."""
    seen = []

    async def handler(request: web.Request) -> web.Response:
        seen.append((request.path, request.headers["Authorization"], await request.json()))
        return problem(ProblemKind.CONFLICT)

    async def main() -> None:
        async with engine(handler, admin="of an admin") as client:
            with pytest.raises(AdapterConflict):
                await client.roll_back("team/app", "")

    asyncio.run(main())
    body = {"project": "team/app", "version": ""}
    assert seen == [("/v1/adapters/roll-back", "Bearer of an admin", body)]
