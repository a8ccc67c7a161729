"""What a person does with a finding: hide it, call it wrong, take that back, have it explained, copy it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from engine.errors import TenkenError
from engine.feedback import Feedback, FeedbackSource, FeedbackVerdict
from engine.lifecycle import DEFAULT_PROJECT
from engine.runners import Cancellation
from engine.sanitize import plain, prose
from engine.wire import Answer, Question
from lsp import hovers
from lsp.background import in_thread
from lsp.client import Tone
from lsp.lines import content
from lsp.placing import Placed
from lsp.reviewer import Wish
from lsp.session import Session
from lsp.threads import find_thread
from lsp.verdicts import Verdicts, WrongReason

_AROUND = 60  # lines that are offered before and after those that are meant; the engine takes what fits
_LONGEST_REASON = 2000
_ASK_SECONDS = 180.0


class Remarks:
    """The commands about one finding."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._desk = session.desk
        self._undoable: list[tuple[Path, str]] = []

    def dismiss(self, uri: str, fingerprint: str) -> None:
        """Hide a finding on this machine."""

        def hide(verdicts: Verdicts, adapter: str) -> None:
            verdicts.hide_here(fingerprint)

        self._said(uri, fingerprint, hide, self._desk.texts.hidden_here)

    def wont_fix(self, uri: str, fingerprint: str, reason: str = "") -> None:
        """Hide a finding for the team."""
        said = partial(_say, fingerprint, FeedbackVerdict.DISMISSED, reason)
        self._said(uri, fingerprint, said, self._desk.texts.hidden_team)

    async def wrong(self, uri: str, fingerprint: str, reason: WrongReason | None, comment: str = "") -> None:
        """Hide a finding for the team because it is wrong; without a reason, somebody is asked for it."""
        if reason is None:
            if self._known(uri, fingerprint) is None:
                return
            texts, reasons = self._desk.texts, list(WrongReason)
            chosen = await self._desk.client.choose(
                texts.wrong_ask, [texts.wrong_reason[reason] for reason in reasons]
            )
            if chosen is None:
                return
            reason = reasons[chosen]
        words = f"{reason.value}: {comment}" if comment else reason.value
        said = partial(_say, fingerprint, FeedbackVerdict.WRONG, words)
        self._said(uri, fingerprint, said, self._desk.texts.hidden_wrong)

    def applied(self, uri: str, fingerprint: str) -> None:
        """Take down that a suggestion was taken. The finding is gone by now: its lines were edited."""
        path = self._session.workspace.path_of(uri)
        if path is not None and (verdicts := self._desk.verdicts_of(path)) is not None:
            adapter = self._desk.board.adapter(path)
            self._keep(partial(_say, fingerprint, FeedbackVerdict.APPLIED, "", verdicts, adapter))

    def undo(self, uri: str | None, fingerprint: str | None) -> None:
        """Take back a dismissal, the latest if none is named."""
        desk = self._desk
        path = self._session.workspace.path_of(uri) if uri else None
        found = [(p, f) for p, f in self._undoable if path in (None, p) and fingerprint in (None, f)]
        if not found and path is not None and fingerprint is not None:
            found = [(path, fingerprint)]  # one of an earlier session
        if not found or (verdicts := self._desk.verdicts_of(found[-1][0])) is None:
            desk.say(Tone.INFO, desk.texts.nothing_to_undo)
            return
        at, mark = found[-1]
        self._undoable = [entry for entry in self._undoable if entry != (at, mark)]
        back = _feedback(verdicts, mark, FeedbackVerdict.ACCEPTED, "", desk.board.adapter(at))
        undone: list[bool] = []
        if self._keep(lambda: undone.append(verdicts.undo(mark, back))):
            desk.refresh(at)
            desk.say(Tone.INFO, desk.texts.brought_back if undone[0] else desk.texts.nothing_to_undo)

    async def explain(self, uri: str, fingerprint: str) -> dict[str, object] | None:
        """Return the engine's explanation of a finding, or None, after a message that says why."""
        if (known := self._known(uri, fingerprint)) is None:
            return None
        desk, (path, placed) = self._desk, known
        try:
            answer = await self._asked(self._question(path, placed))
        except (TenkenError, TimeoutError, ValidationError) as error:  # the last: lines too long to ask about
            text = desk.describe(error) if isinstance(error, TenkenError) else desk.texts.no_answer
            desk.say(Tone.ERROR, text)
            return None
        if answer is None:
            desk.say(Tone.WARNING, desk.texts.no_answer)
            return None
        cut = f"\n\n*{desk.texts.answer_cut}*" if answer.truncated else ""
        finding = placed.finding
        title = f"**{hovers.heading(finding, desk.language)}**"
        markdown = f"{title}\n\n> {prose(finding.message)}\n\n{prose(answer.text)}{cut}\n"
        return {"title": desk.texts.explain_title, "markdown": markdown}

    def prompt(self, uri: str, fingerprint: str) -> dict[str, object] | None:
        """Return a finding as a prompt for an assistant."""
        if (known := self._known(uri, fingerprint)) is None:
            return None
        _, placed = known
        return {"text": hovers.prompt(placed.finding, placed.first, placed.last, self._desk.language)}

    async def open_thread(self, uri: str, thread: str) -> dict[str, object] | None:
        """Open a thread that is shown; return its address, or None after a message."""
        path = self._session.workspace.path_of(uri)
        placed = self._desk.threads.find(path, thread) if path else None
        if placed is None:
            self._desk.say(Tone.INFO, self._desk.texts.gone)
            return None
        return await self._opened(placed.thread.url)

    async def open_thread_about(self, uri: str, fingerprint: str) -> dict[str, object] | None:
        """Open the merge request's thread about a finding; return its address, or None after a message."""
        desk = self._desk
        known, reviewers = self._known(uri, fingerprint), self._session.reviewers_of(uri)
        if known is None or not reviewers:
            return None
        if not desk.settings.gitlab_url:
            desk.say(Tone.INFO, desk.texts.no_gitlab)
            return None
        if url := desk.threads.about(known[0], fingerprint):
            return await self._opened(url)
        root = reviewers[0].repository.root
        try:
            found = await in_thread(partial(find_thread, root, fingerprint, desk.gitlab))
        except TenkenError as error:
            desk.say(Tone.ERROR, str(error))
            return None
        if found is None:
            desk.say(Tone.INFO, desk.texts.no_thread)
            return None
        return await self._opened(found)

    async def _opened(self, url: str) -> dict[str, object]:
        desk = self._desk
        if not await desk.client.open(url):
            desk.say(Tone.INFO, desk.texts.thread_at.format(url=url))
        return {"url": url}

    async def _asked(self, question: Question) -> Answer | None:
        """Return the answer. Where the engine does one thing at a time, reviews wait for it."""
        paused = [r for r in self._session.reviewers.values() if r.run and self._desk.care.is_shared]
        for reviewer in paused:
            await reviewer.stop()
        cancellation = Cancellation()
        try:
            async with asyncio.timeout(_ASK_SECONDS):
                care = self._desk.care
                return await in_thread(lambda: care.get().ask(question, cancellation=cancellation), "ask")
        finally:
            cancellation.cancel()
            for reviewer in paused:
                reviewer.wish(Wish())

    def _question(self, path: Path, placed: Placed) -> Question:
        document = self._session.workspace.at(path)
        lines = [content(line) for line in document.lines] if document else placed.finding.code.split("\n")
        first = placed.first if document else 0
        last = first + placed.last - placed.first
        start = max(0, first - _AROUND)
        verdicts = self._desk.verdicts_of(path)
        return Question(
            question=self._desk.texts.explain_question,
            path=placed.finding.path,
            code="\n".join(lines[start : last + _AROUND + 1]),
            first_line=start + 1,
            lines=(first + 1, last + 1),
            finding=plain(placed.finding.message)[:4000],
            language=self._desk.language,
            project=verdicts.project if verdicts else "",
        )

    def _known(self, uri: str, fingerprint: str) -> tuple[Path, Placed] | None:
        path = self._session.workspace.path_of(uri)
        placed = self._desk.board.find(path, fingerprint) if path else None
        if path is None or placed is None:
            self._desk.say(Tone.INFO, self._desk.texts.gone)
            return None
        return path, placed

    def _said(self, uri: str, fingerprint: str, keep: Callable[[Verdicts, str], None], text: str) -> None:
        """Keep what was said of a finding, hide it, and say so."""
        if (known := self._known(uri, fingerprint)) is None:
            return
        path, _ = known
        verdicts = self._desk.verdicts_of(path)
        if verdicts is not None and self._keep(partial(keep, verdicts, self._desk.board.adapter(path))):
            self._undoable.append((path, fingerprint))
            self._desk.refresh(path)
            self._desk.say(Tone.INFO, text)

    def _keep(self, keep: Callable[[], Any]) -> bool:
        """Do what writes a small file; return whether that went well."""
        try:
            keep()
        except OSError as error:
            reason = error.strerror or type(error).__name__
            self._desk.say(Tone.ERROR, self._desk.texts.not_kept.format(reason=reason))
            return False
        self._session.changed()
        self._session.tasks.start(self._session.tell(), "telling")
        return True


def _say(fingerprint: str, verdict: FeedbackVerdict, reason: str, verdicts: Verdicts, adapter: str) -> None:
    verdicts.say(_feedback(verdicts, fingerprint, verdict, reason, adapter))


def _feedback(
    verdicts: Verdicts, fingerprint: str, verdict: FeedbackVerdict, reason: str, adapter: str
) -> Feedback:
    return Feedback(
        fingerprint=fingerprint,
        verdict=verdict,
        project=verdicts.project or DEFAULT_PROJECT,
        adapter=adapter[:80],
        source=FeedbackSource.EDITOR,
        reason=reason[:_LONGEST_REASON],
    )
