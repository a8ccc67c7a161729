"""Processes that the bot starts: they end with it, by themselves if they can."""

from __future__ import annotations

import asyncio
import ctypes
import os
import signal
import sys
from collections.abc import Callable
from contextlib import suppress

_PR_SET_PDEATHSIG = 1


def own_environment() -> dict[str, str]:
    """Return the environment without the bot's settings, which hold its secrets."""
    return {name: value for name, value in os.environ.items() if not name.startswith("BOT_")}


def _end_with_parent() -> None:
    """Have the kernel end this process when the bot's does, however that ends."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


END_WITH_PARENT: Callable[[], None] | None = _end_with_parent if sys.platform == "linux" else None
"""What a child does before it begins; see `preexec_fn` of subprocess."""


async def stop(process: asyncio.subprocess.Process, seconds: float) -> None:
    """Have a process end by itself in so many seconds, else by force."""
    if process.returncode is not None:
        return
    with suppress(ProcessLookupError):
        process.terminate()
    try:
        async with asyncio.timeout(seconds):
            await process.wait()
    except TimeoutError:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()
