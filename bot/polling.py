"""Looks for what no webhook brought: where none gets through, and after the bot was away.

It reads the bot's to-dos, and in known projects the notes and the code that came since the last look. What it
finds goes the way of deliveries; what came both ways is one wish.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Protocol

import structlog

from bot.decisions import Rules, decide, errands_of
from bot.errands import CommandErrand, Errand, HintErrand
from bot.errors import GitLabError, GitLabRefused, TokenRefused
from bot.events import Event
from bot.gitlab import GitLab, MergeRequest, MergeRequestRef, Todo
from bot.projects import Projects, project_key
from bot.sightings import code_event, note_event, ready_event, request_event
from engine.errors import ConfigError, StoreError

MOST_AT_ONCE = 200
"""Merge requests of one project in one round; the rest comes with the next."""

_REPEATED = timedelta(minutes=1)  # a merge request may be seen late, so the last minute is looked at again
_NOTE_REPEATED = timedelta(minutes=10)  # a note may be older than the update of its merge request
_CATCH_UP = timedelta(days=1)  # what somebody asked for before the bot came is not done any more
_REVIEW_REQUESTED = "review_requested"
_MENTIONED = ("mentioned", "directly_addressed")
_log = structlog.get_logger()

Store = Callable[[Sequence[Errand]], Awaitable[object]]
"""Keeps errands; they are on disk when it returns. Known ones are left."""


@dataclass(frozen=True, slots=True)
class Found:
    """An event that nobody delivered, and when it was."""

    event: Event
    at: datetime | None

    @property
    def milliseconds(self) -> int:
        """Since 1970."""
        return int((self.at or datetime.now(UTC)).timestamp() * 1000)


class Watermarks(Protocol):
    """Up to when each project was looked at."""

    async def load(self) -> dict[int, datetime]:
        """Return all that are known."""

    async def move(self, project_id: int, to: datetime) -> None:
        """Keep the watermark of a project; it never goes back."""


class Drafts(Protocol):
    """Which merge requests were drafts when they were seen last."""

    async def load(self, project_id: int) -> set[int]:
        """Return the iids of a project's."""

    async def keep(self, ref: MergeRequestRef, draft: bool) -> None:
        """Keep what a merge request is."""


class Poller:
    """Looks at to-dos and projects; several workers may do so at once."""

    def __init__(
        self,
        gitlab: GitLab,
        rules: Rules,
        projects: Projects,
        watermarks: Watermarks,
        drafts: Drafts,
        store: Store,
        names: Iterable[str] = (),
    ) -> None:
        self._gitlab = gitlab
        self._rules = rules
        self._projects = projects
        self._watermarks = watermarks
        self._drafts = drafts
        self._store = store
        self._looked_for_drafts: set[int] = set()
        self._names = tuple(names)  # ids or paths of projects to look at from the beginning

    async def run(self, seconds: float) -> None:
        """Look again and again, until cancelled. What fails is tried again with the next round."""
        while True:
            try:
                await self.look()
            except Exception:  # noqa: BLE001 - the outermost loop of polling: log and go on
                _log.exception("poll.broke")
            await asyncio.sleep(seconds)

    async def look(self) -> None:
        """Look once at everything. A project that cannot be read does not keep the others from it."""
        await self._tried("todos", self._look_at_todos())
        for name in self._names:
            await self._tried(name, self._begin(name))
        try:
            marks = await self._watermarks.load()
        except StoreError as error:
            _log.error("poll.failed", what="watermarks", reason=str(error))
            return
        for project_id, since in marks.items():
            await self._tried(str(project_id), self._look_at_project(project_id, since))

    async def saw(self, project_id: int, at: datetime | None = None) -> None:
        """Look at this project too from now on, or from when something came of it.

        What came after that and could not be stored is found, however long the bot was down meanwhile.
        """
        if project_id not in await self._watermarks.load():
            now = datetime.now(UTC)
            await self._watermarks.move(project_id, max(min(at or now, now), now - _CATCH_UP))

    async def _tried(self, what: str, looking: Awaitable[None]) -> None:
        try:
            await looking
        except (GitLabError, StoreError) as error:
            _log.error("poll.failed", what=what, reason=str(error))

    async def _begin(self, name: str) -> None:
        """Begin to look at a project now: what was written before the bot came asks for nothing."""
        await self.saw((await self._gitlab.project(project_key(name))).id)

    async def _look_at_todos(self) -> None:
        todos = [todo async for todo in self._gitlab.todos()]
        for todo in reversed(todos):
            await self._unless_refused(todo.ref, self._found_by(todo))
            await self._gitlab.mark_todo_done(todo.id)

    async def _unless_refused(self, ref: MergeRequestRef, looking: Awaitable[list[Found]]) -> None:
        """Keep what is found; what GitLab will not show would only keep the rest from being seen."""
        try:
            await self._keep(await looking)
        except TokenRefused:
            raise
        except GitLabRefused as error:
            _log.warning("poll.refused", mr=str(ref), status=error.status)

    async def _found_by(self, todo: Todo) -> list[Found]:
        if todo.action == _REVIEW_REQUESTED:
            mr = await self._gitlab.merge_request(todo.ref)
            return [Found(request_event(mr, todo.author_id, self._rules.me), todo.created_at)]
        if todo.action in _MENTIONED and todo.note_id is not None:
            mr = await self._gitlab.merge_request(todo.ref)
            note = await self._gitlab.note(todo.ref, todo.note_id)
            return [Found(note_event(mr, note), note.updated_at)]
        return []

    async def _look_at_project(self, project_id: int, since: datetime) -> None:
        new, drafts = 0, await self._drafts_of(project_id)
        async for mr in self._gitlab.open_merge_requests(project_id, since - _REPEATED):
            was_draft = mr.iid in drafts
            await self._unless_refused(mr.ref, self._found_in(mr, since, was_draft))
            if mr.draft != was_draft:
                await self._drafts.keep(mr.ref, mr.draft)
            if mr.updated_at is None or mr.updated_at <= since:
                continue  # looked at once more
            await self._watermarks.move(project_id, mr.updated_at)
            new += 1
            if new >= MOST_AT_ONCE:
                _log.info("poll.more", project=project_id, done=new)
                return

    async def _drafts_of(self, project_id: int) -> set[int]:
        """Return the drafts of a project; those untouched since the bot came are looked for once."""
        drafts = await self._drafts.load(project_id)
        if project_id not in self._looked_for_drafts:
            async for mr in self._gitlab.open_merge_requests(project_id):
                if mr.draft and mr.iid not in drafts:
                    await self._drafts.keep(mr.ref, True)
                    drafts.add(mr.iid)
            self._looked_for_drafts.add(project_id)
        return drafts

    async def _found_in(self, mr: MergeRequest, since: datetime, was_draft: bool) -> list[Found]:
        """Return what was written in a merge request since, and new code where the project wants reviews.

        A draft that is none any more is told of until it is forgotten, which is after it was stored.
        """
        found = []
        async for note in self._gitlab.notes(mr.ref):
            if note.updated_at is not None and note.updated_at < since - _NOTE_REPEATED:
                break
            found.append(Found(note_event(mr, note), note.updated_at))
        if await self._reviews_itself(mr):
            versions = await self._gitlab.versions(mr.ref)
            event = code_event(mr, versions, since - _REPEATED)
            found += [Found(event, versions[0].created_at)] if event else []
            found += [Found(ready_event(mr), mr.updated_at)] if was_draft and not mr.draft else []
        return found[::-1]

    async def _reviews_itself(self, mr: MergeRequest) -> bool:
        try:
            return bool((await self._projects.config(mr.project_id, mr.target_branch)).auto_review)
        except ConfigError:
            return False

    async def _keep(self, found: Iterable[Found]) -> None:
        """Store what events ask for, each with the thread that it belongs into."""
        errands = [
            errand
            for one in found
            for errand in errands_of(one.event, decide(one.event, self._rules), one.milliseconds)
        ]
        if errands:
            await self._store([await self._placed(errand) for errand in errands])

    async def _placed(self, errand: Errand) -> Errand:
        """Return an errand that knows its thread: the lists of notes do not say it."""
        if not isinstance(errand, CommandErrand | HintErrand) or errand.place.discussion_id:
            return errand
        async for discussion in self._gitlab.discussions(errand.ref):
            if any(note.id == errand.place.note_id for note in discussion.notes):
                place = errand.place.model_copy(update={"discussion_id": discussion.id})
                return errand.model_copy(update={"place": place})
        return errand
