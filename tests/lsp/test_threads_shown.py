"""Threads of the merge request in the editor: as information on their lines, and never in the way."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from editors import TestEditor, editing
from merge_requests import AFTER, branch
from serving import Served

from bot.fake_gitlab import FaultKind


def threads(editor: TestEditor, uri: str) -> list[int]:
    """Return the lines, from 1, on which a thread is shown."""
    shown = editor.diagnostics.get(uri, {"diagnostics": []})["diagnostics"]
    return [item["range"]["start"]["line"] + 1 for item in shown if item["code"] == "thread"]


async def until_threads(editor: TestEditor, uri: str, *lines: int) -> None:
    """Wait until exactly these lines have a thread."""
    await editor.until(lambda: threads(editor, uri) == list(lines))


@pytest.mark.parametrize("name", ["vscode", "neovim"])
def test_threads_stand_on_their_lines(name: str, tmp_path: Path) -> None:
    """In files that are open and others; they follow edits, go with their lines, and open in the browser."""

    async def run() -> None:
        async with branch(tmp_path) as at:
            thread = at.discuss("Why 50% `eval`?\n\nReally?")
            at.fake.as_person(at.reader, at.project, at.mr).reply(thread, "Because.")
            uri = at.app.as_uri()
            async with editing(at.repository.root, at.settings, editor=name, home=tmp_path) as editor:
                await until_threads(editor, uri, 2)
                (item,) = editor.diagnostics[uri]["diagnostics"]
                author = at.mr.author.name
                assert item["message"] == f"{author}: Why 50% `eval`? Really? (+1)"
                assert (item["severity"], item["source"]) == (3, "tenken")
                assert item["codeDescription"] == {"href": at.url(thread)}
                assert item["data"] == {"thread": thread.id, "url": at.url(thread)}
                assert item["range"]["end"] == {"line": 1, "character": len("z = eval(x)")}
                editor.open(at.app)
                editor.edit(uri, 2, ((0, 0, 0, 0), "# above\n"))
                await until_threads(editor, uri, 3)
                hover = await editor.hover(uri, 3)
                assert hover is not None
                for part in (author, "Really?", "Reader", "Because.", f"({at.url(thread)})"):
                    assert part in hover
                assert list(await editor.actions(uri, 2)) == []
                actions = await editor.actions(uri, 3)
                assert list(actions) == ["Open the merge request's thread"]
                assert await editor.run(actions["Open the merge request's thread"]) == {"url": at.url(thread)}
                (shown,) = [asked for asked in editor.asked if asked["method"] == "window/showDocument"]
                assert shown["params"] == {"uri": at.url(thread), "external": True}
                editor.edit(uri, 3, ((2, 0, 2, 1), "q"))
                await until_threads(editor, uri)
                editor.edit(uri, 4, AFTER)
                editor.save(uri)
                await until_threads(editor, uri, 2)
                editor.close(uri)
                await editor.command("openThread", uri=uri, thread="0" * 40)
                # Not the last one: the save found no engine, which is said at any time.
                assert [text for text in editor.messages() if "no longer there" in text]
                await until_threads(editor, uri, 2)
                told = await editor.command("showStatus")
                assert "1 open thread of the merge request" in told["markdown"]
                assert editor.statuses()[-1]["findings"] == 0

    asyncio.run(run())


def test_threads_are_looked_for_again(tmp_path: Path) -> None:
    """After a commit and on command what was resolved goes and what is new comes; else nobody asks."""

    async def run() -> None:
        async with branch(tmp_path) as at:
            thread = at.discuss("Why?")
            uri = at.app.as_uri()
            async with editing(at.repository.root, at.settings, home=tmp_path) as editor:
                await until_threads(editor, uri, 2)
                asked = at.asked
                editor.open(at.app)
                for version in range(2, 12):
                    editor.edit(uri, version, ((0, 0, 0, 0), "#\n"))
                editor.edit(uri, 12, AFTER)
                editor.save(uri)
                await editor.until_state("noEngine")
                assert at.asked == asked
                at.fake.as_person(at.mr.author, at.project, at.mr).resolve(thread, True)
                at.discuss("And this?", line=1)
                await editor.command("review")
                await until_threads(editor, uri, 1)
                at.mr.state = "merged"
                at.repository.commit(other="x = 1\n")
                await until_threads(editor, uri)

    asyncio.run(run())


def test_a_finding_is_not_shown_twice(engine: Served, tmp_path: Path) -> None:
    """Where the bot's thread is about a finding that is shown or was hidden, it is a link in the hover."""

    async def run() -> None:
        async with branch(tmp_path) as at:
            settings = {"engineUrl": engine.url}
            uri = at.app.as_uri()
            async with editing(at.repository.root, settings, home=tmp_path) as editor:
                await editor.command("review")
                await editor.until_lines(uri, 2)
                await editor.until_state("idle")  # what a restart shows is kept when the review ends
                mark = editor.diagnostics[uri]["diagnostics"][0]["data"]["fingerprint"]
            thread = at.discuss(f"No eval.\n\n<!-- tenken:finding {mark} head=abc -->", by=at.fake.bot)
            other = at.discuss("What is x?", line=1)
            async with editing(at.repository.root, {**at.settings, **settings}, home=tmp_path) as editor:
                editor.open(at.app)
                await until_threads(editor, uri, 1)
                await editor.until_lines(uri, 1, 2)
                hover = await editor.hover(uri, 2)
                assert hover is not None
                assert at.url(thread) in hover
                asked = at.asked
                opened = await editor.command("openThread", uri=uri, fingerprint=mark)
                assert opened == {"url": at.url(thread)}
                assert at.asked == asked
                await editor.command("dismiss", uri=uri, fingerprint=mark)
                await editor.until_lines(uri, 1)
                at.fake.as_person(at.mr.author, at.project, at.mr).resolve(other, True)
                await editor.command("review")
                await editor.until_lines(uri)
                # It shows again what is known, and must have done so before that is cleared.
                await editor.until(lambda: "nothing new" in "".join(editor.messages()))
                await editor.command("undo")
                await editor.until_lines(uri, 2)
                assert threads(editor, uri) == []
                await editor.command("clear")
                await until_threads(editor, uri, 2)

    asyncio.run(run())


def test_a_gitlab_that_does_not_answer(tmp_path: Path) -> None:
    """No message and no state: what is known stays while its branch does, and the status says why."""

    async def run() -> None:
        async with branch(tmp_path) as at:
            at.discuss("Why?")
            uri = at.app.as_uri()
            how = {"home": tmp_path, "client": {"results": True}}
            async with editing(at.repository.root, at.settings, **how) as editor:
                await until_threads(editor, uri, 2)
                at.fake.fail(FaultKind.BAD_GATEWAY, times=9)
                asked = at.asked
                await editor.command("review")
                await editor.until_state("noEngine")
                while at.asked == asked:  # noqa: ASYNC110 - the server says nothing of it
                    await asyncio.sleep(0.01)
                shown = ""
                while "502" not in shown:
                    shown = (await editor.command("showStatus"))["markdown"]
                assert "threads cannot be read" in shown
                assert threads(editor, uri) == [2]
                at.repository.git("switch", "-qc", "other")
                await until_threads(editor, uri)
                assert not [text for text in editor.messages() if "thread" in text]

    asyncio.run(run())


def test_a_token_that_gitlab_refuses(tmp_path: Path) -> None:
    """It is said once, in the user's language and under the setting's name, and asked no more."""

    async def run() -> None:
        async with branch(tmp_path) as at:
            settings = {**at.settings, "gitlabToken": "wrong", "language": "ja"}
            async with editing(at.repository.root, settings, home=tmp_path) as editor:
                await editor.until(editor.messages)
                (said,) = editor.messages()
                assert "スレッドを読み込めません" in said
                assert "gitlabToken" in said
                assert "wrong" not in str(editor.told)
                assert (await editor.until_state("idle"))["health"] == "ok"
                editor.open(at.app)
                editor.settings["gitlabToken"] = at.reader.token
                at.discuss("Why?")
                editor.notify("workspace/didChangeConfiguration", {"settings": {}})
                await until_threads(editor, at.app.as_uri(), 2)
                editor.settings["threads"] = False
                editor.notify("workspace/didChangeConfiguration", {"settings": {}})
                await until_threads(editor, at.app.as_uri())

    asyncio.run(run())


def test_off_by_default(tmp_path: Path) -> None:
    """With an address and a token alone nothing is asked; without an address the missing key is named."""

    async def run() -> None:
        async with branch(tmp_path) as at:
            at.discuss("Why?")
            settings = {**at.settings}
            del settings["threads"]
            async with editing(at.repository.root, settings, home=tmp_path) as editor:
                await editor.until_state("idle")
                editor.save(editor.open(at.app))
                await editor.until_state("noEngine")
                assert at.asked == 0
            settings = {"threads": True, "embedded": False}
            async with editing(at.repository.root, settings, home=tmp_path) as editor:
                status = await editor.until_state("misconfigured")
                assert "gitlabUrl" in status["message"]

    asyncio.run(run())
