"""A merge request as it stands, whole: its newest version, changed files, settings and texts.

GitLab prepares a diff some time after a push, and may tell of the push before: what is put together here is
all of one version.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass

from bot.errors import GitLabRefused, GitLabUnavailable, NotFound
from bot.file_changes import file_diff, why_unread
from bot.gitlab import DiffRefs, GitLab, MergeRequest, MergeRequestRef
from bot.projects import Projects
from engine.config import CONFIG_NAME, ProjectConfig
from engine.diffs import FileDiff, FileStatus
from engine.errors import ConfigError
from engine.wire import FileCoverage

_PAUSES = (0.5, 1.0, 2.0, 4.0, 8.0)
_COLLECTED = "collected"
_AT_ONCE = 8
_MAX_SOURCE_BYTES = 512 * 1024
_MAX_SOURCES_BYTES = 8 * 2**20
_MAX_GUIDELINES = 8_000  # characters
_TOO_LARGE = 413

Sleep = Callable[[float], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One version of a merge request."""

    mr: MergeRequest
    refs: DiffRefs
    files: tuple[FileDiff, ...]
    unread: tuple[FileCoverage, ...]  # of `files`, those that GitLab gives no diff of


async def take_snapshot(gitlab: GitLab, ref: MergeRequestRef, sleep: Sleep = asyncio.sleep) -> Snapshot:
    """Return the newest version; raises GitLabUnavailable where its diff is not there in time."""
    for pause in (*_PAUSES, 0.0):
        mr = await gitlab.merge_request(ref)
        refs = await _newest(gitlab, mr)
        if refs is not None:
            changes = await gitlab.diffs(ref)
            if await _newest(gitlab, mr) == refs:
                unread = tuple(entry for change in changes if (entry := why_unread(change)))
                return Snapshot(mr, refs, tuple(map(file_diff, changes)), unread)
        await sleep(pause)
    raise GitLabUnavailable(f"the diff of merge request {ref} is not ready yet")


async def read_settings(gitlab: GitLab, projects: Projects, mr: MergeRequest) -> tuple[ProjectConfig, str]:
    """Return a project's settings and guidelines, both as the target branch has them; raises ConfigError."""
    config = await projects.config(mr.project_id, mr.target_branch)
    if not config.guidelines_file:
        return config, config.guidelines
    name = config.guidelines_file
    where = f"{CONFIG_NAME}: guidelines_file: {name}"
    if config.guidelines:
        raise ConfigError(f"{CONFIG_NAME}: guidelines_file: give either this or guidelines")
    try:
        text = (await gitlab.raw_file(mr.project_id, name, mr.target_branch, 4 * _MAX_GUIDELINES)).decode()
    except NotFound as error:
        raise ConfigError(f"{where}: no such file") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{where}: not UTF-8 text") from error
    except GitLabRefused as error:
        if error.status != _TOO_LARGE:
            raise
        raise ConfigError(f"{where}: too large; {_MAX_GUIDELINES} characters are read") from error
    if len(text) > _MAX_GUIDELINES:
        raise ConfigError(f"{where}: {len(text)} characters; guidelines may have {_MAX_GUIDELINES}")
    return config, text


async def read_sources(
    gitlab: GitLab, project_id: int, commit: str, files: Iterable[FileDiff]
) -> dict[str, str]:
    """Return the new texts of files, as far as they can be had: they help, and nothing depends on them."""
    gate = asyncio.Semaphore(_AT_ONCE)
    left = _MAX_SOURCES_BYTES

    async def read(path: str) -> tuple[str, str] | None:
        nonlocal left
        async with gate:
            if left <= 0:
                return None
            try:
                data = await gitlab.raw_file(project_id, path, commit, _MAX_SOURCE_BYTES)
                left -= len(data)
                return path, data.decode()
            except (GitLabRefused, UnicodeDecodeError):
                return None

    wanted = [file.new_path for file in files if file.hunks and file.status is not FileStatus.DELETED]
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(read(path)) for path in wanted]
    except ExceptionGroup as errors:
        raise errors.exceptions[0] from errors
    return dict(found for task in tasks if (found := task.result()) is not None)


async def _newest(gitlab: GitLab, mr: MergeRequest) -> DiffRefs | None:
    """Return the refs of the newest version, or None while GitLab is still at work on it."""
    versions = await gitlab.versions(mr.ref)
    if mr.diff_refs is None or not versions or versions[0].state != _COLLECTED:
        return None
    refs = versions[0].refs
    return refs if refs.head_sha == mr.head_sha == mr.diff_refs.head_sha else None
