"""Spaces writes out, so that one review does not use up what GitLab lets everybody write."""

from __future__ import annotations

import threading
import time


class Pacer:
    """A bucket of writes that fills again at a steady rate. Knows no event loop, so that any may use it."""

    def __init__(self, burst: int, per_second: float) -> None:
        self._interval = 1 / per_second
        self._burst = burst
        self._lock = threading.Lock()
        self._free_at = time.monotonic() - burst * self._interval

    def reserve(self) -> float:
        """Take the next place and return how long to wait for it."""
        with self._lock:
            now = time.monotonic()
            earliest = now - self._burst * self._interval
            self._free_at = max(self._free_at, earliest) + self._interval
            return max(0.0, self._free_at - now)
