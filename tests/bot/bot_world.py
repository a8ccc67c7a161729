"""A GitLab and an engine that stay, and bots in processes of their own that may be killed at any time."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import sys
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import structlog

from bot.fake_gitlab import Account, FakeGitLab, StoredMergeRequest, StoredProject
from bot.fake_gitlab.state import StoredNote
from bot.markers import MarkerKind, marker_of
from engine.findings import Category
from engine.prompts import CATEGORY_LABELS
from engine.runners import WriteRequest
from engine.server import ServerOptions, make_engine, running
from engine.testing import CANNED_REPLY, FakeRunner, by_keyword

SECRET = "a-secret-of-the-crash-tests"
ROOT = Path(__file__).parents[2]
OLD = {"src/app.py": "".join(f"line_{number} = {number}\n" for number in range(1, 61))}
NEW = {
    "src/app.py": OLD["src/app.py"]
    .replace("_5 = 5\n", "_5 = bad()\n")
    .replace("_50 = 50\n", "_50 = bad(50)\n")
}
FINDINGS = 2
TICK, EYES = "white_check_mark", "eyes"
_START_SECONDS = 300.0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@dataclass(slots=True)
class BotProcess:
    """One worker."""

    name: str
    port: int  # 0 for a free one, which is kept from then on
    environment: dict[str, str]
    log: Path
    process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Start, and wait until it listens."""
        with self.log.open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "bot", "serve", "--port", str(self.port),
                cwd=ROOT, env=self.environment, stdout=asyncio.subprocess.PIPE, stderr=log,
            )  # fmt: skip
        assert self.process.stdout is not None
        line = await asyncio.wait_for(self.process.stdout.readline(), _START_SECONDS)
        assert b"listening" in line, self.log.read_text()[-3000:]
        self.port = int(line.rpartition(b":")[2])

    def signal(self, number: signal.Signals) -> None:
        """Send a signal."""
        assert self.process is not None
        self.process.send_signal(number)

    async def kill(self) -> None:
        """End it at once, wherever it is."""
        if self.process is not None and self.process.returncode is None:
            self.process.kill()
            await self.process.wait()


@dataclass(slots=True)
class Asking:
    """A `/review`, and where its answers are to be."""

    mr: StoredMergeRequest
    note: StoredNote
    asked: float

    @property
    def is_done(self) -> bool:
        return TICK in {name for _, name, _ in self.note.awards}


@dataclass(slots=True)
class World:
    """What a test needs at hand."""

    fake: FakeGitLab
    project: StoredProject
    author: Account
    folder: Path
    engine_url: str
    database: str
    bots: list[BotProcess] = field(default_factory=list)
    settings: dict[str, str] = field(default_factory=dict)
    write_seconds: float = 0.1  # how long the engine takes over each finding; may be changed at any time
    may_write: threading.Event = field(default_factory=threading.Event)  # cleared, the engine waits for it
    writing: bool = False  # whether the engine has begun to write of a finding

    async def add_bot(self, name: str = "one") -> BotProcess:
        """Start another worker on the same database."""
        environment = {
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "BOT_GITLAB_URL": self.fake.url,
            "BOT_GITLAB_TOKEN": self.fake.bot.token,
            "BOT_ENGINE_URL": self.engine_url,
            "BOT_DATA_DIR": str(self.folder),
            "BOT_DATABASE_URL": self.database,
            "BOT_WORKER": name,
            "BOT_WEBHOOK_SECRETS": json.dumps([SECRET]),
            "BOT_POLL_PROJECTS": json.dumps([self.project.path]),
            "BOT_POLL_SECONDS": "5",
            **self.settings,
        }
        bot = BotProcess(name, 0, environment, self.folder / f"{name}.log")
        self.bots.append(bot)
        await bot.start()
        self.fake.add_hook(self.project, f"http://127.0.0.1:{bot.port}/webhook", SECRET)
        return bot

    def ask(self) -> Asking:
        """Open a merge request and ask for its review."""
        mr = self.fake.add_merge_request(
            self.project, NEW, author=self.author, branch=f"b{len(self.project.merge_requests)}"
        )
        _, note = self.fake.as_person(self.author, self.project, mr).note("/review")
        return Asking(mr, note, time.monotonic())

    def faults(self, asking: Asking) -> list[str]:
        """Return what is wrong with the answer to a request."""
        notes = [note for note in asking.mr.notes if note.author is self.fake.bot and not note.system]
        markers = [marker for note in notes if (marker := marker_of(note.body))]
        kinds = Counter(marker.kind for marker in markers)
        findings = Counter(marker.id for marker in markers if marker.kind is MarkerKind.FINDING)
        wrong = []
        if not asking.is_done:
            wrong.append("lost: no tick")
        if len(findings) != FINDINGS:
            wrong.append(f"lost: {len(findings)} of {FINDINGS} findings")
        if any(count > 1 for count in findings.values()):
            wrong.append("twice: a finding")
        if kinds[MarkerKind.SUMMARY] != 1:
            wrong.append(f"{'lost' if not kinds[MarkerKind.SUMMARY] else 'twice'}: the summary")
        if kinds[MarkerKind.REPLY]:
            wrong.append("a reply that says no")
        if asking.mr.drafts:
            wrong.append("left: a draft")
        if len(notes) != len(markers):
            wrong.append("a note without a marker")
        return wrong

    async def until_done(self, askings: list[Asking], seconds: float) -> None:
        """Wait until all are answered, or for so long."""
        end = time.monotonic() + seconds
        while time.monotonic() < end and not all(one.is_done for one in askings):  # noqa: ASYNC110
            await asyncio.sleep(0.05)


@asynccontextmanager
async def world(
    folder: Path, database: str | None = None, *, write_seconds: float = 0.1, **settings: str
) -> AsyncIterator[World]:
    """Give a world; `write_seconds` is how long the engine takes over each finding."""

    def write(request: WriteRequest) -> str:
        made.writing = True
        made.may_write.wait()  # in the device's own thread
        time.sleep(made.write_seconds)
        return CANNED_REPLY

    runner = FakeRunner(by_keyword({"bad": (CATEGORY_LABELS[Category.BUG], 0.97)}), write, adapter="team-1")
    options = ServerOptions(port=0, drain_seconds=0.2)
    async with AsyncExitStack() as stack:
        stack.enter_context(_logging_to_stderr())
        fake = await stack.enter_async_context(FakeGitLab())
        engine = make_engine(lambda adapter: runner, None, options)
        port = await stack.enter_async_context(running(engine, options))
        project = fake.add_project(files=OLD)
        author = fake.add_person("author")
        project.members[author.id] = 30
        url = database or f"sqlite:///{folder}/bot.db"
        made = World(fake, project, author, folder, f"http://127.0.0.1:{port}", url, settings=dict(settings))
        made.write_seconds = write_seconds
        made.may_write.set()
        fake.webhooks.patience = 120
        try:
            yield made
        finally:
            made.may_write.set()
            for bot in made.bots:
                await bot.kill()


@contextmanager
def _logging_to_stderr() -> Iterator[None]:
    """Keep what the engine in this process logs out of what commands print."""
    before = structlog.get_config()
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    try:
        yield
    finally:
        structlog.configure(**before)
