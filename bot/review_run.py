"""One review of a merge request, from its newest version to the notes in it. Readable as its steps.

    review   what is new in the newest version goes through the engine; ended at once when superseded
    publish  what was found goes into the merge request; if it was pushed to meanwhile, all begins again
    finish   ✅ on the notes that asked, and the commit status

What the engine found is kept when the first step ends, so neither a crash nor a push makes it find it twice.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from functools import partial
from typing import Any

import structlog
from pydantic import BaseModel, ConfigDict

from bot.file_changes import diff_text
from bot.gitlab import DiffRefs, GitLab
from bot.incremental import Plan, conditions_of, merge_review, plan_review, remember
from bot.jobs import Reason, ReviewJob
from bot.memory import Memories
from bot.progress import FIRST_SECONDS, ProgressNote
from bot.projects import Projects
from bot.publish import Reviewed, publish
from bot.review_answers import Answers
from bot.reviewer import Reviewer
from bot.snapshot import Sleep, Snapshot, read_settings, read_sources, take_snapshot
from bot.work import Failure, FailureKind, StepFailed, Work
from engine.config import ProjectConfig
from engine.diffs import FileDiff
from engine.selection import PathFilter, select
from engine.wire import FileCoverage, Review, ReviewRequest

_ROUNDS = 3  # so often a push may come in between
_MAX_TITLE, _MAX_DESCRIPTION = 500, 1_000
_WAITED_FOR = (Reason.COMMAND, Reason.REVIEWER)
_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class RunPorts:
    """What reviews are done with."""

    gitlab: GitLab
    projects: Projects
    reviewer: Reviewer
    memories: Memories


@dataclass(frozen=True, slots=True)
class RunOptions:
    """How reviews are done."""

    seconds: float = 3600  # for the engine's part
    commit_status: bool = False
    progress_seconds: float = FIRST_SECONDS
    sleep: Sleep = asyncio.sleep


class Found(BaseModel):
    """What the first step gives; kept as JSON."""

    model_config = ConfigDict(frozen=True)

    base_sha: str
    start_sha: str
    head_sha: str
    review: Review

    @property
    def refs(self) -> DiffRefs:
        """The version that was reviewed."""
        return DiffRefs(self.base_sha, self.start_sha, self.head_sha)


class ReviewRuns:
    """Does reviews; see `bot.work.Kind`."""

    def __init__(self, ports: RunPorts, options: RunOptions = RunOptions()) -> None:
        self._ports = ports
        self._options = options

    async def run(self, work: Work) -> None:
        """Review a merge request."""
        await _Run(work, self._ports, self._options).run()

    async def failed(self, work: Work, failure: Failure) -> None:
        """Tell whoever asked why there is no review."""
        await _Run(work, self._ports, self._options).tell(failure)


class _Run:
    """A review on its way."""

    def __init__(self, work: Work, ports: RunPorts, options: RunOptions) -> None:
        self._work = work
        self._job = ReviewJob.model_validate(work.payload)
        self._ports = ports
        self._options = options
        self._gitlab = ports.gitlab.guarded(work.still_current)
        self._answers = Answers(self._gitlab, ports.projects, options.commit_status)

    async def run(self) -> None:
        step, answers, job = self._work.step, self._answers, self._job
        for round_ in range(_ROUNDS):
            value = await step(f"review {round_}", self._review, seconds=self._options.seconds, abort=True)
            if value is None:
                await step("closed", partial(answers.closed, job))
                return
            found = Found.model_validate(value)
            if await step(f"publish {round_}", partial(self._publish, found)):
                await step("finish", partial(answers.done, job, found.review, found.head_sha))
                return
        raise StepFailed(Failure(FailureKind.MOVED))

    async def tell(self, failure: Failure) -> None:
        await self._work.step("tell", partial(self._answers.failed, self._job, failure))

    async def _review(self) -> dict[str, Any] | None:
        """Return what is found in the newest version, or None where the merge request is not open."""
        if not (await self._gitlab.merge_request(self._job.ref)).is_open:
            return None
        snapshot = await take_snapshot(self._gitlab, self._job.ref, self._options.sleep)
        await self._answers.running(self._job, snapshot.mr)
        config, guidelines = await read_settings(self._gitlab, self._ports.projects, snapshot.mr)
        memory = await asyncio.to_thread(self._ports.memories.load, self._job.ref)
        scope = choose(self._job, snapshot, config, guidelines)
        plan = plan_review(scope.files, memory, scope.conditions, full=self._job.full, aside=scope.aside)
        fresh = None if plan.is_nothing_new else await self._ask_engine(snapshot, scope, plan)
        review = merge_review(plan, fresh, scope.skipped, scope.request.language)
        await asyncio.to_thread(self._ports.memories.save, self._job.ref, remember(plan, review))
        refs = snapshot.refs
        found = Found(base_sha=refs.base_sha, start_sha=refs.start_sha, head_sha=refs.head_sha, review=review)
        return found.model_dump(mode="json")

    async def _ask_engine(self, snapshot: Snapshot, scope: Scope, plan: Plan) -> Review:
        project_id = snapshot.mr.project_id
        sources = await read_sources(self._gitlab, project_id, snapshot.refs.head_sha, plan.fresh)
        project = (await self._gitlab.project(project_id)).path
        request = scope.request.model_copy(
            update={"diff": diff_text(plan.fresh), "sources": sources, "project": project}
        )
        note = ProgressNote(self._gitlab, self._job.ref, request.language, self._options.progress_seconds)
        async with note.shown():
            return await self._ports.reviewer.review(request, note.update)

    async def _publish(self, found: Found) -> bool:
        """Publish what was found; False where the merge request is no longer what was reviewed."""
        snapshot = await take_snapshot(self._gitlab, self._job.ref, self._options.sleep)
        if snapshot.refs != found.refs:
            _log.info("review.outdated", mr=str(self._job.ref))
            return False
        paths = {finding.path for finding in found.review.findings if finding.suggestion is not None}
        files = [file for file in snapshot.files if file.new_path in paths]
        sources = await read_sources(self._gitlab, snapshot.mr.project_id, found.head_sha, files)
        reviewed = Reviewed(
            found.review, found.refs, snapshot.files, sources=sources, web_url=snapshot.mr.web_url
        )
        await publish(
            self._gitlab, self._job.ref, reviewed, self._work.still_current, sleep=self._options.sleep
        )
        return True


@dataclass(frozen=True, slots=True)
class Scope:
    """What a review is about."""

    files: tuple[FileDiff, ...]
    aside: tuple[FileDiff, ...]  # worth reviewing, but not asked for this time
    skipped: tuple[FileCoverage, ...]
    conditions: str
    request: ReviewRequest  # but for the code


def choose(job: ReviewJob, snapshot: Snapshot, config: ProjectConfig, guidelines: str) -> Scope:
    """Return what is reviewed, why the rest is not, and how."""
    unread = {entry.path for entry in snapshot.unread}
    readable = [file for file in snapshot.files if file.new_path not in unread]
    worthy, skipped = select(readable, paths=config.paths, exclude=config.exclude)
    asked = PathFilter.of(job.paths)
    aside = tuple(file for file in worthy if asked(file))
    outside = tuple(
        FileCoverage(path=file.new_path, reviewed=False, reason=skip.reason, detail=skip.detail)
        for file in aside
        if (skip := asked(file))
    )
    request = ReviewRequest(
        diff="",
        language=job.language or config.language,
        guidelines=guidelines,
        title=snapshot.mr.title[:_MAX_TITLE],
        description=snapshot.mr.description[:_MAX_DESCRIPTION],
        severity=job.severity or config.severity,
        max_findings=config.max_findings,
        background=job.reason not in _WAITED_FOR,
    )
    return Scope(
        tuple(file for file in worthy if not asked(file)),
        aside,
        (*skipped, *snapshot.unread, *outside),
        conditions_of(request.language, request.severity, guidelines, config.paths, config.exclude),
        request,
    )
