"""The webhook's end: verify, decide whether it matters, store, answer within milliseconds.

| answer | when |
| --- | --- |
| 200 | stored, known already, or of no interest |
| 400 | genuine, but no JSON object |
| 401 | token or signature is wrong, or not that of the project |
| 408, 413 | the body does not come, or is too large |
| 503 | it could not be stored: GitLab may send it again |

GitLab switches a hook off that fails too often, so whatever is genuine gets a 200.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

import structlog
from aiohttp import web

from bot.deliveries import Deliveries, Delivery
from bot.errors import EventError
from bot.events import Event, parse_payload, read_event
from bot.signatures import Secrets
from engine.errors import StoreError

_log = structlog.get_logger()
_BODY_SECONDS = 10  # GitLab itself waits no longer
_RETRY_SECONDS = 10
_LONGEST_NAME = 50

Ignored = Callable[[Event], str]
"""Why nothing is to be done about an event; "" where something is."""


class Refusal(Exception):
    """A request gets this answer instead of a 200."""

    def __init__(self, status: int, reason: str) -> None:
        self.status = status
        self.reason = reason
        super().__init__(reason)


class Receiver:
    """Its `receive` handles `POST /webhook`."""

    def __init__(self, deliveries: Deliveries, secrets: Secrets, ignored: Ignored, max_body: int) -> None:
        self._deliveries = deliveries
        self._secrets = secrets
        self._ignored = ignored
        self._max_body = max_body

    async def receive(self, request: web.Request) -> web.Response:
        """Answer one delivery."""
        log = _log.bind(webhook_event=request.headers.get("X-Gitlab-Event", "")[:_LONGEST_NAME])
        try:
            outcome = await self._stored(request)
        except Refusal as refusal:
            log.warning("webhook.refused", status=refusal.status, reason=refusal.reason)
            return web.Response(status=refusal.status, text=f"{refusal.reason}\n")
        except StoreError as error:
            log.error("webhook.not_stored", reason=str(error))
            return web.Response(status=503, headers={"Retry-After": str(_RETRY_SECONDS)})
        log.info("webhook.answered", outcome=outcome)
        return web.Response()

    async def _stored(self, request: web.Request) -> str:
        """Store a genuine delivery that matters, and return what became of it."""
        body = await self._read(request)
        received, headers = time.time(), request.headers
        proof = self._secrets.prove(headers, body, received)
        if proof is None:
            raise Refusal(401, "wrong secret")
        name, payload = headers.get("X-Gitlab-Event", ""), _payload(body)
        try:
            event = read_event(name, payload)
        except EventError as error:
            return f"unreadable: {error}"
        if event is None:
            return "ignored: no event that is read here"
        if not proof.covers(event.project_number):
            raise Refusal(401, "not the secret of this project")
        if reason := self._ignored(event):
            return f"ignored: {reason}"
        is_new = await self._deliveries.accept(Delivery(name, body, int(received * 1000)))
        return "stored" if is_new else "known already"

    async def _read(self, request: web.Request) -> bytes:
        chunks, size = [], 0
        try:
            async with asyncio.timeout(_BODY_SECONDS):
                async for chunk in request.content.iter_any():
                    size += len(chunk)
                    if size > self._max_body:
                        raise Refusal(413, f"more than {self._max_body} bytes")
                    chunks.append(chunk)
        except TimeoutError as error:
            raise Refusal(408, "the body did not come") from error
        return b"".join(chunks)


def _payload(body: bytes) -> dict[str, Any]:
    try:
        return parse_payload(body)
    except EventError as error:
        raise Refusal(400, str(error)) from error
