"""Nightly trainings: once a night, whoever is awake, and never beside one that runs."""

from __future__ import annotations

import asyncio
from datetime import datetime, time, timedelta, timezone
from pathlib import Path

import pytest
from retrain_desk import RetrainDesk, retrain_desk

from bot.nightly import Nightly, seconds_until
from bot.projects import GitLabProjects

ZONE = timezone(timedelta(hours=9))
NIGHT = datetime(2026, 11, 27, 2, 30, tzinfo=ZONE)


@pytest.mark.parametrize(
    ("at", "hours"), [("02:30", 24.0), ("02:31", 1 / 60), ("02:29", 24 - 1 / 60), ("14:30", 12.0)]
)
def test_when_the_next_one_is(at: str, hours: float) -> None:
    """Later today, or tomorrow."""
    assert seconds_until(time.fromisoformat(at), NIGHT) == pytest.approx(3600 * hours)


def test_once_a_night(tmp_path: Path) -> None:
    """Two workers order it, one training is done, and told where the settings say. Then the next night."""

    async def main() -> None:
        async with retrain_desk(tmp_path) as desk:
            night = _nightly(desk, {desk.scene.project.path: desk.scene.mr.iid, "no/such": 1})
            await night.night(NIGHT)
            await night.night(NIGHT)
            text = await desk.result()
            assert text.startswith("Trained unasked, as every night.")
            assert "**Promoted.**" in text
            await night.night(NIGHT)
            await asyncio.sleep(0.3)
            assert len(desk.starts) == 2
            desk.script(outcome="too_little")
            await _nightly(desk, {desk.scene.project.path: 0}).night(NIGHT + timedelta(days=1))
            await desk.until(lambda: len(desk.starts) == 3 and not desk.open)
            assert len(desk.notes(result=True)) == 1

    asyncio.run(main())


def test_not_beside_another(tmp_path: Path) -> None:
    """One that somebody has begun takes its place."""

    async def main() -> None:
        async with retrain_desk(tmp_path) as desk:
            desk.script(endless=True)
            wish = desk.wish()
            await desk.learning.retrain(wish, dry_run=False)
            await _nightly(desk, {desk.scene.project.path: 0}).night(NIGHT)
            assert len({name.rpartition(":")[2] for name in desk.open}) == 1
            await desk.learning.cancel(wish)

    asyncio.run(main())


def _nightly(desk: RetrainDesk, projects: dict[str, int]) -> Nightly:
    gitlab = desk.scene.gitlab
    return Nightly(gitlab, GitLabProjects(gitlab), lambda: desk.durable.orders, "02:30", projects)
