"""One request to an engine elsewhere, and the events that answer it. Knows HTTP, not what is asked.

Only what did no work is tried again: a connection that was not made, or an answer that says to come back.
Pauses are drawn evenly from zero to their limit, on top of what the engine asks for.
"""

from __future__ import annotations

import http.client
import random
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

from engine.connecting import Address, Connect
from engine.errors import TenkenError, Unreachable
from engine.events import parse_events
from engine.refusals import refusal_of
from engine.runners import Cancellation

_LONGEST_PAUSE = 60.0
_CANCEL_POLL_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class HttpOptions:
    """How to reach an engine."""

    token: str = field(default="", repr=False)
    ca_file: Path | None = None  # None: the system's certificates
    proxy: str | None = None  # http://[user:password@]host:port
    connect_seconds: float = 10
    silence_seconds: float = 60  # the engine says something every ten
    attempts: int = 5
    first_pause: float = 0.5  # the longest pause before the second attempt; doubles each time
    ca_setting: str = "ENGINE_CA_FILE"  # what `ca_file` is called, for whoever has to set it


class Exchange:
    """Posts requests to one engine."""

    def __init__(self, url: str, options: HttpOptions) -> None:
        self._options = options
        self._connect = Connect(
            Address.parse(url),
            options.ca_file,
            options.proxy,
            options.connect_seconds,
            options.silence_seconds,
        )

    @property
    def address(self) -> Address:
        """Where the engine is."""
        return self._connect.address

    @contextmanager
    def events(
        self, path: str, body: bytes, cancellation: Cancellation
    ) -> Iterator[Iterator[tuple[str, str]]]:
        """Give the events that answer the request, each with its name and data.

        While inside, a cancellation is passed on to the engine: what has an address is asked to end with what
        it has, for anything else the connection is broken off. A refusal is raised as the error that it is in
        process, a lost connection as Unreachable, so the events have no end of their own.
        """
        with (
            closing(self._answered(path, body, cancellation)) as answered,
            self._passing_on(cancellation, answered),
        ):
            yield self._until_the_end(answered.response)

    def post(self, path: str, body: bytes) -> bytes:
        """Return the body of an answer that comes in one piece; errors are those of `events`."""
        with closing(self._answered(path, body, Cancellation())) as answered, self._translating():
            return answered.response.read()

    def _answered(self, path: str, body: bytes, cancellation: Cancellation) -> _Answered:
        for attempt in count(1):
            try:
                return self._post(path, body)
            except _Again as again:
                if attempt >= self._options.attempts or self._pause(attempt, again, cancellation):
                    raise again.error from again
        raise AssertionError("unreachable")

    def _post(self, path: str, body: bytes) -> _Answered:
        """Return the opened stream of events."""
        connection = self._opened()
        wire: socket.socket = connection.sock  # http.client forgets it when it has the response
        try:
            with self._translating():
                self._send(connection, "POST", path, body)
                answered = _Answered(connection, connection.getresponse(), wire)
        except BaseException:
            connection.close()
            raise
        response = answered.response
        if response.status == http.HTTPStatus.OK:
            return answered
        with closing(answered), self._translating():
            refused = response.read()
        refusal = refusal_of(response.status, response.headers, refused)
        raise _Again(refusal.error, refusal.retry_after) if refusal.may_retry else refusal.error

    def _until_the_end(self, response: http.client.HTTPResponse) -> Iterator[tuple[str, str]]:
        for name, data in parse_events(self._lines(response)):
            if name == "problem":
                raise refusal_of(http.HTTPStatus.OK, response.headers, data.encode()).error
            yield name, data
        raise Unreachable(f"{self.address} broke off before it was done")

    def _lines(self, response: http.client.HTTPResponse) -> Iterator[bytes]:
        """Yield what is received. What goes wrong in the caller meanwhile is the caller's error."""
        while True:
            with self._translating():
                line = response.readline()
            if not line:
                return
            yield line

    @contextmanager
    def _passing_on(self, cancellation: Cancellation, answered: _Answered) -> Iterator[None]:
        """While inside, a cancellation ends the work there."""
        done = threading.Event()

        def watch() -> None:
            while not done.wait(_CANCEL_POLL_SECONDS):
                if cancellation.cancelled:
                    self._end(answered, done)
                    return

        watcher = threading.Thread(target=watch, name="cancellation", daemon=True)
        watcher.start()
        try:
            yield
        finally:
            done.set()
            watcher.join()

    def _end(self, answered: _Answered, done: threading.Event) -> None:
        """Ask for what there is, and break the connection off where that is nothing."""
        location = answered.response.headers.get("Location", "")
        if location.startswith("/"):
            self._stop(location)
            if done.wait(self._options.connect_seconds):
                return
        with suppress(OSError):
            answered.wire.shutdown(socket.SHUT_RDWR)

    def _stop(self, location: str) -> None:
        with suppress(TenkenError, _Again), self._translating():
            connection = self._opened()
            try:
                self._send(connection, "DELETE", location)
                connection.getresponse().read()
            finally:
                connection.close()

    def _opened(self) -> http.client.HTTPConnection:
        try:
            return self._connect()
        except ssl.SSLCertVerificationError as error:
            raise Unreachable(
                f"{self.address}: {error.verify_message}; {self._options.ca_setting} names what to trust"
            ) from error
        except OSError as error:
            raise _Again(Unreachable(f"cannot reach {self.address}: {error}"), 0) from error

    def _send(
        self, connection: http.client.HTTPConnection, method: str, path: str, body: bytes | None = None
    ) -> None:
        headers = {"Accept": "text/event-stream, application/problem+json", **self._connect.headers}
        if self._options.token:
            headers["Authorization"] = f"Bearer {self._options.token}"
        if body is not None:
            headers["Content-Type"] = "application/json"
        connection.request(method, self._connect.target(path), body, headers)

    @contextmanager
    def _translating(self) -> Iterator[None]:
        try:
            yield
        except (OSError, http.client.HTTPException) as error:
            raise Unreachable(f"{self.address} broke off: {error or type(error).__name__}") from error

    def _pause(self, attempt: int, again: _Again, cancellation: Cancellation) -> bool:
        """Wait before the next attempt; True where it was cancelled meanwhile."""
        limit = min(_LONGEST_PAUSE, self._options.first_pause * 2 ** (attempt - 1))
        seconds = min(_LONGEST_PAUSE, again.retry_after) + random.uniform(0, limit)
        return cancellation.event.wait(seconds)


@dataclass(frozen=True, slots=True)
class _Answered:
    """An answer that has begun."""

    connection: http.client.HTTPConnection
    response: http.client.HTTPResponse
    wire: socket.socket

    def close(self) -> None:
        """Hang up. An answer of unknown length holds the socket, and its connection has forgotten it."""
        self.response.close()
        self.connection.close()


class _Again(Exception):
    """Nothing was done, so it may be tried again."""

    def __init__(self, error: TenkenError, retry_after: float) -> None:
        self.error = error
        self.retry_after = retry_after
        super().__init__(str(error))
