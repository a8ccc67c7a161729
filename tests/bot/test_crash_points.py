"""Killed at every point of a review and a command, once each: nothing is lost, nothing is said twice.

`test_crashes.py` kills real processes at random points; here each state that one may leave behind is made,
and a new bot goes on from it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from bot_here import bot_here
from bot_world import TICK, Asking, World, world
from crash_points import Recorder

from bot.app import Bot
from bot.fake_gitlab import StoredMergeRequest
from bot.markers import MarkerKind, marker_of

PATIENCE = 240.0
FEWEST = 20  # transactions and requests that a review and a command need

pytestmark = pytest.mark.timeout(1200)


@pytest.fixture(autouse=True)
def in_a_hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Queues are looked at more often, and GitLab is given no rest."""
    monkeypatch.setattr("bot.kinds._ERRAND_POLL_SECONDS", 0.05)
    monkeypatch.setattr("bot.kinds._REVIEW_POLL_SECONDS", 0.05)
    monkeypatch.setattr("bot.posting._REST", 0.0)


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not condition():  # noqa: ASYNC110 - what is waited for is in GitLab
            await asyncio.sleep(0.02)


def of(at: World, asking: Asking) -> Asking:
    """Return a request again, as it stands in the GitLab that there is now."""
    mr = at.project.merge_requests[asking.mr.iid]
    return Asking(mr, next(note for note in mr.notes if note.id == asking.note.id), 0)


def answers(at: World, asking: Asking) -> int:
    """Return how often a command was answered."""
    bodies = [note.body for note in asking.mr.notes if note.author is at.fake.bot]
    return sum(marker.kind is MarkerKind.REPLY for body in bodies if (marker := marker_of(body)))


async def until_idle(bot: Bot) -> None:
    """Wait until nothing waits or runs any more."""
    for kind in bot.durable.kinds:
        async with asyncio.timeout(PATIENCE):
            while await asyncio.to_thread(bot.durable.orders.open, kind):  # noqa: ASYNC110
                await asyncio.sleep(0.02)


@dataclass(slots=True)
class Wishes:
    """What was asked for while states were kept."""

    reviews: list[Asking]  # of one merge request
    help: Asking | None = None

    @property
    def all(self) -> list[Asking]:
        return [*self.reviews, *([self.help] if self.help else [])]

    def now(self, at: World) -> Wishes:
        """Return them as they stand in the GitLab that there is now."""
        return Wishes([of(at, each) for each in self.reviews], of(at, self.help) if self.help else None)

    def faults(self, at: World) -> list[str]:
        """Return what is wrong with the answers."""
        wrong = at.faults(self.reviews[0])
        for each in self.all:
            if [name for _, name, _ in each.note.awards].count(TICK) != 1:
                wrong.append(f"no tick, or two, on {each.note.body}")
        if self.help and answers(at, self.help) != 1:
            wrong.append(f"/help was answered {answers(at, self.help)} times")
        return wrong


async def finished(at: World, bot: Bot, wishes: Wishes) -> None:
    """Wait until everything is answered, and nothing waits or runs any more."""
    await until(lambda: all(each.is_done for each in wishes.all))
    await until_idle(bot)
    await at.fake.webhooks.settle()


async def faults_after(at: World, recorder: Recorder, wishes: Wishes, folder: Path) -> list[str]:
    """Let a new bot go on from each state, and return what is wrong in the end."""
    wrong = []
    for number, state in enumerate(recorder.states):
        state.restore(at, folder / str(number))
        now = wishes.now(at)
        async with bot_here(at, folder / str(number)) as (bot, _):
            await finished(at, bot, now)
        wrong += [f"{number}, before {state.effect}: {fault}" for fault in now.faults(at)]
    return wrong


def test_killed_before_each_effect(tmp_path: Path) -> None:
    """From the webhook that was never answered to the last tick, another bot finishes what one has begun."""

    async def main() -> None:
        async with world(tmp_path, write_seconds=0.0) as at:
            recorder = Recorder(at, tmp_path / "first" / "bot.db")
            async with bot_here(at, tmp_path / "first") as (bot, _):
                await until(lambda: any(path.endswith("/merge_requests") for path in paths(at)))
                with recorder.recording():
                    wishes = Wishes([at.ask()])
                    mr = at.fake.add_merge_request(at.project, {"a.py": "x = 1\n"}, author=at.author)
                    wishes.help = say(at, mr, "/help")
                    await finished(at, bot, wishes)
                    recorder.keep("nothing")
            assert wishes.faults(at) == []
            assert len(recorder.states) > FEWEST
            assert await faults_after(at, recorder, wishes, tmp_path) == []

    asyncio.run(main())


def test_killed_while_a_newer_review_takes_over(tmp_path: Path) -> None:
    """Asked once more while the first review is at the engine: both notes are answered, by one review."""

    async def main() -> None:
        async with world(tmp_path, write_seconds=0.0) as at:
            recorder = Recorder(at, tmp_path / "first" / "bot.db")
            async with bot_here(at, tmp_path / "first") as (bot, _):
                at.may_write.clear()  # the first review stays at the engine until the second is there
                wishes = Wishes([at.ask()])
                await until(
                    lambda: bot.durable.orders.open("review") and not bot.durable.orders.open("errand")
                )
                await until(lambda: at.writing)
                (first,) = bot.durable.orders.open("review")
                with recorder.recording():
                    wishes.reviews.append(say(at, wishes.reviews[0].mr, "/review --full"))
                    await until(lambda: first.id not in {w.id for w in bot.durable.orders.open("review")})
                    await until(lambda: not bot.durable.orders.open("errand"))
                    at.may_write.set()
                    await finished(at, bot, wishes)
            assert wishes.faults(at) == []
            # What comes after that is as in any other review.
            taken_over = [state.effect for state in recorder.states].index("tenken_reviewed")
            del recorder.states[taken_over + 1 :]
            assert taken_over > 4
            assert await faults_after(at, recorder, wishes, tmp_path) == []

    asyncio.run(main())


def say(at: World, mr: StoredMergeRequest, text: str) -> Asking:
    """Write a note."""
    _, note = at.fake.as_person(at.author, at.project, mr).note(text)
    return Asking(mr, note, 0)


def paths(at: World) -> list[str]:
    return [request.path for request in at.fake.requests]
