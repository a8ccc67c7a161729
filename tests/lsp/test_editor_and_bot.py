"""An editor and the bot, each a process, at one engine: what was dismissed here is not posted there."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from editors import ROOT, TestEditor, editing
from merge_requests import Branch, branch
from serving import Served

from bot.markers import MarkerKind, marker_of

AFTER = "x = 1\nfirst = eval(x)\nsecond = eval(x)\nthird = eval(x)\ny = 2\n"
SECRET = "a-secret-between-the-fake-and-the-bot"


@asynccontextmanager
async def bot(at: Branch, engine: Served, folder: Path) -> AsyncIterator[None]:
    """Run the bot of the fake's project while inside."""
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "BOT_GITLAB_URL": at.fake.url,
        "BOT_GITLAB_TOKEN": at.fake.bot.token,
        "BOT_ENGINE_URL": engine.url,
        "BOT_DATA_DIR": str(folder / "bot"),
        "BOT_WEBHOOK_SECRETS": json.dumps([SECRET]),
    }
    with (folder / "bot.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "bot", "serve", "--port", "0"),
            env=environment, stdout=asyncio.subprocess.PIPE, stderr=log,
        )  # fmt: skip
    try:
        assert process.stdout is not None
        said = (await asyncio.wait_for(process.stdout.readline(), 120)).decode()
        assert "listening" in said, (folder / "bot.log").read_text()[-3000:]
        at.fake.add_hook(at.project, f"{said.rpartition(' ')[2].strip().rstrip('/')}/webhook", SECRET)
        yield
    finally:
        process.kill()
        await process.wait()


async def posted(at: Branch, command: str) -> list[int]:
    """Ask the bot for a review, and return the lines on which its findings are then."""
    _, asked = at.fake.as_person(at.mr.author, at.project, at.mr).note(command)
    async with asyncio.timeout(120):
        while "white_check_mark" not in {name for _, name, _ in asked.awards}:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    notes = [note for note in at.mr.notes if note.author is at.fake.bot]
    found = [note for note in notes if (m := marker_of(note.body)) and m.kind is MarkerKind.FINDING]
    return sorted(int(str((note.position or {})["new_line"])) for note in found)


def mark_on(editor: TestEditor, uri: str, line: int) -> str:
    """Return the fingerprint of the finding on a line."""
    shown = editor.diagnostics[uri]["diagnostics"]
    (mark,) = (d["data"]["fingerprint"] for d in shown if d["range"]["start"]["line"] == line - 1)
    return str(mark)


def test_a_dismissed_finding_is_not_posted(engine: Served, tmp_path: Path) -> None:
    """Won't fix and wrong in the editor keep the bot silent about these lines and no others, until undone."""

    async def main() -> None:
        async with branch(tmp_path, AFTER) as at, bot(at, engine, tmp_path):
            root, uri = at.repository.root, at.app.as_uri()
            async with editing(root, {"engineUrl": engine.url}, home=tmp_path) as editor:
                await editor.command("review")
                await editor.until_lines(uri, 2, 3, 4)
                await editor.command("wontFix", uri=uri, fingerprint=mark_on(editor, uri, 2))
                about = {"uri": uri, "fingerprint": mark_on(editor, uri, 3)}
                await editor.command("wrong", **about, reason="notTrue")
                await editor.until_lines(uri, 4)
                await editor.until(lambda: editor.statuses()[-1]["pendingFeedback"] == 0)
                assert await posted(at, "/review") == [4]
                await editor.command("undo", **about)
                await editor.until_lines(uri, 3, 4)
                await editor.until(lambda: editor.statuses()[-1]["pendingFeedback"] == 0)
                assert await posted(at, "/review --full") == [3, 4]

    asyncio.run(main())
