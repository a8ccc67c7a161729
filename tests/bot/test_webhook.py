"""The webhook's end over HTTP: what is let in, what is stored, and which status GitLab gets."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from io import BytesIO
from typing import Any

import pytest
from aiohttp import ClientSession
from desk import MAX_BODY, SIGNING_KEY, TOKEN, Desk, desk
from payloads import mr_payload, note_payload

from bot import webhook

GOOD = {"X-Gitlab-Event": "Note Hook", "X-Gitlab-Token": TOKEN}
BODY = json.dumps(note_payload("/review")).encode()


def run(test: Callable[[Desk], Awaitable[None]]) -> None:
    async def play() -> None:
        async with desk() as stage:
            await test(stage)

    asyncio.run(play())


def answered(body: bytes, headers: dict[str, str], *, broken: bool = False) -> tuple[int, bytes, int]:
    """Return status and body of the answer, and how many deliveries were stored."""
    found: list[tuple[int, bytes, int]] = []

    async def test(stage: Desk) -> None:
        stage.deliveries.broken = broken
        status, text = await post(stage, body, headers)
        found.append((status, text, len(stage.deliveries.kept)))

    run(test)
    return found[0]


async def post(stage: Desk, body: bytes, headers: dict[str, str]) -> tuple[int, bytes]:
    async with (
        ClientSession() as session,
        session.post(stage.url, data=BytesIO(body), headers=headers) as answer,
    ):
        return answer.status, await answer.read()


def payload(**changes: Any) -> bytes:
    return json.dumps(note_payload() | changes).encode()


CASES = {
    "command": (BODY, GOOD, 200, 1),
    "wrong token": (BODY, GOOD | {"X-Gitlab-Token": "x" * 32}, 401, 0),
    "no token": (BODY, {"X-Gitlab-Event": "Note Hook"}, 401, 0),
    "wrong token and no JSON": (b"{", {"X-Gitlab-Token": "x"}, 401, 0),
    "wrong token and unknown event": (b"{}", {"X-Gitlab-Event": "x"}, 401, 0),
    "unknown event": (b"{}", GOOD | {"X-Gitlab-Event": "Job Hook"}, 200, 0),
    "no event": (b"{}", {"X-Gitlab-Token": TOKEN}, 200, 0),
    "push": (b"{}", GOOD | {"X-Gitlab-Event": "Push Hook"}, 200, 0),
    "event of an instance": (
        json.dumps(mr_payload("open")).encode(),
        GOOD | {"X-Gitlab-Event": "System Hook"},
        200,
        1,
    ),
    "no command": (json.dumps(note_payload("fine")).encode(), GOOD, 200, 0),
    "empty payload": (b"{}", GOOD, 200, 0),
    "value of a wrong type": (payload(object_attributes={"note": 5}), GOOD, 200, 0),
    "no JSON": (b"{", GOOD, 400, 0),
    "no object": (b"[]", GOOD, 400, 0),
    "nested too deeply": (b"[" * 100_000, GOOD, 400, 0),
    "not UTF-8": (b"\xff\xfe\xfa\xfb", GOOD, 400, 0),
    "empty body": (b"", GOOD, 400, 0),
    "largest body": (BODY.ljust(MAX_BODY), GOOD, 200, 1),
    "body too large": (BODY.ljust(MAX_BODY + 1), GOOD, 413, 0),
    "body too large from a stranger": (b" " * (MAX_BODY + 1), {}, 413, 0),
}


@pytest.mark.parametrize(("body", "headers", "status", "stored"), CASES.values(), ids=CASES)
def test_statuses(body: bytes, headers: dict[str, str], status: int, stored: int) -> None:
    """GitLab gets a 200 for whatever is genuine, with an empty body; the rest is told why not."""
    found, text, kept = answered(body, headers)
    assert (found, kept) == (status, stored)
    assert (text == b"") is (status == 200)


def test_what_cannot_be_stored_is_a_503() -> None:
    """GitLab must not believe that it arrived."""
    assert answered(BODY, GOOD, broken=True)[0] == 503


def test_a_body_that_does_not_come_is_a_408(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever sends it drop by drop does not hold a connection for ever."""

    async def drops() -> AsyncIterator[bytes]:
        while True:
            yield b" "
            await asyncio.sleep(0.01)

    async def test(stage: Desk) -> None:
        async with (
            ClientSession() as session,
            session.post(stage.url, data=drops(), headers=GOOD) as answer,
        ):
            assert answer.status == 408

    monkeypatch.setattr(webhook, "_BODY_SECONDS", 0.1)
    run(test)


def test_what_needs_no_storing_gets_its_200_without() -> None:
    """An event of no interest is no failure, even when nothing can be stored."""
    assert answered(b"{}", GOOD | {"X-Gitlab-Event": "Push Hook"}, broken=True)[0] == 200


def test_a_delivery_is_kept_as_it_came() -> None:
    """Event and body are those of the request."""

    async def test(stage: Desk) -> None:
        await post(stage, BODY, GOOD)
        (delivery,) = stage.deliveries.kept
        assert (delivery.event, delivery.body) == ("Note Hook", BODY)
        assert delivery.received > 1_700_000_000_000

    run(test)


def test_a_signed_delivery_is_let_in() -> None:
    """The fake signs as GitLab 19 does; a token is not needed then."""

    async def test(stage: Desk) -> None:
        (hook,) = stage.scene.project.hooks
        hook.token, hook.signing_key = "", SIGNING_KEY
        stage.pen().note("/help")
        await stage.work()
        assert stage.scene.fake.webhooks.deliveries[0].status == 200
        assert len(stage.scene.bot_notes) == 1

    run(test)


def test_a_resent_delivery_runs_nothing_twice() -> None:
    """However often GitLab's button is pressed."""

    async def test(stage: Desk) -> None:
        stage.pen().note("/help")
        await stage.work()
        sent = stage.scene.fake.webhooks.deliveries[0]
        for _ in range(3):
            assert await stage.scene.fake.webhooks.again(sent) == 200
        await stage.work()
        assert len(stage.scene.bot_notes) == 1

    run(test)


def test_the_bots_own_notes_are_not_stored() -> None:
    """A review's hundred notes come back as a hundred events of no interest."""

    async def test(stage: Desk) -> None:
        for n in range(5):
            stage.pen(stage.scene.fake.bot).note(f"/review {n}")
        await stage.scene.fake.webhooks.settle()
        assert stage.deliveries.kept == []
        assert {one.status for one in stage.scene.fake.webhooks.deliveries} == {200}

    run(test)
