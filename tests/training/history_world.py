"""A small project with a history, told by the fake GitLab, and what reads it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from gitlab_thread import serving_gitlab
from pydantic import SecretStr

from bot.fake_gitlab import Account, FakeGitLab, StoredMergeRequest, StoredProject
from bot.fake_gitlab.shapes import Position
from bot.fake_gitlab.state import StoredNote, Thread
from training.history.collect import collect
from training.history.connection import Access, Server
from training.history.project import Project, find_project
from training.history.records import Record
from training.history.settings import CollectSettings
from training.history.stages import RECORDS, Broken, StageManifest, read_records

BASE = {
    "README.md": "# Shop\n\nUse integers for money.\n",
    "CONTRIBUTING.md": "Write a test for each fix.\n",
    "shop/cart.py": "".join(f"item_{number} = {number}\n" for number in range(1, 31)),
    "shop/prices.py": "def price(item):\n    return item.cost\n",
    "package-lock.json": "{}\n",
}
CHANGED = {
    **BASE,
    "shop/cart.py": BASE["shop/cart.py"]
    .replace("item_3 = 3\n", "def total(rows=[]):\n    return sum(rows)\n")
    .replace("item_20 = 20\n", "item_20 = compute(20)\nitem_20b = compute(21)\n"),
    "shop/prices.py": "def price(item):\n    return float(item.cost)\n",
}


@dataclass
class World:
    """The fake server in a thread of its own, its project, and people who talk."""

    fake: FakeGitLab
    project: StoredProject
    maintainer: Account
    developer: Account
    stranger: Account
    pauses: list[float] = field(default_factory=list)

    def open_mr(self, files: dict[str, str] | None = None) -> StoredMergeRequest:
        """Open a merge request by the developer."""
        number = len(self.project.merge_requests) + 1
        return self.fake.add_merge_request(
            self.project,
            files or CHANGED,
            author=self.developer,
            branch=f"b{number}",
            title=f"Change {number}",
        )

    def push(self, mr: StoredMergeRequest, files: dict[str, str]) -> None:
        """Push a new version."""
        self.fake.world.commit(self.project, mr.source_branch, files)
        self.fake.world.add_version(self.project, mr)

    def say(
        self, mr: StoredMergeRequest, body: str, path: str = "", *, by: Account | None = None, **lines: int
    ) -> tuple[Thread, StoredNote]:
        """Open a thread, at a line where one is given."""
        refs, position = mr.version.refs, None
        if path:
            position = Position(
                position_type="text", base_sha=refs.base_sha, start_sha=refs.start_sha,
                head_sha=refs.head_sha, old_path=path, new_path=path, **lines,
            )  # fmt: skip
        pen = self.fake.as_person(by or self.maintainer, self.project, mr)
        return pen.discussion(body, position, notify=False)

    def reply(self, mr: StoredMergeRequest, thread: Thread, body: str, *, by: Account) -> StoredNote:
        """Answer in a thread."""
        return self.fake.as_person(by, self.project, mr).reply(thread, body, notify=False)

    def server(self, token: str = "", attempts: int = 6) -> Server:
        """Return the reader; its pauses are noted and not slept."""
        access = Access(
            self.fake.url, SecretStr(token or self.fake.bot.token), attempts=attempts, timeout=60,
            requests_per_second=1e6,
        )  # fmt: skip
        return Server(access, sleep=self.pauses.append)

    def open_project(self, settings: CollectSettings = CollectSettings()) -> Project:  # noqa: B008 - frozen
        """Return the project as it is read."""
        server = self.server()
        return Project(server, find_project(server, self.project.path), settings)

    def collect(self, out: Path, *, again: bool = False, **settings: object) -> StageManifest:
        """Run the stage."""
        chosen = CollectSettings.model_validate(settings)
        return collect(self.open_project(chosen), out, chosen, again=again)


def collected(out: Path) -> list[Record]:
    """Return the records of a stage; none may be broken."""
    broken = Broken()
    records = list(read_records(out / RECORDS, broken))
    assert not broken.errors
    return records


@contextmanager
def world() -> Iterator[World]:
    """Give a world whose server runs until the end of the block."""
    with serving_gitlab() as fake:
        project = fake.add_project("team/shop", BASE)
        people = [fake.add_person(name, name=f"{name.title()} Example") for name in ("mia", "dan", "sid")]
        project.members |= {people[0].id: 40, people[1].id: 30}
        yield World(fake, project, *people)
