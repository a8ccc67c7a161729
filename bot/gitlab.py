"""What the bot needs of GitLab: values and one Protocol. No I/O; `bot.gitlab_client` has the real thing.

A write that is to happen once carries a marker in the last line of its body (`bot.markers`): where an
answer is lost, the implementation looks for the marker before it writes again. A note without one is never
written twice; it fails with GitLabUnavailable instead.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import IntEnum, StrEnum
from typing import Protocol

StillCurrent = Callable[[], Awaitable[bool]]
"""Whether the work is still wanted; asked before every write."""


class Access(IntEnum):
    """Roles in a project, compared with >=. A server may know more: 15 planner, 25 security manager."""

    NONE = 0
    MINIMAL = 5
    GUEST = 10
    REPORTER = 20
    DEVELOPER = 30
    MAINTAINER = 40
    OWNER = 50


@dataclass(frozen=True, slots=True)
class MergeRequestRef:
    """Which merge request."""

    project_id: int
    iid: int

    def __str__(self) -> str:
        return f"{self.project_id}!{self.iid}"


@dataclass(frozen=True, slots=True)
class User:
    """Who somebody is. `bot` where GitLab says that it is a bot's account."""

    id: int
    username: str
    name: str = ""
    bot: bool = False


@dataclass(frozen=True, slots=True)
class Token:
    """The token the bot itself uses."""

    name: str
    scopes: tuple[str, ...]
    expires_at: date | None  # None: never
    active: bool = True

    def days_left(self, today: date) -> int | None:
        """Return how many days it will still be valid, None for ever."""
        return None if self.expires_at is None else (self.expires_at - today).days


@dataclass(frozen=True, slots=True)
class Project:
    """Where merge requests are."""

    id: int
    path: str  # group/name
    web_url: str
    default_branch: str  # "" in an empty repository
    archived: bool = False


@dataclass(frozen=True, slots=True)
class DiffRefs:
    """The commits that positions in a diff refer to."""

    base_sha: str
    start_sha: str
    head_sha: str


@dataclass(frozen=True, slots=True)
class MergeRequest:
    """A merge request as it stands. `diff_refs` is None until GitLab has prepared its first diff."""

    project_id: int
    iid: int
    title: str
    description: str
    state: str  # opened, closed, locked, merged
    draft: bool
    author_id: int
    source_branch: str
    target_branch: str
    source_project_id: int
    target_project_id: int
    web_url: str
    head_sha: str
    diff_refs: DiffRefs | None
    head_pipeline_id: int | None = None
    updated_at: datetime | None = None
    labels: tuple[str, ...] = ()
    reviewer_ids: tuple[int, ...] = ()

    @property
    def ref(self) -> MergeRequestRef:
        """Which merge request this is."""
        return MergeRequestRef(self.project_id, self.iid)

    @property
    def is_open(self) -> bool:
        """Whether its changes may still be reviewed."""
        return self.state == "opened"

    @property
    def is_from_fork(self) -> bool:
        """Whether the source branch is in another project."""
        return self.source_project_id != self.target_project_id


@dataclass(frozen=True, slots=True)
class Version:
    """A state of a merge request's diff; each push makes one."""

    id: int
    refs: DiffRefs
    state: str  # "collected" once its diff is there
    created_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class FileChange:
    """The change of one file as GitLab's diffs give it: hunks without a header."""

    old_path: str
    new_path: str
    diff: str
    old_mode: str = "100644"
    new_mode: str = "100644"
    new_file: bool = False
    renamed_file: bool = False
    deleted_file: bool = False
    generated_file: bool = False
    collapsed: bool = False  # the diff was left out; the file can be commented by line
    too_large: bool = False  # the diff was left out; the file cannot be commented by line


class PositionType(StrEnum):
    """What a position names."""

    TEXT = "text"
    FILE = "file"  # the file as a whole, since GitLab 16.4


@dataclass(frozen=True, slots=True)
class RangeEnd:
    """The first or last line of a range. GitLab does not check the code: a wrong one shows elsewhere."""

    line_code: str  # sha1(path)_old_new
    type: str  # "new" for an added line, else "old"
    old_line: int | None
    new_line: int | None


@dataclass(frozen=True, slots=True)
class Position:
    """Where in a diff a discussion is. Made by `bot.positions`."""

    refs: DiffRefs
    old_path: str
    new_path: str
    type: PositionType = PositionType.TEXT
    old_line: int | None = None
    new_line: int | None = None
    start: RangeEnd | None = None  # both ends of a range of lines, or neither
    end: RangeEnd | None = None


@dataclass(frozen=True, slots=True)
class Note:
    """One message. `position` is None where it is about no line."""

    id: int
    author_id: int
    body: str
    system: bool = False
    internal: bool = False
    resolvable: bool = False
    resolved: bool = False
    resolved_by: int | None = None
    author_username: str = ""
    created_at: datetime | None = None
    updated_at: datetime | None = None
    position: Position | None = None
    discussion_id: str = ""  # "" where GitLab did not say


@dataclass(frozen=True, slots=True)
class Discussion:
    """A thread, or a single note where `individual_note`."""

    id: str
    notes: tuple[Note, ...]
    individual_note: bool = False

    @property
    def resolvable(self) -> bool:
        """Whether somebody can mark it as settled."""
        return any(note.resolvable for note in self.notes)

    @property
    def resolved(self) -> bool:
        """Whether everything in it that can be settled is."""
        return self.resolvable and all(note.resolved for note in self.notes if note.resolvable)


@dataclass(frozen=True, slots=True)
class DraftNote:
    """A note that only its author sees until it is published."""

    id: int
    body: str
    discussion_id: str | None = None  # set on a reply


@dataclass(frozen=True, slots=True)
class Reaction:
    """An emoji somebody put on a note."""

    id: int
    name: str  # thumbsup, eyes...
    user_id: int


@dataclass(frozen=True, slots=True)
class Todo:
    """Something GitLab keeps for the bot to look at; `note_id` is None where it is about no note."""

    id: int
    action: str  # mentioned, directly_addressed, review_requested, assigned...
    author_id: int
    ref: MergeRequestRef
    note_id: int | None
    body: str
    created_at: datetime | None


class StatusState(StrEnum):
    """What a commit status says; there is no "error"."""

    PENDING = "pending"
    RUNNING = "running"
    SUCCESS = "success"
    FAILED = "failed"
    CANCELED = "canceled"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class CommitStatus:
    """A commit status to set; texts are cut to what GitLab takes."""

    state: StatusState
    name: str
    description: str = ""
    target_url: str = ""
    ref: str = ""
    pipeline_id: int | None = None


@dataclass(frozen=True, slots=True)
class Hook:
    """A webhook of a project. `events` are names such as note_events."""

    id: int
    url: str
    events: Mapping[str, bool] = field(default_factory=dict)
    alert_status: str = "executable"  # or disabled, temporarily_disabled


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
