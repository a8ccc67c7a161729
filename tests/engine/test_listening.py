"""Serving an application for a while: whoever comes in as it ends is hung up on."""

from __future__ import annotations

import asyncio
import socket
from contextlib import suppress

import pytest
from aiohttp import web

from engine.listening import listening


@pytest.mark.parametrize("turns", range(6))
def test_it_hangs_up_on_everybody(turns: int) -> None:
    """On whoever has only just come in, too: asyncio would lose that connection and leave it open."""

    async def come_in() -> socket.socket:
        async with listening(web.Application()) as port:
            caller = socket.create_connection(("127.0.0.1", port), 60)
            for _ in range(turns):
                await asyncio.sleep(0)
        return caller

    with asyncio.run(come_in()) as caller, suppress(ConnectionResetError):
        assert caller.recv(1) == b""


def test_a_place_where_it_cannot_listen() -> None:
    """That is the system's error, and nothing is left open."""

    async def twice() -> None:
        async with listening(web.Application()) as port:
            with pytest.raises(OSError, match="address already in use"):
                async with listening(web.Application(), port=port):
                    pass

    asyncio.run(twice())
