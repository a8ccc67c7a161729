"""The notes of a retraining: one that is edited while it goes on, and one that says what came of it.

Both are in the thread that asked, or by themselves in the merge request of a nightly one. Each is known by
its marker, so that none is written twice.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import suppress

import structlog

from bot.errors import GitLabRefused, GitLabUnavailable, NotFound
from bot.gitlab import GitLab, Note
from bot.markers import Marker, MarkerKind, marked, marker_of
from bot.retrain_jobs import RetrainJob
from bot.retrain_view import progress_text
from engine.retraining import RunStatus

FIRST_PAUSE = 5.0
_LONGEST_PAUSE = 60.0
_log = structlog.get_logger()


class RetrainNotes:
    """Writes the notes of one job; each method leaves the same behind when done twice."""

    def __init__(self, gitlab: GitLab, job: RetrainJob) -> None:
        self._gitlab, self._job = gitlab, job

    async def progress(self, text: str) -> None:
        """Say how far it is, in the one note for that. It is a courtesy: where GitLab refuses, nothing."""
        with suppress(GitLabRefused):
            await self._write(Marker(MarkerKind.TRAINING, self._job.short), text)

    async def result(self, text: str) -> None:
        """Say what came of it, once; where the merge request is gone, nothing."""
        with suppress(NotFound):
            await self._write(Marker(MarkerKind.TRAINING, f"{self._job.short}-result"), text, edit=False)

    async def react(self, name: str) -> None:
        """Put an emoji on the asking note. A courtesy as well."""
        if self._job.asked is not None and self._job.ref is not None:
            with suppress(GitLabRefused):
                await self._gitlab.react(self._job.ref, self._job.asked.note_id, name)

    async def _write(self, marker: Marker, text: str, *, edit: bool = True) -> None:
        ref, asked = self._job.ref, self._job.asked
        if ref is None:
            return
        body = marked(text, marker)
        found = await self._find(marker)
        if found is not None:
            if edit and found.body != body:
                await self._gitlab.edit_note(ref, found.id, body)
        elif asked is not None and asked.discussion_id:
            await self._gitlab.reply(ref, asked.discussion_id, body)
        else:
            await self._gitlab.create_note(ref, body, internal=asked.internal if asked else False)

    async def _find(self, marker: Marker) -> Note | None:
        me = (await self._gitlab.me()).id
        async for note in self._around():
            if note.author_id == me and marker_of(note.body) == marker:
                return note
        return None

    async def _around(self) -> AsyncIterator[Note]:
        ref, asked = self._job.ref, self._job.asked
        assert ref is not None
        if asked is not None and asked.discussion_id:
            for note in (await self._gitlab.discussion(ref, asked.discussion_id)).notes:
                yield note
            return
        async for note in self._gitlab.notes(ref):
            yield note


class Ticker:
    """Shows how far it is: few edits, each further from the last, until another stage begins."""

    def __init__(self, notes: RetrainNotes, job: RetrainJob, first_pause: float = FIRST_PAUSE) -> None:
        self._notes, self._job = notes, job
        self._first = self._pause = first_pause
        self._next = time.monotonic()
        self._stage: object = None

    async def show(self, status: RunStatus) -> None:
        """Edit the note, if it is time to."""
        now = time.monotonic()
        if now < self._next:
            return
        if status.stage is not self._stage:
            self._stage, self._pause = status.stage, self._first
        self._next = now + self._pause
        self._pause = min(2 * self._pause, _LONGEST_PAUSE)
        try:
            await self._notes.progress(progress_text(status, self._job.language))
        except GitLabUnavailable as error:
            # GitLab may be back for the next one; training goes on meanwhile.
            _log.warning("retrain.progress_not_shown", error=type(error).__name__)
