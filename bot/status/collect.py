"""Gathers what the status page shows: from the database, GitLab and the engine. Kept for some seconds."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Protocol

import structlog

from bot.durable import Durable
from bot.errors import GitLabError
from bot.gitlab import GitLab
from bot.polling import Watermarks
from bot.retrain_jobs import PREPARE, TRAIN
from bot.status.facts import (
    Facts,
    Job,
    JobState,
    ProjectFacts,
    job_of_piece,
    opinions_by_adapter,
    opinions_of,
)
from engine.curves import LossCurve
from engine.errors import AccessRefused, NotReady, TenkenError, Unreachable
from engine.feedback import Feedback
from engine.lifecycle import RegisteredAdapter
from engine.retraining import RunState, RunStatus

_MOST_OPEN, _MOST_FINISHED, _MOST_PROJECTS = 100, 50, 20
_DAY, _MOST_COUNTED = 86_400.0, 5000
_MOST_CURVES = 6  # of a project
_TRAINING = (PREPARE, TRAIN)
_KEPT_SECONDS = 10.0
_ENGINE_SECONDS = 10.0
_log = structlog.get_logger()


class Learned(Protocol):
    """What the engine knows of projects."""

    async def adapters(self, project: str) -> tuple[RegisteredAdapter, ...]:
        """Return the adapters of a project, the newest first."""

    async def curve(self, project: str, version: str) -> LossCurve:
        """Return the loss of an adapter's training; without points where it was not recorded."""

    async def feedback(self, project: str) -> tuple[Feedback, ...]:
        """Return what people said of findings in a project, the latest first."""


class Trainings(Protocol):
    """What is known here of trainings."""

    def latest(self, project_id: int) -> RunStatus | None:
        """Return how far a project's newest training is, None where there never was one here. Blocks."""


class Collector:
    """Gives the facts of now, or of some seconds ago."""

    def __init__(
        self,
        durable: Durable,
        gitlab: GitLab,
        learned: Learned,
        watermarks: Watermarks,
        trainings: Trainings,
        kept_seconds: float = _KEPT_SECONDS,
    ) -> None:
        self._durable = durable
        self._gitlab = gitlab
        self._learned = learned
        self._watermarks = watermarks
        self._trainings = trainings
        self._kept_seconds = kept_seconds
        self._paths: dict[int, str] = {}
        self._curves: dict[int, dict[str, LossCurve]] = {}  # project -> version -> what never changes
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
        found, answers = await self._projects(ids[:_MOST_PROJECTS])
        projects = await asyncio.to_thread(self._with_trainings, found, open_)
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
        curves = await self._curves_of(project, adapters[:_MOST_CURVES])
        found = replace(project, adapters=adapters, curves=curves)
        try:
            feedback = await self._learned.feedback(project.path)
        except AccessRefused:
            return found
        return replace(found, opinions=opinions_of(feedback), by_adapter=opinions_by_adapter(feedback))

    async def _curves_of(
        self, project: ProjectFacts, adapters: Sequence[RegisteredAdapter]
    ) -> dict[str, LossCurve]:
        """Return the curves of those that have one; an engine that knows of none is an older one."""
        wanted = [adapter.version for adapter in adapters]
        known = self._curves.setdefault(project.id, {})
        for version in known.keys() - set(wanted):
            del known[version]
        try:
            for version in wanted:
                if version not in known:
                    known[version] = await self._learned.curve(project.path, version)
        except TenkenError as error:
            _log.warning("status.no_curve", error=type(error).__name__)
        return {version: curve for version, curve in known.items() if curve.points}

    def _with_trainings(
        self, projects: Sequence[ProjectFacts], open_: Sequence[Job]
    ) -> tuple[ProjectFacts, ...]:
        """Add the trainings that run: what a run says of itself holds while somebody is at work on it."""
        training = {
            job.project_id for job in open_ if job.kind in _TRAINING and job.state is JobState.RUNNING
        }
        found = []
        for project in projects:
            status = self._trainings.latest(project.id) if project.id in training else None
            runs = status is not None and status.state is RunState.RUNNING
            found.append(replace(project, training=status) if runs else project)
        return tuple(found)
