"""Writing of notes, discussions and drafts in the fake: quick actions, positions, events."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass

from markdown_it import MarkdownIt

from bot.fake_gitlab import positions
from bot.fake_gitlab.quick_actions import Action, extract
from bot.fake_gitlab.requests import Failure, not_found
from bot.fake_gitlab.shapes import Position
from bot.fake_gitlab.state import (
    Account,
    Draft,
    StoredMergeRequest,
    StoredNote,
    StoredProject,
    Thread,
    ToDo,
    World,
)
from bot.fake_gitlab.webhooks import Webhooks

_MARKDOWN = MarkdownIt("commonmark", {"html": True}).enable("table")


class OnlyActions(Exception):
    """The text held nothing but quick actions: they were run, and there is no note."""

    def __init__(self, actions: tuple[Action, ...]) -> None:
        self.actions = actions
        super().__init__("only quick actions")


@dataclass(frozen=True, slots=True)
class Writing:
    """One person's pen in one merge request."""

    world: World
    webhooks: Webhooks
    project: StoredProject
    mr: StoredMergeRequest
    author: Account
    files_can_be_named: bool = True

    def note(self, body: str, *, internal: bool = False, notify: bool = True) -> tuple[Thread, StoredNote]:
        """Add a note of its own."""
        note = self._new_note(body, internal=internal)
        return self._added(self._thread([note], individual=True), note, notify)

    def discussion(
        self, body: str, position: Position | None, *, notify: bool = True
    ) -> tuple[Thread, StoredNote]:
        """Open a thread; raises Failure 400 where the position is not taken."""
        line_code = self.check(position)
        note = self._new_note(body)
        note.resolvable = True
        note.type = "DiffNote" if position else "DiscussionNote"
        note.position = position.model_dump(exclude_unset=True) if position else None
        note.line_code = line_code
        return self._added(self._thread([note]), note, notify)

    def reply(self, thread: Thread, body: str, *, notify: bool = True) -> StoredNote:
        """Add a note to a thread; a single note becomes a thread by it."""
        first = thread.notes[0]
        note = self._new_note(body, internal=first.internal)
        thread.individual = False
        note.type = first.type or "DiscussionNote"
        note.resolvable = True
        note.position, note.line_code = first.position, first.line_code
        thread.notes.append(note)
        return self._told(thread, note, notify)

    def edit(self, thread: Thread, note: StoredNote, body: str) -> StoredNote:
        """Replace the text of a note, which runs its quick actions too."""
        text = self._run(body)
        if text != note.body:
            note.body, note.updated_at = text, self.world.now()
            self.mr.updated_at = note.updated_at
            self.webhooks.note(self.project, self.mr, thread.id, note, "update")
        return note

    def resolve(self, thread: Thread, resolved: bool) -> None:
        """Settle a thread or open it again."""
        for note in thread.notes:
            if note.resolvable:
                note.resolved_by = self.author if resolved else None

    def publish(self) -> None:
        """Publish all of the author's drafts; one whose position is not taken is lost, as on a server."""
        mine = [draft for draft in self.mr.drafts if draft.author is self.author]
        self.mr.drafts = [draft for draft in self.mr.drafts if draft.author is not self.author]
        for draft in mine:
            self._publish(draft)
        self.world.notifications += bool(mine)

    def check(self, position: Position | None) -> str | None:
        """Return the line code of a position; raises Failure 400 where it is not taken."""
        if position is None:
            return None
        try:
            return positions.check(self.mr, position, files_can_be_named=self.files_can_be_named)
        except positions.Refusal as refusal:
            self.world.refused.append(refusal.reason)
            raise Failure(400, {"message": refusal.message}) from refusal

    def thread_of(self, note_id: int) -> tuple[Thread, StoredNote]:
        """Return a note with its thread; raises Failure 404."""
        for thread in self.mr.threads:
            for note in thread.notes:
                if note.id == note_id:
                    return thread, note
        raise not_found()

    def _publish(self, draft: Draft) -> None:
        try:
            if draft.discussion_id is not None:
                thread = next(thread for thread in self.mr.threads if thread.id == draft.discussion_id)
                self.reply(thread, draft.body, notify=False)
                return
            position = Position.model_validate(draft.position) if draft.position else None
            if position is not None:
                self.discussion(draft.body, position, notify=False)
            else:
                self.note(draft.body, notify=False)
        except (Failure, OnlyActions, StopIteration):
            return

    def _thread(self, notes: list[StoredNote], *, individual: bool = False) -> Thread:
        digest = hashlib.sha1(f"discussion {notes[0].id}".encode()).hexdigest()
        return Thread(digest, notes, individual)

    def _new_note(self, body: str, *, internal: bool = False) -> StoredNote:
        text = self._run(body)
        now = self.world.now()
        return StoredNote(next(self.world.ids), self.author, text, now, now, internal=internal)

    def _run(self, body: str) -> str:
        text, actions = extract(body)
        self.world.actions += [(self.author, action) for action in actions]
        if not text:
            raise OnlyActions(actions)
        return text

    def _added(self, thread: Thread, note: StoredNote, notify: bool) -> tuple[Thread, StoredNote]:
        self.mr.threads.append(thread)
        return thread, self._told(thread, note, notify)

    def _told(self, thread: Thread, note: StoredNote, notify: bool) -> StoredNote:
        self.mr.updated_at = note.created_at
        self.world.notifications += notify
        said = _text_of(note.body)
        for person in self.world.people:
            if person is not self.author and re.search(rf"@{re.escape(person.username)}\b", said):
                self.world.todos.append(
                    ToDo(
                        next(self.world.ids),
                        person,
                        self.author,
                        "directly_addressed" if note.body.startswith("@") else "mentioned",
                        self.project.id,
                        self.mr.iid,
                        note.id,
                        note.body,
                        note.created_at,
                    )
                )
        self.webhooks.note(self.project, self.mr, thread.id, note, "create")
        return note


def _text_of(body: str) -> str:
    """Return what is neither code nor HTML: only there a mention calls somebody."""
    inlines = (child for token in _MARKDOWN.parse(body) for child in token.children or ())
    return "\n".join(child.content for child in inlines if child.type == "text")
