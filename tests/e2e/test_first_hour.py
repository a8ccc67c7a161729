"""The administrator's first hour as the page has it: a fake GitLab, the real bot and the real model."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shlex
import signal
import socket
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web

from bot.demo.sample_files import sample
from bot.fake_gitlab import FakeGitLab
from bot.gitlab import Access
from engine.listening import listening

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "deploy" / "docs" / "first-hour.md").read_text("utf-8")
MODULES = {"tenken": "engine", "tenken-bot": "bot"}
BY_OTHERS = {"venv", "pip"}  # `make test` has just done that
SECONDS = 240

pytestmark = [pytest.mark.model, pytest.mark.timeout(4 * SECONDS)]


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


def kept_port() -> socket.socket:
    """Return a socket whose port goes to nobody but a server that is told of it, as long as it is open."""
    kept = socket.socket()
    kept.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    kept.bind(("127.0.0.1", 0))
    return kept


class Hour:
    """The machine on which the page is followed: its addresses and files instead of the example's."""

    def __init__(self, folder: Path, fake: FakeGitLab, port: int) -> None:
        self.port = port
        self.folder = folder
        self._instead = {
            "https://gitlab.example.com": fake.url,
            "glpat-of-the-bot": fake.bot.token,
            "https://bot.example.com/webhook": f"http://127.0.0.1:{self.port}/webhook",
            "127.0.0.1:8760": f"127.0.0.1:{self.port}",
            "/etc/tenken": str(folder),
        }
        self._environment = {name: value for name, value in os.environ.items() if not name.startswith("BOT_")}
        self._environment |= {"PYTHONPATH": str(ROOT), "BOT_DATA_DIR": str(folder / "data")}

    def here(self, text: str) -> str:
        """Return what the page says, as it is on this machine."""
        for example, ours in self._instead.items():
            text = text.replace(example, ours)
        return text

    def export(self, words: list[str]) -> None:
        self._environment |= dict(word.split("=", 1) for word in words)

    async def start(self, words: list[str]) -> asyncio.subprocess.Process:
        program, *arguments = words
        name = Path(program).name
        called = [sys.executable, "-m", MODULES[name]] if name in MODULES else [name]
        if arguments == ["serve"]:
            arguments += ["--port", str(self.port)]
        return await asyncio.create_subprocess_exec(
            *called, *arguments, cwd=self.folder, env=self._environment,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip

    async def output(self, words: list[str]) -> str:
        """Run a command that ends; it has to end well."""
        process = await self.start(words)
        text, _ = await asyncio.wait_for(process.communicate(), SECONDS)
        assert process.returncode == 0, text.decode()
        return text.decode()

    @asynccontextmanager
    async def serving(self, words: list[str]) -> AsyncIterator[None]:
        """Run a command until the end of the block, from when it listens."""
        process = await self.start(words)
        assert process.stdout is not None
        try:
            line = await asyncio.wait_for(process.stdout.readline(), SECONDS)
            assert b"listening" in line
            reading = asyncio.create_task(process.stdout.read())
            yield
        finally:
            process.send_signal(signal.SIGTERM)
            await process.wait()
        await reading


def test_the_page_is_followed(tmp_path: Path) -> None:
    """Checks are fine, the hook is made, `/review` is answered on lines, and its payload explained."""

    async def main() -> None:
        payloads: list[Mapping[str, object]] = []
        async with FakeGitLab() as fake, recording(payloads) as recorder:
            hour = Hour(tmp_path, fake, port)
            [settings] = blocks("ini")
            write_secret(tmp_path / "bot.env", hour.here(settings))
            project = fake.add_project("team/app", files=sample("before"))
            author, owner = fake.add_person("dev"), fake.add_person("owner")
            project.members |= {author.id: Access.DEVELOPER, owner.id: Access.MAINTAINER}
            project.members[fake.bot.id] = Access.DEVELOPER
            write_secret(tmp_path / "maintainer-token", owner.token)
            fake.add_hook(project, recorder, "a-secret-of-the-recorder")
            mr = fake.add_merge_request(project, sample("after"), author=author, branch="export")
            said: dict[str, str] = {}
            lines = [line for block in blocks("sh") for line in block.splitlines()]
            at = next(index for index, line in enumerate(lines) if line.endswith("tenken-bot serve"))
            for line in lines[:at]:
                await follow(hour, line, said)
            assert "made" in said["register"]
            async with hour.serving(shlex.split(hour.here(lines[at]))):
                fake.as_person(author, project, mr).note("/review")
                async with asyncio.timeout(SECONDS):
                    while not any(note.author is fake.bot and note.position for note in mr.notes):  # noqa: ASYNC110
                        await asyncio.sleep(0.2)
                asked = next(payload for payload in payloads if payload["object_kind"] == "note")
                (tmp_path / "payload.json").write_text(json.dumps(asked))
                for line in lines[at + 1 :]:
                    await follow(hour, line, said)
            assert json.loads(said["explain-event"])["commands"][0]["name"] == "review"

    with kept_port() as kept:
        port = kept.getsockname()[1]
        asyncio.run(main())


def write_secret(path: Path, text: str) -> None:
    """Write a file as the page wants it: nobody else may read it."""
    path.touch(mode=0o600)
    path.write_text(text)


async def follow(hour: Hour, line: str, said: dict[str, str]) -> None:
    """Do what a line of the page says, and remember what was said by the subcommand."""
    words = shlex.split(hour.here(line), comments=True)
    if not words or BY_OTHERS & {Path(word).name for word in words}:
        return
    if words[0] == "export":
        hour.export(words[1:])
        return
    said[words[1]] = await hour.output(words)


@asynccontextmanager
async def recording(payloads: list[Mapping[str, object]]) -> AsyncIterator[str]:
    """Give the address of a hook whose payloads are kept: what an administrator copies from GitLab."""

    async def keep(request: web.Request) -> web.Response:
        payloads.append(await request.json())
        return web.Response()

    app = web.Application()
    app.router.add_post("/", keep)
    async with listening(app) as port:
        yield f"http://127.0.0.1:{port}/"
