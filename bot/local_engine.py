"""An engine of the bot's own on this machine: a child process, begun again where it ends.

It is another process so that what reads other people's code holds no GitLab token: of the environment it gets
what the engine's settings are, and nothing of the bot's.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import structlog

from bot.children import END_WITH_PARENT, own_environment, stop
from bot.engine_client import EngineAddress
from engine.errors import RunnerError
from engine.tokens import Role, TokenFile

_HOST = "127.0.0.1"
_START_SECONDS = 60
_STOP_SECONDS = 10
_LONGEST_PAUSE = 60.0
_LINE = "tenken: listening on "
_log = structlog.get_logger()


@asynccontextmanager
async def local_engine() -> AsyncIterator[EngineAddress]:
    """Give the address of an engine that runs while inside."""
    with tempfile.TemporaryDirectory(prefix="tenken-bot-") as folder:
        tokens = Path(folder) / "tokens.json"
        token, admin = TokenFile(tokens).create(Role.REVIEWER), TokenFile(tokens).create(Role.ADMIN)
        process, url = await _start(tokens, port=0)
        keeper = asyncio.create_task(_keep(process, tokens, int(url.rpartition(":")[2])), name="engine")
        try:
            yield EngineAddress(url, token, admin_token=admin)
        finally:
            keeper.cancel()
            await asyncio.gather(keeper, return_exceptions=True)


async def _keep(process: asyncio.subprocess.Process, tokens: Path, port: int) -> None:
    """Begin the engine again where it ends; end it when cancelled."""
    pause = 1.0
    try:
        while True:
            _log.error("engine.ended", code=await process.wait())
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)
            try:
                process, _ = await _start(tokens, port)
            except RunnerError as error:
                _log.error("engine.not_started", reason=str(error))
    finally:
        await stop(process, _STOP_SECONDS)


async def _start(tokens: Path, port: int) -> tuple[asyncio.subprocess.Process, str]:
    # -P: the working directory, which may be anybody's, supplies no modules.
    command = ("-P", "-m", "engine", "serve", "--host", _HOST, "--port", str(port), "--tokens", str(tokens))
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *command,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        env=own_environment(),
        preexec_fn=END_WITH_PARENT,
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(_START_SECONDS):
            line = (await process.stdout.readline()).decode(errors="replace").strip()
    except BaseException:
        await stop(process, _STOP_SECONDS)
        raise
    if not line.startswith(_LINE):
        await stop(process, _STOP_SECONDS)
        raise RunnerError("the engine does not start; its own words are above")
    return process, line.removeprefix(_LINE)
