"""Ctrl-C: the first asks the review to stop and keep what it has, the second stops at once."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from engine.runners import Cancellation


@contextmanager
def interruptible() -> Iterator[Cancellation]:
    """Give a cancellation that SIGINT and SIGTERM set; a second signal raises KeyboardInterrupt."""
    cancellation = Cancellation()

    def stop(number: int, frame: FrameType | None) -> None:
        if cancellation.cancelled:
            raise KeyboardInterrupt
        cancellation.cancel()

    if threading.current_thread() is not threading.main_thread():
        yield cancellation
        return
    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield cancellation
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
