"""Killed at every point of a review and a command, once each: nothing is lost, nothing is said twice.

`test_crashes.py` kills real processes at random points; here each state that one may leave behind is made,
and a new bot goes on from it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest
from bot_here import bot_here
from bot_world import TICK, Asking, World, world
from crash_points import Recorder, State

from bot.app import Bot
from bot.fake_gitlab import StoredMergeRequest
from bot.markers import MarkerKind, marker_of

PATIENCE = 60.0
FEWEST = 20  # transactions and requests that a review and a command need

pytestmark = pytest.mark.timeout(300)


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


def of(at: World, mr: StoredMergeRequest, text: str) -> Asking:
    """Return a request again, as it stands in the GitLab that there is now."""
    mr = at.project.merge_requests[mr.iid]
    return Asking(mr, next(note for note in mr.notes if note.body == text), 0)


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


async def faults_after(at: World, state: State, folder: Path, asked: list[StoredMergeRequest]) -> list[str]:
    """Let a new bot go on from a state, and return what is wrong in the end."""
    state.restore(at, folder)
    review, help_ = of(at, asked[0], "/review"), of(at, asked[1], "/help")
    async with bot_here(at, folder) as (bot, _):
        await until(lambda: review.is_done and help_.is_done)
        await until_idle(bot)
        await at.fake.webhooks.settle()
        wrong = at.faults(review)
        if answers(at, help_) != 1 or [name for _, name, _ in help_.note.awards].count(TICK) != 1:
            wrong.append(f"/help was answered {answers(at, help_)} times")
        return [f"{state.effect}: {fault}" for fault in wrong]


def test_killed_before_each_effect(tmp_path: Path) -> None:
    """From the webhook that was never answered to the last tick, another bot finishes what one has begun."""

    async def main() -> None:
        async with world(tmp_path, write_seconds=0.0) as at:
            recorder = Recorder(at, tmp_path / "first" / "bot.db")
            async with bot_here(at, tmp_path / "first") as (bot, _):
                await until(lambda: any(path.endswith("/merge_requests") for path in paths(at)))
                with recorder.recording():
                    review = at.ask()
                    helped = at.fake.add_merge_request(at.project, {"a.py": "x = 1\n"}, author=at.author)
                    _, note = at.fake.as_person(at.author, at.project, helped).note("/help")
                    await until(lambda: review.is_done and Asking(helped, note, 0).is_done)
                    await until_idle(bot)
                    await at.fake.webhooks.settle()
                    recorder.keep("nothing")
            assert at.faults(review) == []
            assert len(recorder.states) > FEWEST
            wrong = []
            for number, state in enumerate(recorder.states):
                wrong += await faults_after(at, state, tmp_path / str(number), [review.mr, helped])
            assert wrong == []

    asyncio.run(main())


def paths(at: World) -> list[str]:
    return [request.path for request in at.fake.requests]
