"""How far a review is, in the note where its summary will be. Few edits, each further from the last.

What the note said before stays below, so that a review that comes to nothing loses nothing.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import structlog

from bot.errors import BotError
from bot.gitlab import GitLab, MergeRequestRef
from bot.markers import SUMMARY, marked
from bot.publish import find_summary
from bot.run_texts import RUN_TEXTS
from engine.review import Progress
from engine.wire import Language

FIRST_SECONDS = 5.0
"""A review that is done sooner shows no progress."""

_CELLS = 20
_LONGEST_PAUSE = 60.0
_SEPARATOR = "\n\n<!-- tenken-progress -->\n\n"
_log = structlog.get_logger()


class ProgressNote:
    """Shows how far a review is."""

    def __init__(
        self, gitlab: GitLab, ref: MergeRequestRef, language: Language, first_seconds: float = FIRST_SECONDS
    ) -> None:
        self._gitlab = gitlab
        self._ref = ref
        self._language = language
        self._first_seconds = first_seconds
        self._latest: Progress | None = None
        self._started = time.monotonic()
        self._done = asyncio.Event()

    def update(self, progress: Progress) -> None:
        """Keep how far the review is; may be called from any thread."""
        self._latest = progress

    @asynccontextmanager
    async def shown(self) -> AsyncIterator[None]:
        """Show progress while inside. An edit that is under way on leaving is waited for, never cut off."""
        task = asyncio.create_task(self._run(), name="progress")
        try:
            yield
        finally:
            self._done.set()
            await task

    async def _run(self) -> None:
        pause = self._first_seconds
        while not await self._is_done(pause):
            try:
                await show(self._gitlab, self._ref, self._text())
            except BotError as error:
                # A courtesy: where GitLab does not take it, there is none.
                _log.warning("progress.not_shown", mr=str(self._ref), error=type(error).__name__)
                return
            pause = min(2 * pause, _LONGEST_PAUSE)

    async def _is_done(self, seconds: float) -> bool:
        try:
            async with asyncio.timeout(seconds):
                return await self._done.wait()
        except TimeoutError:
            return False

    def _text(self) -> str:
        return progress_text(self._latest, time.monotonic() - self._started, self._language)


async def show(gitlab: GitLab, ref: MergeRequestRef, text: str) -> None:
    """Write `text` above what the summary says; "" takes away what was written so."""
    note = await find_summary(gitlab, ref, (await gitlab.me()).id)
    if note is None:
        if text:
            await gitlab.create_note(ref, marked(f"{text}{_SEPARATOR}", SUMMARY))
        return
    before = note.body.partition(_SEPARATOR)[2] or note.body
    if not _says_something(before):
        if not text:
            await gitlab.delete_note(ref, note.id)
            return
        before = marked("", SUMMARY).lstrip()
    body = f"{text}{_SEPARATOR}{before}" if text else before
    if body != note.body:
        await gitlab.edit_note(ref, note.id, body)


def progress_text(progress: Progress | None, seconds: float, language: Language) -> str:
    """Return a bar, what is done, and how long the rest will take at the speed so far."""
    texts = RUN_TEXTS[language]
    if progress is None:
        return f"⏳ {texts.waiting}"
    if progress.lines_done >= progress.lines:
        return f"⏳ `{bar(1)}` {texts.publishing}"
    share = progress.lines_done / progress.lines
    stage = texts.reading.format(done=progress.files_done, files=progress.files)
    rest = f" · {_eta(seconds * (1 - share) / share, language)}" if share else ""
    return f"⏳ `{bar(share)}` {stage}{rest}"


def bar(share: float) -> str:
    """Return a bar that is full at 1."""
    full = round(share * _CELLS)
    return "█" * full + "░" * (_CELLS - full)


def _eta(seconds: float, language: Language) -> str:
    texts = RUN_TEXTS[language]
    if seconds < 90:
        return texts.eta_seconds.format(seconds=max(5, round(seconds / 5) * 5))
    return texts.eta_minutes.format(minutes=round(seconds / 60))


def _says_something(body: str) -> bool:
    return bool(body.replace(str(SUMMARY), "").strip())
