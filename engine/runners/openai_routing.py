"""Which of several servers gets a call, and what happens when it fails.

Calls with one adapter go to one server while that has places, for it holds the adapter and what all its
prompts begin with; more calls spill over to the next in an order that is the adapter's own (rendezvous
hashing: when a server goes, only its calls move). A prompt that was read is written about where it was read,
if there is a place. A server that fails rests, longer each time, and is looked at anew before it gets work;
a call that failed goes to another server first. Requests may be repeated: they compute, and change nothing.
"""

from __future__ import annotations

import hashlib
import random
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TypeVar

import structlog

from engine.errors import EngineError, RunnerError
from engine.runners.openai_calls import Hangup
from engine.runners.openai_server import Busy, OpenAIServer, Unusable

_POLL_SECONDS = 0.1
_LONGEST_REST = 60.0
_REMEMBERED_PROMPTS = 4096

_log = structlog.get_logger()
T = TypeVar("T")

Greet = Callable[[OpenAIServer, Hangup], None]
"""Looks at a server before it gets work; raises Unusable, or EngineError for one that is set up wrongly."""


class Forgotten(Exception):
    """The server does not know the adapter that it was given: it was started anew."""


@dataclass(frozen=True, slots=True)
class RoutingLimits:
    """How much a server gets at once, and how often a call is tried."""

    calls: int = 16  # at once, of one server
    attempts: int = 6  # of one call, on all servers together
    first_rest: float = 0.5  # seconds after the first failure; doubles with each


def ranked(key: str, urls: Sequence[str]) -> list[str]:
    """Return `urls` in the order in which `key` prefers them; the same on every machine."""
    return sorted(urls, key=lambda url: hashlib.sha256(f"{key}\0{url}".encode()).digest())


@dataclass(slots=True)
class _Post:
    """A server, and how it is doing."""

    server: OpenAIServer
    calls: int = 0
    failures: int = 0  # in a row
    rests_until: float = 0
    greeted: bool = False
    door: threading.Lock = field(default_factory=threading.Lock)  # held by whoever greets


class Fleet:
    """Several servers of one model. Any thread may call them."""

    def __init__(
        self,
        servers: Sequence[OpenAIServer],
        greet: Greet,
        limits: RoutingLimits = RoutingLimits(),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._posts = {server.url: _Post(server) for server in servers}
        self._greet = greet
        self._limits = limits
        self._clock = clock
        self._changed = threading.Condition()
        self._readers: dict[str, str] = {}  # prompt -> url of the server that read it last, in order of use

    def greet(self) -> None:
        """Look at all servers. Raises EngineError for one that is set up wrongly, or where none answers."""
        faults = {}
        for url, post in self._posts.items():
            try:
                with post.door:
                    self._meet(post, Hangup())
            except (Busy, Unusable) as fault:
                faults[url] = str(fault)
                self._rest(post, fault)
        if len(faults) == len(self._posts):
            raise RunnerError(f"no server can be used: {_listed(faults)}")

    def call(
        self,
        key: str,
        job: Callable[[OpenAIServer], T],
        hangup: Hangup,
        *,
        prompt: str = "",
        counted: bool = True,
    ) -> T:
        """Return `job(server)` of a server that could do it, that which read `prompt` before others.

        Waits for a place unless the call is not `counted`. Raises RunnerError when all attempts failed, and
        whatever else `job` raises.
        """
        order = self._order(key, prompt)
        faults: dict[str, str] = {}
        for _ in range(self._limits.attempts):
            with self._place(order, faults, hangup, counted) as post:
                try:
                    self._admit(post, hangup)
                    answer = job(post.server)
                except (Busy, Unusable, Forgotten) as fault:
                    faults[post.server.url] = str(fault)
                    self._rest(post, fault)
                    continue
                post.failures = 0
                self._remember(prompt, post.server.url)
                return answer
        raise RunnerError(f"no server could do it: {_listed(faults)}")

    def close(self) -> None:
        """Close what is kept open. Idempotent."""
        for post in self._posts.values():
            post.server.close()

    @property
    def greeted(self) -> list[OpenAIServer]:
        """The servers that were found fit for work, and have not failed since."""
        return [post.server for post in self._posts.values() if post.greeted]

    def _order(self, key: str, prompt: str) -> list[str]:
        order = ranked(key, list(self._posts))
        with self._changed:
            reader = self._readers.get(prompt)
        return order if reader is None else [reader, *(url for url in order if url != reader)]

    def _remember(self, prompt: str, url: str) -> None:
        if not prompt:
            return
        with self._changed:
            self._readers.pop(prompt, None)
            self._readers[prompt] = url
            if len(self._readers) > _REMEMBERED_PROMPTS:
                del self._readers[next(iter(self._readers))]

    @contextmanager
    def _place(
        self, order: Sequence[str], faults: dict[str, str], hangup: Hangup, counted: bool
    ) -> Iterator[_Post]:
        """Give a server with a free place that is not resting, one that has not failed before others."""
        with self._changed:
            while True:
                hangup.check()
                now = self._clock()
                posts = [post for url in order if (post := self._posts[url]).rests_until <= now]
                free = [post for post in posts if not counted or post.calls < self._limits.calls]
                if free:
                    break
                self._changed.wait(_POLL_SECONDS)
            post = min(free, key=lambda post: post.server.url in faults)
            post.calls += counted
        try:
            yield post
        finally:
            with self._changed:
                post.calls -= counted
                self._changed.notify()

    def _admit(self, post: _Post, hangup: Hangup) -> None:
        """Make sure that the server was greeted; one thread does it, the others wait."""
        while not post.greeted:
            hangup.check()
            if not post.door.acquire(timeout=_POLL_SECONDS):
                continue
            try:
                if post.rests_until > self._clock():
                    raise Unusable("rests after a failure")
                if not post.greeted:
                    self._meet(post, hangup)
            except EngineError as wrong:
                # At the start this is an error; later on, the other servers go on without this one.
                raise Unusable(str(wrong)) from wrong
            finally:
                post.door.release()

    def _meet(self, post: _Post, hangup: Hangup) -> None:
        self._greet(post.server, hangup)
        post.greeted = True
        _log.info("openai.server_ready", server=post.server.url)

    def _rest(self, post: _Post, fault: Busy | Unusable | Forgotten) -> None:
        """Keep work away from the server for a while. Calls that fail together count as one failure."""
        with self._changed:
            post.greeted = post.greeted and isinstance(fault, Busy)
            if isinstance(fault, Forgotten) or post.rests_until > self._clock():
                return
            post.failures += 1
            rest = min(_LONGEST_REST, self._limits.first_rest * 2 ** (post.failures - 1))
            asked = fault.seconds if isinstance(fault, Busy) else 0
            seconds = asked + random.uniform(rest / 2, rest)
            post.rests_until = self._clock() + seconds
        _log.warning(
            "openai.server_rests", server=post.server.url, reason=str(fault), seconds=round(seconds, 1)
        )


def _listed(faults: dict[str, str]) -> str:
    return "; ".join(f"{url}: {fault}" for url, fault in faults.items())
