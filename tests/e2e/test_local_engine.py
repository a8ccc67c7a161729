"""The bot's own engine: another process, without the bot's secrets, begun again where it ends."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

import pytest

from bot.engine_client import EngineClient
from bot.local_engine import local_engine
from engine.errors import Unreachable

pytestmark = [
    pytest.mark.model,
    pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc"),
]


def children() -> list[int]:
    me = os.getpid()
    return [int(pid) for pid in Path(f"/proc/{me}/task/{me}/children").read_text().split()]


def environment_of(pid: int) -> str:
    return Path(f"/proc/{pid}/environ").read_bytes().decode()


def test_it_holds_no_token_and_comes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the environment it has what the engine's settings are; killed, it answers again at its address."""
    monkeypatch.setenv("BOT_GITLAB_TOKEN", "glpat-of-the-bot-0123456789")
    monkeypatch.setenv("ENGINE_OPEN_REVIEWS", "77")

    async def main() -> None:
        before = set(children())
        async with local_engine() as address, EngineClient(address) as client:
            (engine,) = set(children()) - before
            environment = environment_of(engine)
            assert "glpat" not in environment
            assert "ENGINE_OPEN_REVIEWS=77" in environment
            await client.require_access()
            os.kill(engine, signal.SIGKILL)
            async with asyncio.timeout(180):
                # The one that was killed may answer once more.
                while engine in children() or not await _answers(client):  # noqa: ASYNC110
                    await asyncio.sleep(0.2)
            await client.require_access()
        assert set(children()) <= before

    asyncio.run(main())


async def _answers(client: EngineClient) -> bool:
    try:
        await client.is_ready()
    except Unreachable:
        return False
    return True
