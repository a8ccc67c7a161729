"""Requests to GitLab from worker threads: waiting, trying again, and errors in the bot's own words.

With `bot.gitlab_rest` the only user of python-gitlab, which blocks: each thread has a client of its own.
Its own repetitions are switched off, because it would repeat a POST whose answer was lost.
"""

from __future__ import annotations

import asyncio
import random
import ssl
import threading
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from http import HTTPStatus
from itertools import count
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urljoin, urlsplit

import gitlab
import requests
from gitlab.exceptions import (
    GitlabAuthenticationError,
    GitlabError,
    GitlabHttpError,
    GitlabParsingError,
    RedirectError,
)

from bot.errors import (
    GitLabError,
    GitLabRefused,
    GitLabUnavailable,
    NotFound,
    RateLimited,
    Superseded,
    TokenRefused,
)
from bot.gitlab import StillCurrent
from bot.pacing import Pacer
from engine.errors import ConfigError

_T = TypeVar("_T")

Call = Callable[[gitlab.Gitlab], _T]
"""What a thread does with its client."""

Find = Callable[[], Awaitable[_T | None]]
"""Looks whether a write whose answer was lost has happened."""

FRESH_SECONDS = 0.5
"""How long it counts that work is still wanted. A worker that was just asked is alive for a quarter of
`BOT_SILENT_SECONDS` longer, which is two at least."""

_LOOP_SECONDS = 60.0
_TRANSIENT = frozenset({HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_EARLY})


@dataclass(frozen=True, slots=True)
class ConnectionOptions:
    """How to reach GitLab, and how patiently."""

    url: str
    token: str = field(repr=False)
    ca_file: Path | None = None  # None: the system's certificates
    timeout: float = 30  # seconds of silence
    threads: int = 4
    attempts: int = 5
    first_pause: float = 1.0  # before the second attempt; doubles each time
    limited_pause: float = 5.0  # the same, where GitLab limits the rate and does not say for how long
    longest_pause: float = 60.0  # whoever is to wait longer is told so with RateLimited
    burst: int = 10  # writes at once before they are spaced out
    writes_per_second: float = 1.0


async def always() -> bool:
    """Be current."""
    return True


class Connection:
    """Asks GitLab. `sleep` is asyncio's, or a test's. Raises ConfigError for certificates that are none."""

    def __init__(
        self,
        options: ConnectionOptions,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        if options.ca_file is not None:
            _require_certificates(options.ca_file)
        self.options = options
        self._sleep = sleep
        self._threads = ThreadPoolExecutor(options.threads, thread_name_prefix="gitlab")
        self._local = threading.local()
        self._sessions: list[requests.Session] = []
        self._pacer = Pacer(options.burst, options.writes_per_second)

    async def read(self, call: Call[_T]) -> _T:
        """Return what `call` returns; tried again while there is no usable answer."""
        for attempt in count(1):
            try:
                return await self._once(call)
            except GitLabUnavailable as error:
                await self._pause(attempt, error)
        raise AssertionError("unreachable")

    async def write(
        self,
        call: Call[_T],
        *,
        find: Find[_T] | None = None,
        repeatable: bool = False,
        still_current: StillCurrent = always,
    ) -> _T:
        """Return what `call` returns, which is sent again only where that does no harm.

        That is if it was not carried out (429), if doing it twice is the same as once (`repeatable`), or if
        `find` finds no trace of it; what `find` does find is the result. Raises Superseded before sending
        what is no longer wanted.
        """
        for attempt in count(1):
            await self._sleep_if(self._pacer.reserve())
            try:
                return await self._while_current(call, still_current)
            except RateLimited as error:
                await self._pause(attempt, error)
            except GitLabUnavailable as error:
                if find is None and not repeatable:
                    raise
                if attempt < self.options.attempts:
                    await self._pause(attempt, error)
                if find is not None and (done := await find()) is not None:
                    return done
                if attempt >= self.options.attempts:
                    raise
        raise AssertionError("unreachable")

    def close(self) -> None:
        """Let threads and connections go; a request under way ends by its timeout."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        for session in self._sessions:
            session.close()

    async def _while_current(self, call: Call[_T], still_current: StillCurrent) -> _T:
        """Ask, then send. A thread may be free late, and a process may be frozen: then ask once more.

        Not until an answer is fresh: a database that takes that long to give one would keep all writes back.
        """
        loop, asked = asyncio.get_running_loop(), time.monotonic()
        await _require(still_current)

        def send(client: gitlab.Gitlab) -> _T:
            if time.monotonic() - asked > FRESH_SECONDS:
                asyncio.run_coroutine_threadsafe(_require(still_current), loop).result(_LOOP_SECONDS)
            return call(client)

        return await self._once(send)

    async def _once(self, call: Call[_T]) -> _T:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, self._translated, call)

    def _translated(self, call: Call[_T]) -> _T:
        try:
            return call(self._client())
        except GitLabError:
            raise
        except GitlabError as error:
            raise _from_gitlab(error) from error
        except requests.exceptions.SSLError as error:
            raise GitLabUnavailable(
                f"cannot trust {self.options.url}; BOT_GITLAB_CA_FILE names whom to trust: {error}"
            ) from error
        except requests.RequestException as error:
            raise GitLabUnavailable(f"no answer from {self.options.url}: {type(error).__name__}") from error

    def _client(self) -> gitlab.Gitlab:
        client: gitlab.Gitlab | None = getattr(self._local, "client", None)
        if client is None:
            client = self._local.client = self._new_client()
        return client

    def _new_client(self) -> gitlab.Gitlab:
        session = requests.Session()
        session.hooks["response"].append(self._inspect)
        self._sessions.append(session)
        return gitlab.Gitlab(
            self.options.url,
            private_token=self.options.token,
            timeout=self.options.timeout,
            ssl_verify=str(self.options.ca_file) if self.options.ca_file else True,
            keep_base_url=True,
            session=session,
        )

    def _inspect(self, response: requests.Response, *_: Any, **__: Any) -> None:
        """Raise what python-gitlab would handle in its own way: a rate limit, a redirect to elsewhere."""
        if response.status_code == HTTPStatus.TOO_MANY_REQUESTS:
            response.close()
            wait = _wait_of(response)
            raise RateLimited(self.options.limited_pause if wait is None else wait, guessed=wait is None)
        if response.is_redirect:
            target = urljoin(response.url, response.headers["Location"])
            # requests takes only Authorization off such a request, and the token is in another header.
            if _origin(target) != _origin(self.options.url):
                response.close()
                raise GitLabUnavailable(
                    f"{self.options.url} sends to {'://'.join(_origin(target))}, which is not followed; "
                    "BOT_GITLAB_URL has to name where GitLab is"
                )

    async def _pause(self, attempt: int, error: GitLabUnavailable) -> None:
        """Wait before the next attempt; raises `error` where there is none."""
        options = self.options
        if attempt >= options.attempts:
            raise error
        if isinstance(error, RateLimited):
            if error.retry_after > options.longest_pause:
                raise error
            growth = 2 ** (attempt - 1) if error.guessed else 1
            pause = min(options.longest_pause, error.retry_after * growth)
        else:
            pause = min(options.longest_pause, options.first_pause * 2 ** (attempt - 1))
        await self._sleep_if(pause * random.uniform(1, 1.1))

    async def _sleep_if(self, seconds: float) -> None:
        if seconds > 0:
            await self._sleep(seconds)


async def _require(still_current: StillCurrent) -> None:
    if not await still_current():
        raise Superseded("a newer request took over; nothing more is written for this one")


def _require_certificates(file: Path) -> None:
    try:
        ssl.create_default_context(cafile=file)
    except OSError as error:  # of which ssl.SSLError is one
        raise ConfigError(f"BOT_GITLAB_CA_FILE: {file}: no certificates: {error}") from error


def _wait_of(response: requests.Response) -> float | None:
    """Return the seconds a 429 asks for, None where it does not say."""
    after = response.headers.get("Retry-After", "")
    if after.isdecimal():
        return float(after)
    reset = response.headers.get("RateLimit-Reset", "")
    return max(0.0, float(reset) - time.time()) if reset.isdecimal() else None


def _origin(url: str) -> tuple[str, str]:
    parts = urlsplit(url)
    return parts.scheme, parts.netloc


def _from_gitlab(error: GitlabError) -> GitLabError:
    if isinstance(error, RedirectError):
        return GitLabUnavailable("GitLab redirects a write; BOT_GITLAB_URL has to name where it is")
    if isinstance(error, GitlabParsingError):
        return GitLabUnavailable("an answer that is not GitLab's: something stands between")
    status, message = error.response_code or 0, _text_of(error.error_message)
    if isinstance(error, GitlabAuthenticationError):
        return TokenRefused(status, message)
    if (
        not isinstance(error, GitlabHttpError)
        or status >= HTTPStatus.INTERNAL_SERVER_ERROR
        or status in _TRANSIENT
    ):
        return GitLabUnavailable(f"GitLab answers {status or 'nothing usable'}", status or None)
    return NotFound(status, message) if status == HTTPStatus.NOT_FOUND else GitLabRefused(status, message)


def _text_of(message: object) -> str:
    """Return GitLab's complaint on one line; it comes as text, bytes or an object."""
    text = message.decode("utf-8", "replace") if isinstance(message, bytes) else str(message)
    return " ".join(text.split())[:500]
