"""Gathers what the status page shows: from the database, GitLab and the engine. Kept for some seconds."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection
from typing import Protocol

import structlog

from bot.durable import Durable
from bot.errors import GitLabError
from bot.gitlab import GitLab
from bot.polling import Watermarks
from bot.status.facts import Facts, Job, ProjectFacts, job_of_piece, opinions_by_adapter, opinions_of
from engine.errors import AccessRefused, NotReady, TenkenError, Unreachable
from engine.feedback import Feedback
from engine.lifecycle import RegisteredAdapter

_MOST_OPEN, _MOST_FINISHED, _MOST_PROJECTS = 100, 50, 20
_DAY, _MOST_COUNTED = 86_400.0, 5000
_KEPT_SECONDS = 10.0
_ENGINE_SECONDS = 10.0
_log = structlog.get_logger()


class Learned(Protocol):
    """What the engine knows of projects."""

    async def adapters(self, project: str) -> tuple[RegisteredAdapter, ...]:
        """Return the adapters of a project, the newest first."""

    async def feedback(self, project: str) -> tuple[Feedback, ...]:
        """Return what people said of findings in a project, the latest first."""


class Collector:
    """Gives the facts of now, or of some seconds ago."""

    def __init__(
        self,
        durable: Durable,
        gitlab: GitLab,
        learned: Learned,
        watermarks: Watermarks,
        kept_seconds: float = _KEPT_SECONDS,
    ) -> None:
        self._durable = durable
        self._gitlab = gitlab
        self._learned = learned
        self._watermarks = watermarks
        self._kept_seconds = kept_seconds
        self._paths: dict[int, str] = {}
        self._facts: Facts | None = None
        self._lock = asyncio.Lock()

    async def facts(self) -> Facts:
        """Return what there is to show; raises StoreError where the database cannot be read."""
        async with self._lock:
            if self._facts is None or time.time() - self._facts.at > self._kept_seconds:
                self._facts = await self._gather()
            return self._facts

    async def _gather(self) -> Facts:
        workers, open_, finished, today = await asyncio.to_thread(self._read)
        marks = await self._watermarks.load()
        named = {job.project_id for job in (*open_, *finished) if job.project_id is not None}
        ids = [*sorted(named), *sorted(set(marks) - named)]  # where something happens comes first
        projects, answers = await self._projects(ids[:_MOST_PROJECTS])
        silent = self._durable.options.silent_seconds
        return Facts(time.time(), workers, silent, open_, finished, today, projects, answers)

    def _read(self) -> tuple[dict[str, float], tuple[Job, ...], tuple[Job, ...], tuple[Job, ...]]:
        orders, kinds = self._durable.orders, self._durable.kinds
        return (
            self._durable.workers.heard_of(),
            tuple(map(job_of_piece, orders.history(kinds, _MOST_OPEN, finished=False))),
            tuple(map(job_of_piece, orders.history(kinds, _MOST_FINISHED, finished=True))),
            tuple(map(job_of_piece, orders.ended_since(kinds, _DAY, _MOST_COUNTED))),
        )

    async def _projects(self, ids: Collection[int]) -> tuple[tuple[ProjectFacts, ...], bool]:
        """Return what was learned in projects; an engine that does not answer is not asked for each anew."""
        found, answers = [], True
        for project_id in ids:
            path = await self._path(project_id)
            if path is None:
                continue
            project = ProjectFacts(project_id, path)
            if answers:
                try:
                    async with asyncio.timeout(_ENGINE_SECONDS):
                        project = await self._learned_in(project)
                except (Unreachable, NotReady, TimeoutError) as error:
                    _log.warning("status.no_engine", error=type(error).__name__)
                    answers = False
                except TenkenError as error:  # it has no adapters, or does not tell
                    _log.warning("status.not_told", error=type(error).__name__)
            found.append(project)
        return tuple(found), answers

    async def _path(self, project_id: int) -> str | None:
        """Return a project's path; None for one that GitLab does not show."""
        if project_id not in self._paths:
            try:
                self._paths[project_id] = (await self._gitlab.project(project_id)).path
            except GitLabError:
                return None
        return self._paths[project_id]

    async def _learned_in(self, project: ProjectFacts) -> ProjectFacts:
        adapters = await self._learned.adapters(project.path)
        try:
            feedback = await self._learned.feedback(project.path)
        except AccessRefused:
            return ProjectFacts(project.id, project.path, adapters)
        return ProjectFacts(
            project.id, project.path, adapters, opinions_of(feedback), opinions_by_adapter(feedback)
        )
