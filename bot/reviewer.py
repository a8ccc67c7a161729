"""The engine's reviews for the bot's event loop: in a thread, ended with the task that waits for them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Protocol

from engine.client import HttpOptions, HttpReviewClient, ReviewClient
from engine.errors import TenkenError
from engine.review import Progress
from engine.runners import Cancellation
from engine.wire import Review, ReviewRequest

OnProgress = Callable[[Progress], None]


class Reviewer(Protocol):
    """Reviews changes."""

    async def review(self, request: ReviewRequest, on_progress: OnProgress) -> Review:
        """Return the review of `request`; raises InputError or EngineError.

        Cancelled, it ends the review in the engine before it ends itself. `on_progress` is called from
        another thread.
        """


class EngineReviewer:
    """Reviews with an engine; several reviews may run at once."""

    def __init__(self, url: str, options: HttpOptions) -> None:
        self._url = url
        self._options = options

    async def review(self, request: ReviewRequest, on_progress: OnProgress) -> Review:
        """Return the review of `request`."""
        return await review_with(HttpReviewClient(self._url, self._options), request, on_progress)


async def review_with(client: ReviewClient, request: ReviewRequest, on_progress: OnProgress) -> Review:
    """Return the review of `request` by a client that blocks."""
    cancellation = Cancellation()
    thread = asyncio.create_task(
        asyncio.to_thread(client.review, request, on_progress=on_progress, cancellation=cancellation)
    )
    try:
        return await asyncio.shield(thread)
    except asyncio.CancelledError:
        cancellation.cancel()
        with suppress(TenkenError):
            await thread
        raise
