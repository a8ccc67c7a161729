"""Calls that wait side by side, and can be abandoned: their connections are closed and their threads end.

A blocking read cannot be interrupted, but the socket under it can be shut down by another thread. That is
also how a server learns that nobody waits: vLLM stops computing for a connection that is gone.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from queue import Empty, SimpleQueue
from threading import Event, Lock
from typing import TypeVar

from engine.runners import Cancellation

_POLL_SECONDS = 0.05  # a Cancellation calls nobody back, so whoever waits looks at it
T = TypeVar("T")


class Abandoned(Exception):
    """Nobody waits for this call any more."""


class Hangup:
    """What ends a group of calls. Any thread may use it."""

    def __init__(self) -> None:
        self._event = Event()
        self._lock = Lock()
        self._wires: set[socket.socket] = set()

    def hang_up(self) -> None:
        """Close what is held, now and later. Idempotent."""
        with self._lock:
            self._event.set()
            for wire in self._wires:
                with suppress(OSError):
                    wire.shutdown(socket.SHUT_RDWR)

    def check(self) -> None:
        """Raise Abandoned after a hang-up."""
        if self._event.is_set():
            raise Abandoned

    @contextmanager
    def holding(self, wire: socket.socket) -> Iterator[None]:
        """While inside, a hang-up closes `wire`."""
        with self._lock:
            self.check()
            self._wires.add(wire)
        try:
            yield
        finally:
            with self._lock:
                self._wires.discard(wire)


def side_by_side(
    count: int, width: int, job: Callable[[int, Hangup], T], cancellation: Cancellation
) -> Iterator[tuple[int, T]]:
    """Yield (index, `job(index)`) for all indices as they are ready, at most `width` at a time.

    Stops early when cancelled, and when whoever listens goes away; then nothing is left running but what is
    still connecting. The first error of a job is raised.
    """
    hangup = Hangup()
    answers: SimpleQueue[tuple[int, T] | Exception] = SimpleQueue()

    def run(index: int) -> None:
        try:
            hangup.check()
            answers.put((index, job(index, hangup)))
        except Exception as failure:  # noqa: BLE001 - raised again where the answers are taken
            answers.put(failure)

    if not count or cancellation.cancelled:
        return
    pool = ThreadPoolExecutor(min(count, width), thread_name_prefix="openai")
    try:
        for index in range(count):
            pool.submit(run, index)
        left = count
        while left and not cancellation.cancelled:
            try:
                answer = answers.get(timeout=_POLL_SECONDS)
            except Empty:
                continue
            if isinstance(answer, Exception):
                raise answer
            left -= 1
            yield answer
    finally:
        hangup.hang_up()
        pool.shutdown(wait=False, cancel_futures=True)
