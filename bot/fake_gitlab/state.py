"""What a fake GitLab knows: people, projects, merge requests and all that is said in them. Plain values."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from itertools import count

from bot.fake_gitlab.quick_actions import Action
from bot.fake_gitlab.trees import Line, Tree, compare, lines_of
from bot.gitlab import DiffRefs, FileChange


@dataclass(slots=True)
class Account:
    """Somebody with a token."""

    id: int
    username: str
    name: str
    token: str
    bot: bool = False
    scopes: tuple[str, ...] = ("api",)
    expires_at: date | None = None


@dataclass(slots=True)
class StoredNote:
    """One note."""

    id: int
    author: Account
    body: str
    created_at: datetime
    updated_at: datetime
    type: str | None = None  # DiffNote, DiscussionNote
    position: dict[str, object] | None = None
    line_code: str | None = None
    system: bool = False
    internal: bool = False
    resolvable: bool = False
    resolved_by: Account | None = None
    awards: list[tuple[int, str, Account]] = field(default_factory=list)


@dataclass(slots=True)
class Thread:
    """A discussion."""

    id: str
    notes: list[StoredNote]
    individual: bool = False


@dataclass(slots=True)
class Draft:
    """An unpublished note, kept as it was sent."""

    id: int
    author: Account
    body: str
    position: dict[str, object] | None = None
    discussion_id: str | None = None
    resolve: bool = False


@dataclass(frozen=True, slots=True)
class StoredVersion:
    """A state of a merge request's diff."""

    id: int
    refs: DiffRefs
    changes: tuple[FileChange, ...]
    lines: Mapping[str, tuple[Line, ...]]  # by new path
    created_at: datetime


@dataclass(slots=True)
class StoredMergeRequest:
    """A merge request. `late_refs` reads find no diff refs, `stale_reads` the version before the last."""

    iid: int
    title: str
    description: str
    author: Account
    source_branch: str
    target_branch: str
    source_project_id: int
    base_sha: str  # where the source branch left the target branch
    updated_at: datetime
    state: str = "opened"
    draft: bool = False
    reviewers: list[Account] = field(default_factory=list)
    versions: list[StoredVersion] = field(default_factory=list)  # newest last
    threads: list[Thread] = field(default_factory=list)
    drafts: list[Draft] = field(default_factory=list)
    late_refs: int = 0
    stale_reads: int = 0

    @property
    def version(self) -> StoredVersion:
        """The newest version."""
        return self.versions[-1]

    @property
    def notes(self) -> Iterator[StoredNote]:
        """Every note, by thread."""
        for thread in self.threads:
            yield from thread.notes


@dataclass(slots=True)
class StoredHook:
    """A webhook."""

    id: int
    url: str
    token: str
    events: dict[str, bool]
    signing_key: str = ""  # whsec_...


@dataclass(slots=True)
class PackageFile:
    """A file of a generic package."""

    id: int
    name: str
    data: bytes
    created_at: datetime


@dataclass(slots=True)
class Package:
    """A generic package."""

    id: int
    name: str
    version: str
    created_at: datetime
    files: list[PackageFile] = field(default_factory=list)


@dataclass(slots=True)
class StoredProject:
    """A project. A commit is a whole tree."""

    id: int
    path: str
    default_branch: str = "main"
    members: dict[int, int] = field(default_factory=dict)  # user id -> access level
    commits: dict[str, Tree] = field(default_factory=dict)
    branches: dict[str, str] = field(default_factory=dict)
    merge_requests: dict[int, StoredMergeRequest] = field(default_factory=dict)
    hooks: list[StoredHook] = field(default_factory=list)
    statuses: dict[str, list[dict[str, object]]] = field(default_factory=lambda: defaultdict(list))
    packages: list[Package] = field(default_factory=list)
    wiki: dict[str, str] = field(default_factory=dict)  # slug -> content
    uploads: dict[str, bytes] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ToDo:
    """Something that waits for somebody."""

    id: int
    owner: Account
    author: Account
    action: str
    project_id: int
    iid: int
    note_id: int | None
    body: str
    created_at: datetime


@dataclass(slots=True)
class World:
    """All of it, with a clock that never stands still and never shows the same time twice."""

    people: list[Account] = field(default_factory=list)
    projects: dict[int, StoredProject] = field(default_factory=dict)
    todos: list[ToDo] = field(default_factory=list)
    actions: list[tuple[Account, Action]] = field(default_factory=list)  # quick actions that were run
    notifications: int = 0  # messages that an onlooker of all merge requests would have got
    refused: list[str] = field(default_factory=list)  # positions that were not accepted, and why
    ids: Iterator[int] = field(default_factory=lambda: count(1))
    _last: datetime = datetime(2026, 1, 1, tzinfo=UTC)

    def now(self) -> datetime:
        """Return the time, later than any returned before."""
        self._last = max(datetime.now(UTC), self._last + timedelta(milliseconds=1))
        return self._last

    def sha(self) -> str:
        """Return a new commit's name."""
        return hashlib.sha1(f"commit {next(self.ids)}".encode()).hexdigest()

    def by_token(self, token: str) -> Account | None:
        """Return whose token this is."""
        return next((person for person in self.people if token and person.token == token), None)

    def commit(self, project: StoredProject, branch: str, files: Mapping[str, str | bytes]) -> str:
        """Make `files` the whole content of a branch and return the commit."""
        sha = self.sha()
        tree = {path: text.encode() if isinstance(text, str) else text for path, text in files.items()}
        project.commits[sha] = tree
        project.branches[branch] = sha
        return sha

    def add_version(self, project: StoredProject, mr: StoredMergeRequest) -> StoredVersion:
        """Give a merge request the diff between its branches as they are now."""
        source = self.projects[mr.source_project_id]
        start, head = project.branches[mr.target_branch], source.branches[mr.source_branch]
        old, new = project.commits[mr.base_sha], source.commits[head]
        changes = tuple(compare(old, new))
        lines = {change.new_path: tuple(lines_of(old, new, change)) for change in changes}
        refs = DiffRefs(mr.base_sha, start, head)
        version = StoredVersion(next(self.ids), refs, changes, lines, self.now())
        mr.versions.append(version)
        mr.updated_at = version.created_at
        return version
