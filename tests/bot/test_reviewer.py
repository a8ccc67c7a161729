"""The engine's reviews on the bot's event loop: ended with the task that waits for them."""

from __future__ import annotations

import asyncio
import threading

import pytest

from bot.reviewer import review_with
from engine.client import LocalReviewClient
from engine.errors import RunnerError
from engine.testing import FakeRunner
from engine.wire import ReviewRequest

REQUEST = ReviewRequest(diff="--- a/a.py\n+++ b/a.py\n@@ -1 +1,2 @@\n a\n+b = 1\n")


def test_a_cancelled_task_ends_the_review_first() -> None:
    """The model would wait for ever here; it ends, and only then the task does."""

    async def main() -> None:
        runner = FakeRunner(hold=threading.Event())
        task = asyncio.create_task(review_with(LocalReviewClient(runner), REQUEST, lambda progress: None))
        assert await asyncio.to_thread(runner.started.wait, 120)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(task, 120)

    asyncio.run(main())


def test_errors_and_progress_come_through() -> None:
    """As from the client itself."""

    async def main() -> None:
        seen = []
        await review_with(LocalReviewClient(FakeRunner()), REQUEST, seen.append)
        assert [progress.files for progress in seen] == [1]
        with pytest.raises(RunnerError):
            await review_with(LocalReviewClient(FakeRunner(error=RunnerError("broke"))), REQUEST, seen.append)

    asyncio.run(main())
