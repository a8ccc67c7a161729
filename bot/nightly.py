"""Retraining each night, as the settings say: at a time of this machine's clock, of the projects they name.

Several workers may do this side by side: the work of one night has one id, so it is done once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from datetime import datetime, time, timedelta

import structlog

from bot.errors import BotError
from bot.gitlab import GitLab, Project
from bot.orders import Orders
from bot.projects import Projects
from bot.retrain_jobs import PREPARE, RetrainJob, open_jobs
from engine.errors import ConfigError, StoreError
from engine.wire import Language

_log = structlog.get_logger()


class Nightly:
    """Orders trainings. `projects` are paths with the merge request that is told of it, 0 for none."""

    def __init__(
        self,
        gitlab: GitLab,
        settings: Projects,
        orders: Callable[[], Orders],
        at: str,
        projects: Mapping[str, int],
    ) -> None:
        self._gitlab, self._settings, self._orders = gitlab, settings, orders
        self._at, self._projects = time.fromisoformat(at), projects

    async def run(self) -> None:
        """Order every night until cancelled."""
        while True:
            await asyncio.sleep(seconds_until(self._at, datetime.now().astimezone()))
            await self.night(datetime.now().astimezone())

    async def night(self, now: datetime) -> None:
        """Order the trainings of one night. What cannot be ordered is left for the next."""
        for path, iid in self._projects.items():
            try:
                await self._order(await self._gitlab.project(path), iid, now)
            except (BotError, StoreError) as error:
                _log.warning("nightly.not_ordered", project=path, error=type(error).__name__)

    async def _order(self, project: Project, iid: int, now: datetime) -> None:
        job = RetrainJob(
            key=f"nightly:{project.id}:{now:%Y-%m-%d}",
            project_id=project.id,
            project=project.path,
            iid=iid,
            language=await self._language(project),
        )

        def store() -> bool:
            orders = self._orders()
            # One that somebody has begun takes the place of this night's.
            return not open_jobs(orders, project.id) and orders.store([job.order(PREPARE)])[0]

        ordered = await asyncio.to_thread(store)
        _log.info("nightly.ordered" if ordered else "nightly.left", project=project.path)

    async def _language(self, project: Project) -> Language:
        try:
            return (await self._settings.config(project.id, project.default_branch)).language
        except ConfigError:
            return Language.EN


def seconds_until(at: time, now: datetime) -> float:
    """Return how long it is until the clock says `at` the next time."""
    today = now.replace(hour=at.hour, minute=at.minute, second=0, microsecond=0)
    following = today if today > now else today + timedelta(days=1)
    return (following - now).total_seconds()
