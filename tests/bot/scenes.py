"""A fake GitLab with one merge request, and the real client that talks to it."""

from __future__ import annotations

import select
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from unittest import mock

from urllib3.connection import HTTPConnection
from urllib3.connectionpool import HTTPConnectionPool
from urllib3.response import HTTPResponse

from bot.fake_gitlab import Account, FakeGitLab, Options, StoredMergeRequest, StoredProject
from bot.fake_gitlab.state import StoredNote
from bot.gitlab import DiffRefs, MergeRequestRef
from bot.gitlab_client import PythonGitLab
from bot.gitlab_connection import ConnectionOptions

BEFORE = {
    "src/app.py": "".join(f"line_{number} = {number}\n" for number in range(1, 41)),
    "docs/old name.md": "# Old\n\nOne.\nTwo.\nThree.\n",
    "gone.txt": "first\nsecond\n",
}
AFTER = {
    "src/app.py": BEFORE["src/app.py"]
    .replace("line_5 = 5\n", "line_5 = 50\nadded = True\n")
    .replace("line_30 = 30\n", ""),
    "docs/new name.md": "# Old\n\nOne.\nTwo!\nThree.\n",
    "日本語/新規.py": "import os\n\nprint(os.name)\n",
}


@dataclass(slots=True)
class Scene:
    """What a test needs at hand."""

    fake: FakeGitLab
    project: StoredProject
    mr: StoredMergeRequest
    author: Account
    gitlab: PythonGitLab
    pauses: list[float] = field(default_factory=list)  # seconds the client would have slept

    @property
    def ref(self) -> MergeRequestRef:
        return self.fake.ref(self.project, self.mr)

    @property
    def refs(self) -> DiffRefs:
        return self.mr.version.refs

    @property
    def bot_notes(self) -> list[StoredNote]:
        return [note for note in self.mr.notes if note.author is self.fake.bot]

    @property
    def writes(self) -> list[str]:
        """Method and path of each request that was to change something."""
        return [f"{each.method} {each.path}" for each in self.fake.requests if each.method != "GET"]


@asynccontextmanager
async def scene(
    before: Mapping[str, str | bytes] = BEFORE,
    after: Mapping[str, str | bytes] = AFTER,
    *,
    server: Options | None = None,
    attempts: int = 5,
) -> AsyncIterator[Scene]:
    """Give a scene. The client's pauses are noted and not slept."""
    pauses: list[float] = []

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)

    async with FakeGitLab(server) as fake:
        fake.webhooks.patience = 120
        project = fake.add_project(files=before)
        author = fake.add_person("author")
        project.members[author.id] = 30
        mr = fake.add_merge_request(project, after, author=author)
        options = ConnectionOptions(
            fake.url, fake.bot.token, timeout=120, attempts=attempts, writes_per_second=1000
        )
        client = PythonGitLab.connect(options, sleep)
        try:
            yield Scene(fake, project, mr, author, client, pauses)
        finally:
            await client.close()


@contextmanager
def impatient(fake: FakeGitLab) -> Iterator[None]:
    """Have a request time out as soon as the server has decided to be silent, and no other.

    A short time-out would hit others too where the machine is slow, or this one before the server has it.
    """

    class Impatient(HTTPConnection):
        def getresponse(self) -> HTTPResponse:
            sock = self.sock
            while not select.select([sock], [], [], 0.005)[0]:
                if sock.getsockname()[1] in fake.silent_to:
                    raise TimeoutError("timed out")
            return super().getresponse()

    with mock.patch.object(HTTPConnectionPool, "ConnectionCls", Impatient):
        yield
