"""Reviews that no command asked for: when the project wants them, and for whom."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from desk import Desk, desk
from scenes import BEFORE

from bot.dispatch import perform
from bot.errands import Errand, ReviewErrand
from bot.errors import GitLabUnavailable
from bot.gitlab import Access
from bot.jobs import Reason
from engine.errors import ConfigError

CHANGED = BEFORE | {"src/app.py": "x = 1\n"}
AGAIN = BEFORE | {"src/app.py": "x = 2\n"}


def settings(*moments: str) -> dict[str, str]:
    listed = ", ".join(f'"{moment}"' for moment in moments)
    return {".tenken.toml": f"auto_review = [{listed}]\n"}


def run(test: Callable[[Desk], Awaitable[None]], *moments: str, **details: Any) -> None:
    async def play() -> None:
        async with desk(BEFORE | settings(*moments), CHANGED | settings(*moments), **details) as stage:
            await test(stage)

    asyncio.run(play())


def reasons(stage: Desk) -> list[Reason]:
    return [job.reason for job in stage.jobs.reviews]


async def opened(stage: Desk, moments: tuple[str, ...], **details: Any) -> None:
    files = CHANGED | settings(*moments)
    stage.scene.mr = stage.scene.fake.add_merge_request(
        stage.scene.project, files, author=stage.scene.author, branch="other", **details
    )
    await stage.work()


@pytest.mark.parametrize("moments", [(), ("open",), ("push",), ("ready",), ("open", "ready", "push")])
def test_the_project_says_when(moments: tuple[str, ...]) -> None:
    """Opening, pushing and marking as ready lead to a review only where the project has set it."""

    async def test(stage: Desk) -> None:
        await opened(stage, moments)
        assert reasons(stage) == [Reason.OPENED] * ("open" in moments)
        stage.jobs.reviews.clear()
        stage.scene.fake.push(stage.scene.project, stage.scene.mr, AGAIN | settings(*moments))
        await stage.work()
        assert reasons(stage) == [Reason.PUSHED] * ("push" in moments)
        stage.jobs.reviews.clear()
        became_ready(stage)
        await stage.work()
        assert reasons(stage) == [Reason.READY] * ("ready" in moments)
        assert not stage.scene.bot_notes

    run(test, *moments)


def became_ready(stage: Desk) -> None:
    scene = stage.scene
    scene.fake.webhooks.merge_request(
        scene.project,
        scene.mr,
        scene.author,
        "update",
        changes={"draft": {"previous": True, "current": False}},
    )


def test_the_source_branch_does_not_say_when() -> None:
    """The author of a change cannot switch its review off or on."""

    async def test(stage: Desk) -> None:
        await opened(stage, ("open",))
        assert not stage.jobs.reviews

    run(test)


def test_drafts_and_forks_wait_to_be_asked() -> None:
    """Neither is reviewed unasked, whatever is set."""

    async def test(stage: Desk) -> None:
        await opened(stage, ("open",), draft=True)
        fork = stage.scene.fake.add_project("stranger/app", BEFORE)
        await opened(stage, ("open",), fork=fork)
        assert not stage.jobs.reviews

    run(test, "open")


@pytest.mark.parametrize(
    ("state", "draft", "expected"), [("opened", False, 1), ("merged", False, 0), ("opened", True, 0)]
)
def test_what_it_has_become_counts(state: str, draft: bool, expected: int) -> None:
    """The event may be old when its turn comes."""

    async def test(stage: Desk) -> None:
        became_ready(stage)
        errands = await stage.errands()
        stage.scene.mr.state, stage.scene.mr.draft = state, draft
        for errand in errands:
            await perform(errand, stage.ports, stage.registry)
        assert len(stage.jobs.reviews) == expected

    run(test, "ready")


def test_asking_the_bot_as_reviewer() -> None:
    """A member who may use /review may also make the bot a reviewer, whatever is set; no one else."""

    async def test(stage: Desk) -> None:
        scene = stage.scene
        change = {"reviewers": {"previous": [], "current": [{"id": scene.fake.bot.id, "username": "tenken"}]}}
        for person in (stage.member("stranger", Access.NONE), scene.author):
            scene.fake.webhooks.merge_request(scene.project, scene.mr, person, "update", changes=change)
            scene.mr.updated_at = scene.fake.world.now()
            await stage.work()
        assert reasons(stage) == [Reason.REVIEWER]
        assert not scene.bot_notes

    run(test)


def test_broken_settings_are_an_error() -> None:
    """Nobody asked, so nobody is answered: the error is for the log."""

    async def test(stage: Desk) -> None:
        became_ready(stage)
        (errand,) = await stage.errands()
        with pytest.raises(ConfigError, match=r"\.tenken\.toml:1: auto_review"):
            await perform(errand, stage.ports, stage.registry)

    run(test, "always")


def test_a_gone_merge_request_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    """It may have been deleted meanwhile."""
    monkeypatch.setattr("bot.freshness.LAG_SECONDS", 3600.0)

    async def test(stage: Desk) -> None:
        became_ready(stage)
        errands: list[Errand] = await stage.errands()
        del stage.scene.project.merge_requests[stage.scene.mr.iid]
        assert isinstance(errands[0], ReviewErrand)
        with pytest.raises(GitLabUnavailable, match="not show the merge request yet"):
            await perform(errands[0], stage.ports, stage.registry)
        await perform(errands[0].model_copy(update={"received": 1}), stage.ports, stage.registry)
        assert not stage.jobs.reviews

    run(test, "ready")
