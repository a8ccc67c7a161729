"""What the bot needs of GitLab: a Protocol, and its values (`bot.gitlab_values`), imported from here.

No I/O; `bot.gitlab_client` has the real thing. A write that is to happen once carries a marker in the last
line of its body (`bot.markers`): where an answer is lost, the implementation looks for the marker before it
writes again. A note without one is never written twice; it fails with GitLabUnavailable instead.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from datetime import datetime
from typing import Protocol

from bot.gitlab_values import (
    Access,
    CommitStatus,
    DiffRefs,
    Discussion,
    DraftNote,
    FileChange,
    Hook,
    MergeRequest,
    MergeRequestRef,
    Note,
    Position,
    PositionType,
    Project,
    RangeEnd,
    Reaction,
    StatusState,
    Todo,
    Token,
    User,
    Version,
)

__all__ = [
    "Access",
    "CommitStatus",
    "DiffRefs",
    "Discussion",
    "DraftNote",
    "FileChange",
    "GitLab",
    "Hook",
    "MergeRequest",
    "MergeRequestRef",
    "Note",
    "Position",
    "PositionType",
    "Project",
    "RangeEnd",
    "Reaction",
    "StatusState",
    "StillCurrent",
    "Todo",
    "Token",
    "User",
    "Version",
]

StillCurrent = Callable[[], Awaitable[bool]]
"""Whether the work is still wanted; asked before every write."""


class GitLab(Protocol):
    """A GitLab server, seen with the bot's token.

    Every method raises GitLabUnavailable, GitLabRefused or one of their kinds (`bot.errors`). Iterators ask
    for further pages as they are used.
    """

    def guarded(self, still_current: StillCurrent) -> GitLab:
        """Return the same server, whose every write, and repetition of one, first asks `still_current`.

        Where that says no, the write is not sent and Superseded is raised.
        """

    async def close(self) -> None:
        """Give up connections and threads. Idempotent."""

    async def me(self) -> User:
        """Return the bot's own account."""

    async def version(self) -> str:
        """Return the server's version, such as 18.4.2."""

    async def token(self) -> Token:
        """Return what GitLab says about the bot's token."""

    async def user(self, username: str) -> User:
        """Return the account with this name."""

    async def project(self, project: int | str) -> Project:
        """Return the project with this id or path."""

    def group_projects(self, group: str) -> AsyncIterator[Project]:
        """Yield the projects of a group and of those below it, without archived ones."""

    async def access_level(self, project_id: int, user_id: int) -> int:
        """Return the user's role in the project, inherited ones too; Access.NONE for whoever is no member."""

    async def merge_request(self, ref: MergeRequestRef) -> MergeRequest:
        """Return the merge request as it stands."""

    def open_merge_requests(
        self, project_id: int, updated_after: datetime | None = None
    ) -> AsyncIterator[MergeRequest]:
        """Yield open merge requests, the one updated longest ago first."""

    async def versions(self, ref: MergeRequestRef) -> tuple[Version, ...]:
        """Return the versions of the diff, newest first."""

    async def diffs(self, ref: MergeRequestRef) -> tuple[FileChange, ...]:
        """Return every changed file of the newest version."""

    async def raw_file(self, project_id: int, path: str, ref: str, max_bytes: int | None = None) -> bytes:
        """Return a file of the repository at a commit or branch; GitLabRefused (413) if it is larger."""

    def discussions(self, ref: MergeRequestRef) -> AsyncIterator[Discussion]:
        """Yield all discussions, the oldest first, system notes too."""

    async def discussion(self, ref: MergeRequestRef, discussion_id: str) -> Discussion:
        """Return one discussion."""

    def notes(self, ref: MergeRequestRef) -> AsyncIterator[Note]:
        """Yield the comments of a merge request, the one updated last first, without system notes."""

    async def note(self, ref: MergeRequestRef, note_id: int) -> Note:
        """Return one note."""

    async def create_note(self, ref: MergeRequestRef, body: str, *, internal: bool = False) -> Note:
        """Add a note of its own."""

    async def edit_note(self, ref: MergeRequestRef, note_id: int, body: str) -> Note:
        """Replace the text of an own note."""

    async def delete_note(self, ref: MergeRequestRef, note_id: int) -> None:
        """Remove an own note; one that is gone already is fine."""

    async def reply(self, ref: MergeRequestRef, discussion_id: str, body: str) -> Note:
        """Add a note to a discussion; in an internal one it is internal."""

    async def create_discussion(
        self, ref: MergeRequestRef, body: str, position: Position | None = None
    ) -> Discussion:
        """Open a thread, at a position if one is given."""

    async def resolve(self, ref: MergeRequestRef, discussion_id: str, resolved: bool = True) -> None:
        """Mark a thread as settled, or as open again."""

    async def drafts(self, ref: MergeRequestRef) -> tuple[DraftNote, ...]:
        """Return the bot's own unpublished notes."""

    async def create_draft(
        self, ref: MergeRequestRef, body: str, position: Position | None = None
    ) -> DraftNote:
        """Add an unpublished note."""

    async def delete_draft(self, ref: MergeRequestRef, draft_id: int) -> None:
        """Remove an unpublished note; one that is gone already is fine."""

    async def publish_drafts(self, ref: MergeRequestRef) -> None:
        """Publish all of the bot's unpublished notes at once: one notification for all of them.

        Not repeated here: where the answer is lost, look which drafts are left.
        """

    async def react(self, ref: MergeRequestRef, note_id: int, name: str) -> None:
        """Put an emoji on a note; one that is there already is fine."""

    async def unreact(self, ref: MergeRequestRef, note_id: int, name: str) -> None:
        """Take the bot's own emoji off a note; one that is gone already is fine."""

    async def reactions(self, ref: MergeRequestRef, note_id: int) -> tuple[Reaction, ...]:
        """Return the emoji on a note."""

    async def set_status(self, project_id: int, sha: str, status: CommitStatus) -> None:
        """Set a commit status; repeating the state it has is fine."""

    async def upload(self, project_id: int, name: str, data: bytes) -> str:
        """Put a file into a project, and return its address for Markdown there; twice is two files."""

    def todos(self) -> AsyncIterator[Todo]:
        """Yield what waits for the bot in merge requests, the newest first."""

    async def mark_todo_done(self, todo_id: int) -> None:
        """Take one off the list; one that is gone already is fine."""

    async def hooks(self, project_id: int) -> tuple[Hook, ...]:
        """Return the webhooks of a project; needs Maintainer."""

    async def create_hook(
        self, project_id: int, url: str, secret: str, events: Mapping[str, bool], *, verify_tls: bool = True
    ) -> Hook:
        """Add a webhook to a project; needs Maintainer."""
