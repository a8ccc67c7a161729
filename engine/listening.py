"""Serve an aiohttp application for a while, and leave no connection behind."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web

_TURNS = 3  # of the loop, within which a connection that was accepted has been handed to the application


@asynccontextmanager
async def listening(
    app: web.Application,
    host: str = "127.0.0.1",
    port: int = 0,
    tls: ssl.SSLContext | None = None,
    *,
    shutdown_seconds: float = 60,
    handler_cancellation: bool = False,
) -> AsyncIterator[int]:
    """Serve `app` while inside, and give the port; raises OSError where it cannot listen.

    On leaving, requests have `shutdown_seconds` to end. With `handler_cancellation` a caller that is gone
    cancels its handler.
    """
    runner = web.AppRunner(
        app, access_log=None, shutdown_timeout=shutdown_seconds, handler_cancellation=handler_cancellation
    )
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port, ssl_context=tls).start()
        yield runner.addresses[0][1]
    finally:
        await _let_none_in(runner)
        await runner.cleanup()


async def _let_none_in(runner: web.AppRunner) -> None:
    """Accept nobody any more, but wait for who was accepted.

    asyncio loses a connection whose listener is closed between its being accepted and its being handed over:
    it stays open until the garbage is collected.
    """
    loop = asyncio.get_running_loop()
    for site in runner.sites:
        server = getattr(site, "_server", None)
        for listener in server.sockets if isinstance(server, asyncio.Server) else ():
            loop.remove_reader(listener.fileno())
    for _ in range(_TURNS):
        await asyncio.sleep(0)
