"""One server: JSON in, JSON out, over connections that are kept. The only sockets of this runner.

What goes wrong is sorted by who should try again: nobody (Refused), anybody later (Busy), another server at
once (Unusable). Answers come from a network, so their size is bounded and their text is made harmless.
"""

from __future__ import annotations

import http.client
import json
import socket
import ssl
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from email.message import Message
from http import HTTPStatus
from threading import Lock
from typing import Any

from engine.connecting import Connect
from engine.errors import AccessRefused
from engine.runners.openai_calls import Hangup
from engine.sanitize import one_line

_LARGEST = 64 * 2**20
_KEPT_SECONDS = 3.0  # vLLM closes what is idle for five (VLLM_HTTP_TIMEOUT_KEEP_ALIVE)
_LONGEST_WAIT = 60.0
_MESSAGE = 300
_BUSY = {HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE}


class Busy(Exception):
    """The server takes on nothing more for `seconds`; 0 where it does not say how long."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        super().__init__("takes on nothing more at the moment")


class Unusable(Exception):
    """The server did not answer, or failed; another one may do."""

    def __init__(self, reason: str, status: int = 0) -> None:
        self.status = status  # 0 where there was no answer
        super().__init__(reason)


class Refused(Exception):
    """The request is at fault; no server would take it."""

    def __init__(self, status: int, message: str) -> None:
        self.status = status
        super().__init__(message)


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    headers: Message
    text: bytes


class OpenAIServer:
    """A server of the OpenAI API, at `url`. Any thread may use it."""

    def __init__(self, connect: Connect, key: str = "") -> None:
        self.url = str(connect.address)
        self._connect = connect
        self._headers = {"Accept": "application/json", **connect.headers}
        if key:
            self._headers["Authorization"] = f"Bearer {key}"
        self._lock = Lock()
        self._idle: list[tuple[float, http.client.HTTPConnection]] = []
        self._closed = False

    def get(self, path: str, hangup: Hangup) -> Any:
        """Return what is at `path`; None for an empty answer."""
        return self._call("GET", path, None, hangup)

    def post(self, path: str, body: Mapping[str, Any], hangup: Hangup) -> Any:
        """Return the answer to `body`; a text where it is no JSON object, as of vLLM's LoRA routes."""
        return self._call("POST", path, json.dumps(body, separators=(",", ":")).encode(), hangup)

    def close(self) -> None:
        """Close what is kept, and keep nothing more: calls may still be answered. Idempotent."""
        with self._lock:
            self._closed = True
            while self._idle:
                self._idle.pop()[1].close()

    def _call(self, method: str, path: str, data: bytes | None, hangup: Hangup) -> Any:
        hangup.check()
        try:
            answer = self._exchange(method, path, data, hangup)
        except (OSError, http.client.HTTPException) as failure:
            hangup.check()
            raise Unusable(f"broke off: {_reason(failure)}") from failure
        if answer.status == HTTPStatus.OK:
            return _content(answer)
        raise self._failure(answer)

    def _exchange(self, method: str, path: str, data: bytes | None, hangup: Hangup) -> _Answer:
        if (kept := self._kept()) is not None:
            # The server may have closed it meanwhile. Computing something twice does no harm.
            with suppress(ConnectionError, http.client.BadStatusLine):
                return self._send(kept, method, path, data, hangup)
            hangup.check()
        try:
            connection = self._connect()
        except OSError as failure:
            raise Unusable(f"cannot be reached: {_reason(failure)}") from failure
        return self._send(connection, method, path, data, hangup)

    def _send(
        self,
        connection: http.client.HTTPConnection,
        method: str,
        path: str,
        data: bytes | None,
        hangup: Hangup,
    ) -> _Answer:
        headers = self._headers if data is None else {**self._headers, "Content-Type": "application/json"}
        wire = connection.sock  # http.client forgets it when it has the response
        assert isinstance(wire, socket.socket)
        reusable = False
        try:
            with hangup.holding(wire):
                connection.request(method, self._connect.target(path), data, headers)
                with connection.getresponse() as response:
                    text = response.read(_LARGEST + 1)
                    if len(text) > _LARGEST:
                        raise http.client.HTTPException(f"answers with more than {_LARGEST >> 20} MiB")
                    reusable = response.isclosed() and not response.will_close
                    return _Answer(response.status, response.headers, text)
        finally:
            self._keep(connection) if reusable else connection.close()

    def _kept(self) -> http.client.HTTPConnection | None:
        with self._lock:
            while self._idle:
                since, connection = self._idle.pop()
                if time.monotonic() - since < _KEPT_SECONDS:
                    return connection
                connection.close()
        return None

    def _keep(self, connection: http.client.HTTPConnection) -> None:
        with self._lock:
            if not self._closed:
                self._idle.append((time.monotonic(), connection))
                return
        connection.close()

    def _failure(self, answer: _Answer) -> Exception:
        message = _message(answer)
        if answer.status in _BUSY:
            return Busy(_seconds(answer.headers.get("Retry-After")))
        if answer.status == HTTPStatus.UNAUTHORIZED:
            return AccessRefused(f"{self.url} does not accept ENGINE_OPENAI_KEY: {message}")
        if answer.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            return Unusable(f"answers {answer.status}: {message}", answer.status)
        return Refused(answer.status, message)


def _content(answer: _Answer) -> Any:
    if not answer.text:
        return None
    try:
        return json.loads(answer.text)
    except (ValueError, RecursionError):
        return answer.text.decode("utf-8", "replace")


def _message(answer: _Answer) -> str:
    """What the server says is wrong: vLLM has {"error": {"message": ...}}, FastAPI {"detail": ...}."""
    content = _content(answer)
    found = content.get("error", content.get("detail")) if isinstance(content, dict) else content
    text = found.get("message") if isinstance(found, dict) else found
    if isinstance(text, str) and text.strip():
        return one_line(text)[:_MESSAGE]
    return http.client.responses.get(answer.status, "no reason given")


def _reason(failure: OSError | http.client.HTTPException) -> str:
    if isinstance(failure, ssl.SSLCertVerificationError):
        return f"{failure.verify_message}; ENGINE_CA_FILE names what to trust"
    if isinstance(failure, TimeoutError):
        return "no answer in time"
    return str(getattr(failure, "strerror", None) or failure or type(failure).__name__)


def _seconds(text: str | None) -> float:
    """Retry-After in seconds; its other form, a date, counts as none."""
    return min(float(text), _LONGEST_WAIT) if text and text.isascii() and text.isdigit() else 0.0
