"""A branch in a real repository, and its merge request in a fake GitLab with threads on its lines."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from git_repository import Repository

from bot.fake_gitlab import Account, FakeGitLab, StoredMergeRequest, StoredProject
from bot.fake_gitlab.shapes import Position
from bot.fake_gitlab.state import Thread

BEFORE = "x = 1\ny = 2\n"
AFTER = "x = 1\nz = eval(x)\ny = 2\n"


@dataclass(slots=True)
class Branch:
    """What a test needs at hand."""

    repository: Repository
    fake: FakeGitLab
    project: StoredProject
    mr: StoredMergeRequest
    reader: Account  # whose token the editor has

    @property
    def app(self) -> Path:
        """The file that the branch changes."""
        return self.repository.root / "app.py"

    @property
    def settings(self) -> dict[str, object]:
        """What the reader's editor has to know; there is no engine."""
        gitlab = {"gitlabUrl": self.fake.url, "gitlabToken": self.reader.token}
        return {**gitlab, "threads": True, "embedded": False}

    def discuss(self, text: str, line: int | None = 2, by: Account | None = None) -> Thread:
        """Open a thread on a line of the file as it was pushed, or one about no line."""
        pen = self.fake.as_person(by or self.mr.author, self.project, self.mr)
        refs, old = self.mr.version.refs, 1 if line == 1 else None
        if line is None:
            return pen.discussion(text, None)[0]
        position = Position(
            base_sha=refs.base_sha,
            start_sha=refs.start_sha,
            head_sha=refs.head_sha,
            position_type="text",
            old_path="app.py",
            new_path="app.py",
            old_line=old,
            new_line=line,
        )
        thread, note = pen.discussion(text, position)
        assert note.position is not None
        note.position = {**note.position, "head_sha": self.repository.git("rev-parse", "HEAD")}
        return thread

    def url(self, thread: Thread) -> str:
        """Return where a person reads a thread."""
        return f"{self.fake.url}/{self.project.path}/-/merge_requests/{self.mr.iid}#note_{thread.notes[0].id}"

    @property
    def asked(self) -> int:
        """How often GitLab was asked."""
        return len(self.fake.requests)


@asynccontextmanager
async def branch(folder: Path, after: str = AFTER) -> AsyncIterator[Branch]:
    """Give a branch `topic` that was pushed; its file says `after`."""
    repository = Repository(folder / "repository")
    repository.git("init", "-q", "-b", "main")
    repository.git("remote", "add", "origin", "https://gitlab.example/group/app.git")
    repository.commit(app=BEFORE)
    repository.git("switch", "-qc", "topic")
    repository.commit(app=after)
    async with FakeGitLab() as fake:
        project = fake.add_project("group/app", {"app.py": BEFORE})
        reader = fake.add_person("reader")
        project.members[reader.id] = 20
        mr = fake.add_merge_request(project, {"app.py": after}, branch="topic")
        yield Branch(repository, fake, project, mr, reader)
