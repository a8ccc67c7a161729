"""Where reviews come from: an engine elsewhere, or the model in this process. One Protocol for both.

The HTTP client is made of the standard library alone, and blocks: a laptop needs nothing more installed, and
a service calls it through `asyncio.to_thread`, as it does all that waits.
"""

from __future__ import annotations

import http.client
import random
import socket
import ssl
import threading
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Protocol, TypeVar

from pydantic import BaseModel, ValidationError

from engine.connecting import Address, Connect
from engine.errors import TenkenError, Unreachable
from engine.events import parse_events
from engine.findings import Finding
from engine.refusals import Refusal, refusal_of
from engine.review import Progress, review
from engine.runners import Cancellation, Runner
from engine.scores import Calibration
from engine.wire import Review, ReviewProgress, ReviewRequest
from engine.workload import require_room

OnProgress = Callable[[Progress], None]
OnFinding = Callable[[Finding], None]

_LONGEST_PAUSE = 60.0
_CANCEL_POLL_SECONDS = 0.1
_Model = TypeVar("_Model", bound=BaseModel)


def _unheard(_: object) -> None:
    """For callers that want the review alone."""


class ReviewClient(Protocol):
    """Reviews changes. One review at a time for each client."""

    def review(
        self,
        request: ReviewRequest,
        *,
        on_progress: OnProgress = ...,
        on_finding: OnFinding = ...,
        cancellation: Cancellation | None = None,
    ) -> Review:
        """Return the review of `request`; cancelled, what is done until then, marked partial.

        Raises InputError for a request that cannot be reviewed, EngineError where the engine cannot work.
        """

    def close(self) -> None:
        """Free what the client holds. Idempotent."""


class LocalReviewClient:
    """Reviews with a runner in this process; closes it in the end."""

    def __init__(
        self,
        runner: Runner,
        calibration: Calibration = Calibration(),  # noqa: B008 - frozen
        context: int = 4096,
        suppressed: Collection[str] = (),
    ) -> None:
        self._suppressed = suppressed
        self._runner = runner
        self._calibration = calibration
        self._context = context

    def review(
        self,
        request: ReviewRequest,
        *,
        on_progress: OnProgress = _unheard,
        on_finding: OnFinding = _unheard,
        cancellation: Cancellation | None = None,
    ) -> Review:
        """Return the review of `request`."""
        require_room(request, self._runner.count_tokens, self._context)
        return review(
            request,
            self._runner,
            self._calibration,
            on_progress=on_progress,
            on_finding=on_finding,
            cancellation=cancellation,
            suppressed=self._suppressed,
        )

    def close(self) -> None:
        """Free the model."""
        self._runner.close()


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


class HttpReviewClient:
    """Reviews with an engine elsewhere.

    Only what did no work is tried again: a connection that was not made, or an answer that says to come back.
    Pauses are drawn evenly from zero to their limit, on top of what the engine asks for.
    """

    def __init__(self, url: str, options: HttpOptions = HttpOptions()) -> None:
        self._options = options
        self._connect = Connect(
            Address.parse(url),
            options.ca_file,
            options.proxy,
            options.connect_seconds,
            options.silence_seconds,
        )

    def review(
        self,
        request: ReviewRequest,
        *,
        on_progress: OnProgress = _unheard,
        on_finding: OnFinding = _unheard,
        cancellation: Cancellation | None = None,
    ) -> Review:
        """Return the review of `request`."""
        cancellation = cancellation or Cancellation()
        body = request.model_dump_json(exclude_defaults=True).encode()
        for attempt in count(1):
            try:
                with self._posted(body, cancellation) as answer:
                    return self._follow(answer, on_progress, on_finding)
            except _Again as again:
                if attempt >= self._options.attempts or self._pause(attempt, again, cancellation):
                    raise again.error from again
        raise AssertionError("unreachable")

    def close(self) -> None:
        """Nothing is kept between reviews."""

    @contextmanager
    def _posted(self, body: bytes, cancellation: Cancellation) -> Iterator[http.client.HTTPResponse]:
        """Give the opened stream of events; while inside, a cancellation is passed on to the engine."""
        connection = self._opened()
        wire: socket.socket = connection.sock  # http.client forgets it when it has the response
        try:
            with self._translating():
                self._send(connection, "POST", "/v1/reviews", body)
                answer = connection.getresponse()
                if answer.status != http.HTTPStatus.OK:
                    raise self._refused(refusal_of(answer.status, answer.headers, answer.read()))
            with self._passing_on(cancellation, answer.headers.get("Location", ""), wire):
                yield answer
        finally:
            connection.close()

    def _follow(
        self, answer: http.client.HTTPResponse, on_progress: OnProgress, on_finding: OnFinding
    ) -> Review:
        for name, data in parse_events(self._lines(answer)):
            match name:
                case "progress":
                    on_progress(Progress(**_read(ReviewProgress, data).model_dump()))
                case "finding":
                    on_finding(_read(Finding, data))
                case "review":
                    return _read(Review, data)
                case "problem":
                    raise refusal_of(http.HTTPStatus.OK, answer.headers, data.encode()).error
        raise Unreachable(f"{self._connect.address} broke off before the review was done")

    def _lines(self, answer: http.client.HTTPResponse) -> Iterator[bytes]:
        """Yield what is received. What goes wrong while a callback runs is the callback's error."""
        while True:
            with self._translating():
                line = answer.readline()
            if not line:
                return
            yield line

    @contextmanager
    def _passing_on(self, cancellation: Cancellation, location: str, wire: socket.socket) -> Iterator[None]:
        """While inside, a cancellation ends the review there with what it has."""
        done = threading.Event()

        def watch() -> None:
            while not done.wait(_CANCEL_POLL_SECONDS):
                if cancellation.cancelled:
                    self._stop(location)
                    if not done.wait(self._options.connect_seconds):
                        with suppress(OSError):
                            wire.shutdown(socket.SHUT_RDWR)
                    return

        watcher = threading.Thread(target=watch, name="cancellation", daemon=True)
        watcher.start()
        try:
            yield
        finally:
            done.set()
            watcher.join()

    def _stop(self, location: str) -> None:
        if not location.startswith("/"):
            return
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
                f"{self._connect.address}: {error.verify_message}; ENGINE_CA_FILE names what to trust"
            ) from error
        except OSError as error:
            raise _Again(Unreachable(f"cannot reach {self._connect.address}: {error}"), 0) from error

    def _send(
        self, connection: http.client.HTTPConnection, method: str, path: str, body: bytes | None = None
    ) -> None:
        headers = {"Accept": "text/event-stream, application/problem+json", **self._connect.headers}
        if self._options.token:
            headers["Authorization"] = f"Bearer {self._options.token}"
        if body is not None:
            headers["Content-Type"] = "application/json"
        connection.request(method, self._connect.target(path), body, headers)

    def _refused(self, refusal: Refusal) -> Exception:
        return _Again(refusal.error, refusal.retry_after) if refusal.may_retry else refusal.error

    @contextmanager
    def _translating(self) -> Iterator[None]:
        try:
            yield
        except (OSError, http.client.HTTPException) as error:
            raise Unreachable(
                f"{self._connect.address} broke off: {error or type(error).__name__}"
            ) from error

    def _pause(self, attempt: int, again: _Again, cancellation: Cancellation) -> bool:
        """Wait before the next attempt; True where it was cancelled meanwhile."""
        limit = min(_LONGEST_PAUSE, self._options.first_pause * 2 ** (attempt - 1))
        seconds = min(_LONGEST_PAUSE, again.retry_after) + random.uniform(0, limit)
        return cancellation.event.wait(seconds)


class _Again(Exception):
    """Nothing was done, so it may be tried again."""

    def __init__(self, error: TenkenError, retry_after: float) -> None:
        self.error = error
        self.retry_after = retry_after
        super().__init__(str(error))


def _read(model: type[_Model], data: str) -> _Model:
    try:
        return model.model_validate_json(data)
    except ValidationError as error:
        raise Unreachable(
            f"the engine sends what this version does not understand: {model.__name__}"
        ) from error
