"""The device that the engine shares with training, for what is asked of it besides reviews.

A question is answered at once or not at all: unlike a review it does not wait for a training to end, as other
commands wait behind it.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from bot.durable import insist
from bot.registry import Device
from bot.workers import Leases, device_lease


def shared_device(leases: Callable[[], Leases], name: str) -> Device:
    """Return how to use the device called `name`."""

    @asynccontextmanager
    async def use() -> AsyncIterator[bool]:
        lease, holder = device_lease(name), f"question#{uuid.uuid4().hex[:8]}"
        if not await asyncio.to_thread(leases().take, lease, holder):
            yield False
            return
        try:
            yield True
        finally:
            await insist(leases().release, lease, holder)

    return use
