"""The bytes between client and server: standard input and output, or one connection on loopback."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import threading
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any

from pygls.exceptions import JsonRpcException
from pygls.io_ import run_async
from pygls.lsp.server import LanguageServer

from lsp.protocol import ThreadedWriter

_HOST = "127.0.0.1"
_CHUNK = 65_536
_log = logging.getLogger(__name__)


def serve_stdio(server: LanguageServer) -> int:
    """Serve until the client says so or is gone; return the exit code that the protocol asks for."""
    out, sys.stdout = sys.stdout.buffer, sys.stderr  # whatever prints must not print into the protocol
    writer = ThreadedWriter(out)
    server.protocol.set_writer(writer)

    async def serve() -> None:
        await _run(server, _standard_input())

    try:
        return _until_exit(serve())
    finally:
        writer.close()


def serve_tcp(server: LanguageServer, port: int) -> int:
    """Serve the first client that connects on this machine, then end."""

    async def serve() -> None:
        connected: asyncio.Future[tuple[asyncio.StreamReader, asyncio.StreamWriter]]
        connected = asyncio.get_running_loop().create_future()

        def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            if connected.done():
                writer.close()
            else:
                connected.set_result((reader, writer))

        async with await asyncio.start_server(accept, _HOST, port) as listening:
            where = listening.sockets[0].getsockname()[1]
            print(f"tenken-lsp: listening on {_HOST}:{where}", file=sys.stderr, flush=True)
            reader, writer = await connected
            server.protocol.set_writer(writer)
            await _run(server, reader)

    return _until_exit(serve())


def _standard_input() -> asyncio.StreamReader:
    """Return a stream that a thread feeds; pygls's own asks a thread for each line, three times a message."""
    loop, reader, source = asyncio.get_running_loop(), asyncio.StreamReader(), sys.stdin.fileno()

    def feed() -> None:
        with suppress(OSError, RuntimeError):  # the loop is closed
            while data := os.read(source, _CHUNK):
                loop.call_soon_threadsafe(reader.feed_data, data)
            loop.call_soon_threadsafe(reader.feed_eof)

    threading.Thread(target=feed, name="reader", daemon=True).start()
    return reader


async def _run(server: LanguageServer, reader: asyncio.StreamReader) -> None:
    with suppress(asyncio.IncompleteReadError):  # the client is gone in the middle of a message
        await run_async(threading.Event(), reader, server.protocol, _log, _reported(server))


def _until_exit(work: Coroutine[Any, Any, None]) -> int:
    """Run until the client's `exit`, which pygls answers with SystemExit, or until the client is gone."""
    try:
        asyncio.run(work)
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 1
    except (BrokenPipeError, KeyboardInterrupt):
        return 1
    return 1


def _reported(server: LanguageServer) -> Callable[[Exception, type[JsonRpcException]], None]:
    return lambda error, source: server.report_server_error(error, source)
