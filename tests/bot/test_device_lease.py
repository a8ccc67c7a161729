"""Questions on a device that the engine shares with training: answered at once, or refused."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from bot_here import bot_here, said_by_bot
from bot_world import world
from desk import desk

from bot.database import Database
from bot.device import shared_device
from bot.registry import own_device
from bot.workers import Leases, device_lease

TRAINING = device_lease("gpu0", alone=True)


def test_questions_share_it_among_themselves(database: Database) -> None:
    """A training waits for both; what was used is given back even where it failed."""

    async def main() -> None:
        leases = Leases(database, "one")
        device = shared_device(lambda: leases, "gpu0")
        async with device() as first, device() as second:
            assert (first, second) == (True, True)
            assert not leases.take(TRAINING, "training")
        assert leases.take(TRAINING, "training")
        async with device() as free:
            assert not free
        leases.release(TRAINING, "training")
        try:
            async with device():
                raise RuntimeError("the engine broke")
        except RuntimeError:
            assert leases.take(TRAINING, "training")

    asyncio.run(main())


def test_another_device_is_another_matter(database: Database) -> None:
    """Only what has the same name is shared."""
    leases = Leases(database, "one")
    assert leases.take(TRAINING, "training")
    assert leases.take(device_lease("gpu1"), "review")


def test_while_it_is_trained_on_no_question_is_asked() -> None:
    """Whoever asks is told so at once; the engine hears nothing of it."""

    @asynccontextmanager
    async def taken() -> AsyncIterator[bool]:
        yield False

    async def main() -> None:
        async with desk() as at:
            at.ports = replace(at.ports, device=taken)
            assert "The model is being trained" in await at.say("/ask Can this be null?")
            assert at.reactions(at.last_note) == ["eyes", "confused"]
            assert at.engine.questions == []
            at.ports = replace(at.ports, device=own_device)
            assert "It can." in await at.say("/ask Can this be null, then?")

    asyncio.run(main())


def test_a_whole_bot_leaves_the_device_to_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Contract 5, with real reviews: the engine hears nothing meanwhile; afterwards each is done, once."""
    monkeypatch.setattr("bot.posting._REST", 0.0)

    async def until(condition: Callable[[], object]) -> None:
        async with asyncio.timeout(240):
            while not condition():  # noqa: ASYNC110 - what is waited for is in GitLab
                await asyncio.sleep(0.05)

    async def main() -> None:
        async with (
            world(tmp_path, write_seconds=0.0) as at,
            bot_here(at, tmp_path / "bot", device="gpu0") as (bot, _),
        ):
            leases = bot.durable.leases
            assert await asyncio.to_thread(leases.take, TRAINING, "training")
            review = at.ask()
            await until(bot.durable.orders.running)
            _, question = at.fake.as_person(at.author, at.project, review.mr).note("/ask Why?")
            await until(lambda: "confused" in {name for _, name, _ in question.awards})
            assert not review.is_done
            assert not review.mr.drafts
            # After a while the review's own note says, too, what it waits for.
            assert any("it answers no questions" in said for said in said_by_bot(at, review.mr))
            await asyncio.to_thread(leases.release, TRAINING, "training")
            await until(lambda: review.is_done)
            assert [fault for fault in at.faults(review) if "says no" not in fault] == []
            await until(lambda: leases.take(TRAINING, "training"))

    asyncio.run(main())
