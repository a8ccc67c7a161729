"""A whole bot as a process of its own: what people see when they are in a hurry, or GitLab is not well."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from bot_world import EYES, Asking, World, world

from bot.fake_gitlab import FaultKind
from bot.markers import MarkerKind, marker_of

pytestmark = pytest.mark.timeout(1200)


def ask_again(at: World, asking: Asking, text: str = "/review") -> Asking:
    """Ask once more in the same merge request."""
    _, note = at.fake.as_person(at.author, at.project, asking.mr).note(text)
    return Asking(asking.mr, note, time.monotonic())


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(240):
        while not condition():  # noqa: ASYNC110 - what is waited for is in GitLab
            await asyncio.sleep(0.02)


async def heard(asking: Asking) -> None:
    await until(lambda: EYES in {name for _, name, _ in asking.note.awards})


def test_the_newest_review_wins_and_answers_all(tmp_path: Path) -> None:
    """Asked three times while the engine is at work, it says everything once and ticks every note."""

    async def main() -> None:
        async with world(tmp_path) as at:
            bot = await at.add_bot()
            at.may_write.clear()
            first = at.ask()
            await heard(first)
            await until(lambda: at.writing)
            second = ask_again(at, first)
            await heard(second)
            third = ask_again(at, first, "/review --full")
            await heard(third)
            at.may_write.set()
            await at.until_done([first, second, third], 240)
            assert at.faults(first) == [], bot.log.read_text()[-3000:]
            assert second.is_done
            assert third.is_done

    asyncio.run(main())


def test_a_server_that_is_not_well(tmp_path: Path) -> None:
    """GitLab answers every other request with an error for a while; the review is there in the end, once."""

    async def main() -> None:
        async with world(tmp_path) as at:
            bot = await at.add_bot()
            for skip in range(0, 24, 2):
                at.fake.fail(FaultKind.BAD_GATEWAY if skip % 4 else FaultKind.DROPPED_AFTER, skip=skip // 2)
            asking = at.ask()
            await at.until_done([asking], 400)
            assert at.faults(asking) == [], bot.log.read_text()[-3000:]
            assert not any(fault.times for fault in at.fake.options.faults)

    asyncio.run(main())


def test_an_engine_that_is_away(tmp_path: Path) -> None:
    """Nobody answers at its address: after a while that is said in the thread, and other commands work."""

    async def main() -> None:
        async with world(tmp_path, BOT_RETRY_SECONDS="3") as at:
            at.engine_url = "http://127.0.0.1:9"
            await at.add_bot()
            asking = at.ask()
            await heard(asking)
            help_ = ask_again(at, asking, "/help")
            await at.until_done([help_], 240)
            assert help_.is_done
            await until(lambda: _replies(at, asking))
            (reply,) = _replies(at, asking)
            assert "could not be done" in reply
            assert "127.0.0.1" not in reply

    asyncio.run(main())


def _replies(at: World, asking: Asking) -> list[str]:
    bodies = [note.body for note in asking.mr.notes if note.author is at.fake.bot]
    return [
        body for body in bodies if (m := marker_of(body)) and m.kind is MarkerKind.REPLY and "engine" in body
    ]


def test_told_twice_by_two_hooks(tmp_path: Path) -> None:
    """Two hooks, and one delivery sent again by hand: one review."""

    async def main() -> None:
        async with world(tmp_path) as at:
            bot = await at.add_bot()
            at.fake.add_hook(at.project, at.project.hooks[0].url, at.project.hooks[0].token)
            asking = at.ask()
            await at.until_done([asking], 240)
            again = [each for each in at.fake.webhooks.deliveries if b"/review" in each.body]
            assert [await at.fake.webhooks.again(each) for each in again] == [200] * len(again)
            await asyncio.sleep(1.5)
            assert at.faults(asking) == [], bot.log.read_text()[-3000:]

    asyncio.run(main())
