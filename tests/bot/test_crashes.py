"""kill -9 anywhere, two workers, frozen workers: nothing is lost, nothing is said twice.

A few of each here; `tests/benchmarks/bot_crashes.py` does hundreds.
"""

from __future__ import annotations

import asyncio
import random
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from bot_world import World, world
from empty_databases import empty_database

pytestmark = pytest.mark.timeout(1200)


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of an empty database."""
    with empty_database(str(request.param), tmp_path / "data" / "bot.db") as made:
        yield made


async def settled(at: World) -> None:
    """Wait until a round of polling more has found nothing to do."""
    await at.fake.webhooks.settle()
    await asyncio.sleep(0.5)


def test_killed_in_the_middle(tmp_path: Path, url: str) -> None:
    """Three reviews at three different points when the process dies; each is done once afterwards."""

    async def main() -> None:
        async with world(tmp_path, url) as at:
            bot = await at.add_bot()
            random.seed(7)
            askings = []
            for _ in range(3):
                askings.append(at.ask())
                await asyncio.sleep(random.uniform(0.3, 1.2))
            await bot.kill()
            await bot.start()
            await at.until_done(askings, 400)
            await settled(at)
            assert [at.faults(one) for one in askings] == [[], [], []], bot.log.read_text()[-3000:]

    asyncio.run(main())


def test_killed_before_it_could_answer(tmp_path: Path) -> None:
    """What no webhook brought, as nobody listened, is found by looking."""

    async def main() -> None:
        async with world(tmp_path) as at:
            bot = await at.add_bot()
            await bot.kill()
            asking = at.ask()
            await asyncio.sleep(0.2)
            await bot.start()
            await at.until_done([asking], 400)
            assert at.faults(asking) == [], bot.log.read_text()[-3000:]

    asyncio.run(main())


def test_another_worker_takes_over(tmp_path: Path, url: str) -> None:
    """The one that does a review is killed for good; the other does it."""

    async def main() -> None:
        async with world(tmp_path, url, BOT_SILENT_SECONDS="3") as at:
            one = await at.add_bot("one")
            asking = at.ask()
            await asyncio.sleep(1.2)
            two = await at.add_bot("two")
            await one.kill()
            await at.until_done([asking], 400)
            await settled(at)
            assert at.faults(asking) == [], two.log.read_text()[-3000:]

    asyncio.run(main())


def test_a_frozen_worker_wakes_up_too_late(tmp_path: Path, url: str) -> None:
    """Both are told of everything; the one that was replaced writes nothing when it wakes up."""

    async def main() -> None:
        async with world(tmp_path, url, BOT_SILENT_SECONDS="3") as at:
            one, _ = await at.add_bot("one"), await at.add_bot("two")
            askings = [at.ask() for _ in range(3)]
            await asyncio.sleep(1.0)
            one.signal(signal.SIGSTOP)
            await at.until_done(askings, 400)
            assert all(asking.is_done for asking in askings)
            one.signal(signal.SIGCONT)
            await asyncio.sleep(4)
            await settled(at)
            assert [at.faults(asking) for asking in askings] == [[], [], []], one.log.read_text()[-3000:]

    asyncio.run(main())
