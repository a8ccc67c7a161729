"""What GitLab has, as values: merge requests, notes, positions... Imported by way of `bot.gitlab`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import IntEnum, StrEnum


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
