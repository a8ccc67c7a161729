"""The fake GitLab in a thread of its own, for whoever asks it without a loop."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from bot.fake_gitlab import FakeGitLab


@contextmanager
def serving_gitlab() -> Iterator[FakeGitLab]:
    """Give a server that runs until the end of the block."""
    loop = asyncio.new_event_loop()
    fake = FakeGitLab()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()

    def run(work: object) -> None:
        asyncio.run_coroutine_threadsafe(work, loop).result(60)  # type: ignore[arg-type]

    run(fake.start())
    try:
        yield fake
    finally:
        run(fake.stop())
        loop.call_soon_threadsafe(loop.stop)
        thread.join(60)
        loop.close()
