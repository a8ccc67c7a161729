"""A line that counts on a terminal, and nothing elsewhere."""

from __future__ import annotations

import sys
import time
from typing import TextIO

_EVERY_SECONDS = 0.2


class Progress:
    """Counts steps of `what` towards `total`, with speed and time left."""

    def __init__(self, what: str, total: int, stream: TextIO | None = None) -> None:
        self._what = what
        self._total = total
        self._stream = stream or sys.stderr
        self._done = 0
        self._tokens = 0
        self._started = time.monotonic()
        self._shown = 0.0

    @property
    def seconds(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self._started

    def step(self) -> None:
        """Count one done."""
        self._done += 1
        self._show(self._done == self._total)

    def tokens(self, count: int) -> None:
        """Count tokens of the step under way."""
        self._tokens += count
        self._show(False)

    def close(self) -> None:
        """End the line."""
        if self._stream.isatty() and self._shown:
            self._stream.write("\n")

    def _show(self, last: bool) -> None:
        if not self._stream.isatty() or (self.seconds - self._shown < _EVERY_SECONDS and not last):
            return
        self._shown = self.seconds
        left = self.seconds / max(self._done, 1) * (self._total - self._done)
        speed = self._tokens / max(self.seconds, 1e-9)
        self._stream.write(
            f"\r\x1b[K{self._what}: {self._done}/{self._total}, {speed:.0f} tokens/s, {left:.0f} s left"
        )
        self._stream.flush()
