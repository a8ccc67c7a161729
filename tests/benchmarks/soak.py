"""Hours of mixed traffic with restarts: what is lost, said twice, and how memory and queues go, as JSON.

    python tests/benchmarks/soak.py --minutes 120 --output tests/benchmarks/results/soak.json

A fake GitLab in this process; the engine with the real model, the bot and a language server in their own.
Each beat a merge request is opened or pushed to and `/review` written, and every third beat somebody
dismisses a finding; the editor edits and saves in between. Every ten minutes the engine or the bot is ended,
in turn by SIGTERM and by SIGKILL, and started again. At the end every command has to have its tick, and every
finding and summary has to be there once.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import os
import re
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

TESTS = Path(__file__).parents[1]
sys.path[:0] = [str(TESTS.parent), str(TESTS), str(TESTS / "bot"), str(TESTS / "lsp")]

import aiohttp  # noqa: E402
from bot_world import EYES, SECRET, TICK, free_port  # noqa: E402
from editors import TestEditor, editing  # noqa: E402
from git_repository import Repository  # noqa: E402

from bot.fake_gitlab import Account, FakeGitLab, StoredMergeRequest, StoredProject  # noqa: E402
from bot.fake_gitlab.state import StoredNote  # noqa: E402
from bot.markers import MarkerKind, marker_of  # noqa: E402
from engine.tokens import Role, TokenFile  # noqa: E402
from tests.benchmarks.engine_process import EXAMPLE, PACKAGES, say  # noqa: E402
from tests.benchmarks.machine import describe_machine, load_average  # noqa: E402

_ENDS = (
    ("engine", signal.SIGTERM),
    ("bot", signal.SIGKILL),
    ("engine", signal.SIGKILL),
    ("bot", signal.SIGTERM),
)
_DRAIN_SECONDS = 600.0
_CODE = "".join(line[1:] + "\n" for line in EXAMPLE.splitlines()[3:])
_FIXED = _CODE.replace("items=[]", "items=None")
_QUEUES = {"engine": r"^tenken_queue_works (\S+)$", "bot": r'^tenken_bot_waiting\{kind="review"\} (\S+)$'}


@dataclass(slots=True)
class Service:
    """A process that is started again after each end."""

    name: str
    command: list[str]
    environment: dict[str, str]
    port: int
    log: Path
    process: asyncio.subprocess.Process | None = None
    headers: dict[str, str] = field(default_factory=dict)  # that open /metrics
    lives: list[list[int]] = field(default_factory=list)  # resident MiB, sample by sample

    async def start(self) -> None:
        """Start, and wait until it listens."""
        with self.log.open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                sys.executable, *self.command, "--port", str(self.port),
                cwd=TESTS.parent, env=self.environment, stdout=asyncio.subprocess.PIPE, stderr=log,
            )  # fmt: skip
        assert self.process.stdout is not None
        line = await asyncio.wait_for(self.process.stdout.readline(), 120)
        assert b"listening" in line, self.log.read_text()[-3000:]
        self.lives.append([])

    async def end(self, number: signal.Signals) -> None:
        """Send a signal and wait for the end."""
        assert self.process is not None
        with suppress(ProcessLookupError):
            self.process.send_signal(number)
        await self.process.wait()

    def sample(self) -> None:
        """Note what is resident."""
        if self.process is not None and self.process.returncode is None:
            with suppress(ProcessLookupError):
                self.lives[-1].append(resident_mib(self.process.pid))


@dataclass(slots=True)
class Traffic:
    """Who writes what, and what was asked for."""

    fake: FakeGitLab
    asked: list[tuple[StoredMergeRequest, StoredNote]] = field(default_factory=list)
    saves: int = 0
    project: StoredProject = field(init=False)
    author: Account = field(init=False)

    def __post_init__(self) -> None:
        self.project = self.fake.add_project(files={"README.md": "# App\n"})
        self.author = self.fake.add_person("dev")
        self.project.members[self.author.id] = 30

    def beat(self, number: int) -> None:
        """Open a merge request, or push to the newest; now and then dismiss a finding of an older one."""
        requests = list(self.project.merge_requests.values())
        if number % 2 == 0:
            name = f"shop{number}.py"
            files = {"README.md": "# App\n", name: _CODE.replace("{name}", f"add{number}")}
            mr = self.fake.add_merge_request(self.project, files, author=self.author, branch=f"b{number}")
        else:
            mr = requests[-1]
            name = f"shop{number - 1}.py"
            files = {"README.md": "# App\n", name: _FIXED.replace("{name}", f"add{number - 1}")}
            self.fake.push(self.project, mr, files)
        self._ask(mr, "/review")
        if number % 3 == 2 and len(requests) > 2:
            self._dismiss(requests[-3])

    def _ask(self, mr: StoredMergeRequest, text: str) -> None:
        _, note = self.fake.as_person(self.author, self.project, mr).note(text)
        self.asked.append((mr, note))

    def _dismiss(self, mr: StoredMergeRequest) -> None:
        for thread in mr.threads:
            first = thread.notes[0]
            if first.author is self.fake.bot and first.position and not first.resolved_by:
                note = self.fake.as_person(self.author, self.project, mr).reply(thread, "/dismiss known")
                self.asked.append((mr, note))
                return

    @property
    def open(self) -> int:
        """How many have no answer yet."""
        return sum(TICK not in names(note) for _, note in self.asked)

    def faults(self) -> Counter[str]:
        """Return what is wrong in the end, counted."""
        wrong: Counter[str] = Counter()
        for _, note in self.asked:
            if TICK not in names(note):
                wrong["heard, not done" if EYES in names(note) else "lost"] += 1
        for mr in self.project.merge_requests.values():
            bodies = [note.body for note in mr.notes if note.author is self.fake.bot and not note.system]
            markers = [marker for body in bodies if (marker := marker_of(body))]
            findings = Counter(marker.id for marker in markers if marker.kind is MarkerKind.FINDING)
            wrong["a finding twice"] += sum(count - 1 for count in findings.values())
            summaries = sum(marker.kind is MarkerKind.SUMMARY for marker in markers)
            wrong["a summary twice"] += max(0, summaries - 1)
            wrong["no summary"] += not summaries
            wrong["a draft left"] += len(mr.drafts)
        return +wrong


def main() -> None:
    """Run, and write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--minutes", type=float, default=120)
    parser.add_argument("--restart-minutes", type=float, default=10)
    parser.add_argument("--beat", type=float, default=60, help="seconds between commands")
    parser.add_argument("--output", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        results = asyncio.run(_soak(arguments, Path(folder).resolve()))
    text = json.dumps(results, indent=1) + "\n"
    sys.stdout.write(text)
    if arguments.output:
        arguments.output.write_text(text)


async def _soak(arguments: argparse.Namespace, folder: Path) -> dict[str, Any]:
    machine = describe_machine(PACKAGES)
    async with FakeGitLab() as fake:
        traffic = Traffic(fake)
        services, settings = _services(folder, fake, traffic)
        for service in services.values():
            await service.start()
        fake.add_hook(traffic.project, f"http://127.0.0.1:{services['bot'].port}/webhook", SECRET)
        queues: dict[str, list[float]] = {name: [] for name in services}
        repository = _repository(folder / "work")
        async with editing(repository.root, settings, home=folder / "home") as editor:
            language_server: list[int] = []
            started, ends = time.monotonic(), 0
            jobs = [
                asyncio.create_task(_beats(traffic, arguments.beat)),
                asyncio.create_task(_edits(traffic, editor, repository)),
                asyncio.create_task(_samples(services, editor, queues, language_server)),
            ]
            steps = itertools.cycle(_ENDS)
            while (left := arguments.minutes * 60 - (time.monotonic() - started)) > 0:
                done, _ = await asyncio.wait(
                    jobs,
                    timeout=min(left, arguments.restart_minutes * 60),
                    return_when=asyncio.FIRST_COMPLETED,
                )
                for job in done:
                    job.result()
                name, number = next(steps)
                say(f"{len(traffic.asked)} commands, {traffic.open} open; {number.name} to the {name}")
                await services[name].end(number)
                await services[name].start()
                ends += 1
            jobs[0].cancel()
            jobs[1].cancel()
            until = time.monotonic() + _DRAIN_SECONDS
            while traffic.open and time.monotonic() < until:  # noqa: ASYNC110
                await asyncio.sleep(1)
            await asyncio.sleep(35)
            jobs[2].cancel()
            findings_in_editor = sum(len(editor.lines(uri)) for uri in editor.diagnostics)
        for service in services.values():
            await service.end(signal.SIGTERM)
    return {
        "machine": machine | {"load_average_at_end": load_average()},
        "minutes": arguments.minutes,
        "restarts": ends,
        "commands": len(traffic.asked),
        "merge_requests": len(traffic.project.merge_requests),
        "editor_saves": traffic.saves,
        "findings_in_editor_at_the_end": findings_in_editor,
        "faults": dict(traffic.faults()),
        "queue": {
            name: {"most": max(values), "at_end": values[-1]} for name, values in queues.items() if values
        },
        "resident_mib_of_each_life": {
            **{name: [_ends_of(life) for life in service.lives] for name, service in services.items()},
            "language server": [_ends_of(language_server)],
        },
    }


def _services(
    folder: Path, fake: FakeGitLab, traffic: Traffic
) -> tuple[dict[str, Service], dict[str, object]]:
    tokens = TokenFile(folder / "tokens.json")
    bot_token, editor_token = tokens.create(Role.REVIEWER), tokens.create(Role.REVIEWER)
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("BOT_", "ENGINE_"))}
    kept |= {"PYTHONPATH": str(TESTS.parent)}
    engine = Service(
        "engine",
        ["-m", "engine", "serve", "--tokens", str(folder / "tokens.json")],
        kept | {"ENGINE_DATA_DIR": str(folder / "engine")},
        free_port(),
        folder / "engine.log",
        headers={"Authorization": f"Bearer {bot_token}"},
    )
    url = f"http://127.0.0.1:{engine.port}"
    bot = Service(
        "bot",
        ["-m", "bot", "serve"],
        kept
        | {
            "BOT_GITLAB_URL": fake.url,
            "BOT_GITLAB_TOKEN": fake.bot.token,
            "BOT_ENGINE_URL": url,
            "BOT_ENGINE_TOKEN": bot_token,
            "BOT_DATA_DIR": str(folder / "bot"),
            "BOT_WEBHOOK_SECRETS": json.dumps([SECRET]),
            "BOT_POLL_PROJECTS": json.dumps([traffic.project.path]),
            "BOT_POLL_SECONDS": "60",
        },
        free_port(),
        folder / "bot.log",
    )
    return {"engine": engine, "bot": bot}, {
        "engineUrl": url,
        "engineToken": editor_token,
        "timeoutSeconds": 600,
    }


async def _beats(traffic: Traffic, seconds: float) -> None:
    for number in itertools.count():
        traffic.beat(number)
        await asyncio.sleep(seconds)


async def _edits(traffic: Traffic, editor: TestEditor, repository: Repository) -> None:
    """Type a line, save, go on; every save is another text."""
    path = repository.root / "a.py"
    uri = editor.open(path)
    version = 1
    for number in itertools.count():
        text = _CODE.replace("{name}", f"edit{number}")
        for step in range(20):
            version += 1
            editor.edit(uri, version, text + "x" * step)
            await asyncio.sleep(0.5)
        version += 1
        editor.edit(uri, version, text)
        editor.save(uri, text)
        traffic.saves += 1
        await asyncio.sleep(50)


async def _samples(
    services: dict[str, Service], editor: TestEditor, queues: dict[str, list[float]], resident: list[int]
) -> None:
    async with aiohttp.ClientSession() as session:
        while True:
            await asyncio.sleep(30)
            resident.append(resident_mib(editor.process.pid))
            for name, service in services.items():
                service.sample()
                with suppress(aiohttp.ClientError, TimeoutError):
                    url = f"http://127.0.0.1:{service.port}/metrics"
                    async with session.get(url, headers=service.headers) as answer:
                        found = re.search(_QUEUES[name], await answer.text(), re.MULTILINE)
                    queues[name].append(float(found[1]) if found else 0.0)


def _repository(root: Path) -> Repository:
    repository = Repository(root)
    repository.git("init", "-q")
    repository.commit(a="x = 1\n")
    return repository


def _ends_of(samples: list[int]) -> list[int]:
    """Return the first, the middle and the last, of which a life's growth can be read."""
    return [samples[0], samples[len(samples) // 2], samples[-1]] if samples else []


def names(note: StoredNote) -> Iterator[str]:
    """Return the emoji on a note."""
    return (name for _, name, _ in note.awards)


def resident_mib(pid: int) -> int:
    """Return what a process has in memory; raises ProcessLookupError for one that ended."""
    found = re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())
    if found is None:
        raise ProcessLookupError(pid)
    return int(found[1]) // 1024


if __name__ == "__main__":
    main()
