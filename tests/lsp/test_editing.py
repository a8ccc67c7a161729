"""A whole server with an editor in front and an engine behind: what a person sees of a review."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from threading import Event

import pytest
from editors import TestEditor, editing
from git_repository import Repository
from serving import Served, finding_evals, serving

SUGGESTION = json.dumps({"severity": "major", "message": "No `eval`.", "suggestion": "z = safe(x)"})


async def add_eval(editor: TestEditor, app: Path, text: str = "x = 1\nz = eval(x)\ny = 2\n") -> str:
    """Open a file, change it, save it, and wait for the finding on its second line and the review's end.

    Findings show while a review runs; what a restart shows is kept when it ends.
    """
    uri = editor.open(app)
    editor.edit(uri, 2, text)
    editor.save(uri, text)
    await editor.until_lines(uri, 2)
    await editor.until(lambda: ended(editor))
    return uri


@pytest.mark.parametrize(("name", "column"), [("vscode", 16), ("neovim", 18)])
def test_from_a_save_to_a_fix(name: str, column: int, app: Path, engine: Served, tmp_path: Path) -> None:
    """A saved change is reviewed; in the client's units its finding follows the text, and goes with it."""

    async def run() -> None:
        async with editing(app.parent, {"engineUrl": engine.url}, editor=name, home=tmp_path) as editor:
            await editor.until_state("idle")
            uri = await add_eval(editor, app, "x = 1\n  z = eval('😀')\ny = 2\n")
            shown = editor.diagnostics[uri]
            (item,) = shown["diagnostics"]
            assert shown["version"] == 2
            assert (item["source"], item["code"], item["severity"]) == ("tenken", "security", 3)
            end = {"line": 1, "character": column}
            assert item["range"] == {"start": {"line": 1, "character": 2}, "end": end}
            assert item["data"] == {
                "fingerprint": item["data"]["fingerprint"],
                "severity": "minor",
                "category": "security",
                "confidence": 0.9,
                "adapter": "",
                "hasSuggestion": False,
            }
            editor.edit(uri, 3, ((0, 0, 0, 0), "# above\n"))
            await editor.until_lines(uri, 3)
            editor.edit(uri, 4, ((2, 0, 2, 2), ""))
            await editor.until_lines(uri)
            assert await editor.end() == 0

    asyncio.run(run())


def test_a_restart_shows_what_is_known(app: Path, engine: Served, tmp_path: Path) -> None:
    """What was said of a text that was reviewed is shown at once, with no engine; nothing of other texts."""

    async def run() -> None:
        async with editing(app.parent, {"engineUrl": engine.url}, home=tmp_path) as editor:
            await add_eval(editor, app)
        engine.stop()
        async with editing(app.parent, {"engineUrl": engine.url}, home=tmp_path) as editor:
            await editor.until_lines(app.as_uri(), 2)
            assert "version" not in editor.diagnostics[app.as_uri()]
            assert editor.messages() == []
            uri = editor.open(app, "# dirty\nx = 1\nz = eval(x)\ny = 2\n")
            await editor.until_lines(uri, 3)
            editor.edit(uri, 2, "nothing")
            await editor.until_lines(uri)
            editor.close(uri)
            await editor.until_lines(uri, 2)

    asyncio.run(run())


@pytest.mark.parametrize("name", ["vscode", "neovim"])
def test_a_suggestion_is_applied(name: str, app: Path, tmp_path: Path) -> None:
    """Its edit names the version where the client knows versions, else it is made when the client asks."""

    async def run(url: str) -> None:
        async with editing(app.parent, {"engineUrl": url}, editor=name, home=tmp_path) as editor:
            uri = await add_eval(editor, app, "x = 1\r\n  z = eval(x)\r\ny = 2\r\n")
            assert await editor.actions(uri, 1) == await editor.actions(uri, 2, only="refactor") == {}
            actions = await editor.actions(uri, 2, only="quickfix")
            apply = actions["Apply suggestion"]
            assert apply["tags"] == [1]
            assert apply["command"]["command"] == "tenken.applied"
            place = {"start": {"line": 1, "character": 0}, "end": {"line": 1, "character": 13}}
            edit = {"range": place, "newText": "  z = safe(x)"}
            if name == "vscode":
                (change,) = apply["edit"]["documentChanges"]
                assert change == {"textDocument": {"uri": uri, "version": 2}, "edits": [edit]}
                preview = actions["Preview suggestion"]["edit"]
                (annotation,) = preview["changeAnnotations"].values()
                assert annotation["needsConfirmation"] is True
            else:
                assert "Preview suggestion" not in actions
                resolved = await editor.request("codeAction/resolve", apply)
                assert resolved["edit"] == {"changes": {uri: [edit]}}
                hide = actions["Dismiss here"]
                assert await editor.request("codeAction/resolve", hide) == hide
            editor.edit(uri, 3, ((1, 0, 1, 13), "z = safe(x)"))
            await editor.until_lines(uri)
            if name == "neovim":
                late = await editor.request("codeAction/resolve", apply)
                assert "edit" not in late
                assert "changed since" in "".join(editor.messages())

    with serving(finding_evals(replies=SUGGESTION)) as served:
        asyncio.run(run(served.url))


def test_what_is_said_of_a_finding(app: Path, tmp_path: Path) -> None:
    """Hover, explanation and prompt say what is known, with nothing of the model's acting as markup."""

    async def run(url: str) -> None:
        async with editing(app.parent, {"engineUrl": url}, home=tmp_path, client={"results": True}) as editor:
            uri = await add_eval(editor, app)
            mark = editor.diagnostics[uri]["diagnostics"][0]["data"]["fingerprint"]
            hover = await editor.hover(uri, 2)
            assert hover is not None
            for part in ("major · security · 90% sure", "\\<b\\>", "z = safe(x)", mark):
                assert part in hover.replace("&lt;b&gt;", "\\<b\\>")
            assert await editor.hover(uri, 1) is None
            prompt = (await editor.command("copyPrompt", uri=uri, fingerprint=mark))["text"]
            assert "app.py, line 2" in prompt
            assert "z = eval(x)" in prompt
            answer = await editor.command("explain", uri=uri, fingerprint=mark)
            assert answer, editor.messages()
            assert answer["title"] == "Explanation"
            assert "Because." in answer["markdown"]
            assert not [message for message in editor.asked if message["method"] == "window/showDocument"]
        async with editing(app.parent, {"engineUrl": url, "language": "ja"}, home=tmp_path) as editor:
            uri = await add_eval(editor, app)
            hover = await editor.hover(uri, 2)
            assert hover is not None
            assert "重要 · セキュリティ · 確信度 90%" in hover
            assert "修正案を適用" in await editor.actions(uri, 2)
            mark = editor.diagnostics[uri]["diagnostics"][0]["data"]["fingerprint"]
            await editor.command("explain", uri=uri, fingerprint=mark)
            (shown,) = [m for m in editor.asked if m["method"] == "window/showDocument"]
            assert shown["params"]["uri"].endswith(".md")

    said = json.dumps({"severity": "major", "message": "No <b>.", "suggestion": "z = safe(x)"})
    answer = json.dumps({"answer": "Because."})
    with serving(
        finding_evals(replies=lambda request: answer if "answer" in str(request.schema) else said)
    ) as served:
        asyncio.run(run(served.url))


def test_progress_and_cancel(app: Path, tmp_path: Path) -> None:
    """A running review is shown and can be stopped; the findings from before stay."""
    hold = Event()
    hold.set()

    async def run(url: str) -> None:
        async with editing(app.parent, {"engineUrl": url}, home=tmp_path) as editor:
            uri = await add_eval(editor, app)
            hold.clear()
            text = "x = 1\nz = eval(x)\nnew = eval(x)\n"
            editor.edit(uri, 3, text)
            editor.save(uri, text)
            await editor.until(lambda: len(begun(editor)) == 2)
            token = begun(editor)[-1]
            await editor.until_state("reviewing")
            editor.notify("window/workDoneProgress/cancel", {"token": token})
            await editor.until(lambda: ended(editor).get(token) == "stopped")
            assert (await editor.until_state("idle"))["findings"] == 1
            assert editor.lines(uri) == [2]
            hold.set()
            await editor.command("review", uri=uri)
            await editor.until_lines(uri, 2, 3)
            await editor.until(lambda: len(ended(editor)) == 3)
            assert list(ended(editor).values()) == ["1 finding", "stopped", "2 findings"]

    with serving(finding_evals(hold=hold)) as served:
        asyncio.run(run(served.url))


def begun(editor: TestEditor) -> list[str]:
    """Return the tokens of progress that began."""
    return [p["token"] for p in editor.progress() if p["value"]["kind"] == "begin"]


def ended(editor: TestEditor) -> dict[str, str]:
    """Return the last words of progress that ended, by token."""
    return {p["token"]: p["value"]["message"] for p in editor.progress() if p["value"]["kind"] == "end"}


def test_the_newest_save_wins(app: Path, tmp_path: Path) -> None:
    """A review of a text that is no more is stopped; one whose text still holds goes on."""
    hold = Event()

    async def run(url: str) -> None:
        async with editing(app.parent, {"engineUrl": url}, home=tmp_path) as editor:
            uri = editor.open(app)
            for version, name in enumerate(("first", "second"), 2):
                text = f"x = 1\n{name} = eval(x)\n"
                editor.edit(uri, version, text)
                editor.save(uri, text)
                await editor.until(lambda version=version: len(begun(editor)) == version - 1)
            editor.save(uri)
            await editor.until(lambda: len(ended(editor)) == 1)
            hold.set()
            await editor.until_lines(uri, 2)
            await editor.until(lambda: len(ended(editor)) == 2)
            assert list(ended(editor).values()) == ["stopped", "1 finding"]
            assert len(begun(editor)) == 2

    with serving(finding_evals(hold=hold)) as served:
        asyncio.run(run(served.url))


def test_a_commit_and_a_branch(repository: Repository, engine: Served, tmp_path: Path) -> None:
    """A commit is reviewed without a save; back on the base nothing is shown; commands need no save."""

    async def run() -> None:
        repository.commit(app="x = 1\n")
        repository.git("switch", "-qc", "topic")
        app = repository.root / "app.py"
        async with editing(repository.root, {"engineUrl": engine.url}, home=tmp_path) as editor:
            await editor.until_state("idle")
            repository.commit(app="x = 1\ny = eval(x)\n", other="z = eval(1)\n")
            await editor.until_lines(app.as_uri(), 2)
            other = (repository.root / "other.py").as_uri()
            await editor.until_lines(other, 1)
            await editor.until_state("idle")
            repository.git("switch", "-q", "main")
            await editor.until_lines(app.as_uri())
            await editor.until_lines(other)
            await editor.command("review")
            await editor.until(lambda: "nothing changed" in "".join(editor.messages()))
            repository.git("switch", "-q", "topic")
            await editor.until_lines(app.as_uri(), 2)
            await editor.until_state("idle")  # a review that runs would show again what is cleared
            await editor.command("clear")
            await editor.until_lines(app.as_uri())
            await editor.configure(scope="head")
            await editor.command("reviewBranch")
            await editor.until_lines(app.as_uri(), 2)

    asyncio.run(run())


def test_pulled_diagnostics(app: Path, engine: Served, tmp_path: Path) -> None:
    """A client that can refresh pulls open files and is pushed others, never both; Neovim is pushed all."""

    async def run() -> None:
        other = app.with_name("other.py")
        other.write_text("z = eval(1)\n")
        client = {"status": True}
        options = {"initializationOptions": {"client": client, "pull": True}}
        async with editing(app.parent, {"engineUrl": engine.url}, home=tmp_path, **options) as editor:
            assert editor.initialized["capabilities"]["diagnosticProvider"]["interFileDependencies"] is False
            uri = editor.open(app)
            text = "x = 1\nz = eval(x)\n"
            editor.edit(uri, 2, text)
            editor.save(uri, text)
            await editor.until(lambda: "workspace/diagnostic/refresh" in [m["method"] for m in editor.asked])
            await editor.until_state("idle")
            report = await editor.request("textDocument/diagnostic", {"textDocument": {"uri": uri}})
            assert [item["range"]["start"]["line"] for item in report["items"]] == [1]
            assert editor.lines(uri) == []
            await editor.until_lines(other.as_uri(), 1)
            editor.open(other)
            await editor.until_lines(other.as_uri())
        async with editing(
            app.parent, {"engineUrl": engine.url}, editor="neovim", home=tmp_path, **options
        ) as editor:
            assert "diagnosticProvider" not in editor.initialized["capabilities"]
            await editor.until_lines(app.as_uri(), 2)

    asyncio.run(run())
