"""Webhooks of projects: made where they are missing, left where they are right, named where wrong."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum

from bot.checks import HOOK_EVENTS, hook_fault
from bot.errors import GitLabRefused, NotFound
from bot.gitlab import GitLab, Project
from bot.projects import project_key
from engine.errors import InputError


class Outcome(StrEnum):
    """What became of a project's hook."""

    MADE = "made"
    MISSING = "missing"  # and only looked at
    THERE = "there"
    WRONG = "wrong"  # there, but not as the bot needs it
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Registered:
    """One project and its hook."""

    project: str
    outcome: Outcome
    detail: str = ""


async def projects_of(gitlab: GitLab, groups: Iterable[str], names: Iterable[str]) -> AsyncIterator[Project]:
    """Yield the projects of groups, and those that are named, each once."""
    seen = set()
    for name in names:
        with _named(name):
            project = await gitlab.project(project_key(name))
        seen.add(project.id)
        yield project
    for group in groups:
        with _named(group):
            found = [project async for project in gitlab.group_projects(group)]
        for project in found:
            if project.id not in seen:
                seen.add(project.id)
                yield project


@contextmanager
def _named(name: str) -> Iterator[None]:
    """Have it said which project or group GitLab does not know, or not show."""
    try:
        yield
    except NotFound as error:
        raise InputError(f"{name}: {error.message}; or the token may not see it") from error


async def register(
    gitlab: GitLab, project: Project, url: str, secret: str, *, make: bool = True, verify_tls: bool = True
) -> Registered:
    """Make a project's hook unless it has one to this address."""
    try:
        there = next((hook for hook in await gitlab.hooks(project.id) if hook.url == url), None)
        if there is not None:
            fault = hook_fault(there)
            return Registered(project.path, Outcome.WRONG if fault else Outcome.THERE, fault)
        if not make:
            return Registered(project.path, Outcome.MISSING)
        await gitlab.create_hook(
            project.id, url, secret, dict.fromkeys(HOOK_EVENTS, True), verify_tls=verify_tls
        )
    except GitLabRefused as error:
        return Registered(project.path, Outcome.REFUSED, error.message)
    return Registered(project.path, Outcome.MADE)
