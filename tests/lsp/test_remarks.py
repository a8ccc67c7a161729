"""What a person says of a finding hides it, reaches the engine, and can be taken back."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

from editors import TestEditor, editing
from git_repository import Repository
from serving import Served, diff_of, finding_evals, serving
from test_editing import add_eval

from engine.client import HttpReviewClient
from engine.feedback import Feedback
from engine.store.opening import Store
from engine.wire import ReviewRequest

TEXT = "x = 1\nz = eval(x)\ny = 2\n"


def mark_of(editor: TestEditor, uri: str) -> str:
    """Return the fingerprint of the first finding shown."""
    return str(editor.diagnostics[uri]["diagnostics"][0]["data"]["fingerprint"])


def said(store: Store) -> list[Feedback]:
    """Return what the engine was told, the latest first."""
    return list(store.feedback.list_feedback(None, None, 10))


def test_team(repository: Repository, app: Path, engine: Served, store: Store, tmp_path: Path) -> None:
    """Won't fix and wrong leave the finding out of everybody's reviews, the bot's too; undo undoes it."""
    repository.git("remote", "add", "origin", "https://gitlab.example/group/app.git")
    request = ReviewRequest(diff=diff_of("app.py", *TEXT.splitlines()), project="group/app")

    def found_by_others() -> int:
        return len(HttpReviewClient(engine.url).review(request).findings)

    async def run() -> None:
        async with editing(app.parent, {"engineUrl": engine.url}, home=tmp_path) as editor:
            uri = await add_eval(editor, app)
            mark = mark_of(editor, uri)
            assert await asyncio.to_thread(found_by_others) == 1
            actions = await editor.actions(uri, 2)
            await editor.run(actions["Won't fix (for the team)"])
            await editor.until_lines(uri)
            assert await editor.actions(uri, 2) == {}
            await editor.until(lambda: editor.statuses()[-1]["pendingFeedback"] == 0)
            assert await asyncio.to_thread(found_by_others) == 0
            (entry,) = said(store)
            assert (entry.fingerprint, entry.verdict, entry.source) == (mark, "dismissed", "editor")
            await editor.command("undo")
            await editor.until_lines(uri, 2)
            await editor.until(lambda: len(said(store)) == 2 and not editor.statuses()[-1]["pendingFeedback"])
            assert await asyncio.to_thread(found_by_others) == 1
            await editor.run((await editor.actions(uri, 2))["Wrong: It is meant to be so"])
            await editor.until_lines(uri)
            await editor.until(lambda: len(said(store)) == 3)
            assert (said(store)[0].verdict, said(store)[0].reason) == ("wrong", "intended")
            assert said(store)[0].project == "group/app"
        async with editing(app.parent, {"engineUrl": engine.url}, home=tmp_path) as editor:
            uri = editor.open(app)
            await editor.until_state("idle")
            await editor.command("review", force=True)
            await editor.until(lambda: [p for p in editor.progress() if p["value"]["kind"] == "end"])
            assert editor.lines(uri) == []

    asyncio.run(run())


def test_here(app: Path, engine: Served, store: Store, tmp_path: Path) -> None:
    """What is dismissed here is told to nobody, and another editor on this machine hides it too."""

    async def run() -> None:
        async with editing(app.parent, {"engineUrl": engine.url}, home=tmp_path) as editor:
            uri = await add_eval(editor, app)
            mark = mark_of(editor, uri)
            await editor.run((await editor.actions(uri, 2))["Dismiss here"])
            await editor.until_lines(uri)
            async with editing(app.parent, {"engineUrl": engine.url}, home=tmp_path) as beside:
                beside.open(app)
                await beside.until(lambda: uri in beside.diagnostics)
                assert beside.lines(uri) == []
                await beside.command("undo", uri=uri, fingerprint="f" * 16)
                assert "nothing to take back" in "".join(beside.messages())
                await beside.command("undo", uri=uri, fingerprint=mark)
                await beside.until_lines(uri, 2)
            editor.save(uri)
            await editor.until_lines(uri, 2)
            assert said(store) == []

    asyncio.run(run())


def test_a_reason_is_asked_for(app: Path, engine: Served, store: Store, tmp_path: Path) -> None:
    """Who gives no reason is asked, and may leave it."""

    async def run() -> None:
        async with editing(app.parent, {"engineUrl": engine.url}, home=tmp_path) as editor:
            uri = await add_eval(editor, app)
            about = {"uri": uri, "fingerprint": mark_of(editor, uri)}
            await editor.command("wrong", **about)
            assert editor.lines(uri) == [2]
            editor.choice = "It is on the wrong line"
            await editor.command("wrong", **about)
            await editor.until_lines(uri)
            await editor.until(lambda: said(store))
            assert said(store)[0].reason == "wrongLine"

    asyncio.run(run())


def test_a_suggestion_that_was_taken(app: Path, store: Store, tmp_path: Path) -> None:
    """It is a good word for the finding."""
    from engine.api import feedback

    suggestion = json.dumps({"severity": "major", "message": "No.", "suggestion": "z = safe(x)"})
    routes = feedback.routes(store.feedback)

    async def run(url: str) -> None:
        async with editing(app.parent, {"engineUrl": url}, home=tmp_path) as editor:
            uri = await add_eval(editor, app)
            apply = (await editor.actions(uri, 2))["Apply suggestion"]
            editor.edit(uri, 3, ((1, 0, 1, 11), "z = safe(x)"))
            await editor.run(apply)
            await editor.until(lambda: said(store))
            assert said(store)[0].verdict == "applied"

    with serving(finding_evals(replies=suggestion), more_routes=routes) as served:
        asyncio.run(run(served.url))


def test_an_engine_that_is_away_is_told_later(
    app: Path, engine: Served, store: Store, tmp_path: Path
) -> None:
    """What was said survives the editor, waits on disk without code, and is told when the engine is back."""

    async def run() -> None:
        async with editing(app.parent, {"engineUrl": engine.url}, home=tmp_path) as editor:
            await add_eval(editor, app)
        away = {"engineUrl": "http://127.0.0.1:9"}
        async with editing(app.parent, {"engineUrl": engine.url}, home=tmp_path) as editor:
            uri = editor.open(app)
            await editor.until_lines(uri, 2)
            mark = mark_of(editor, uri)
            await editor.configure(**away)
            await editor.command("wontFix", uri=uri, fingerprint=mark)
            await editor.until_lines(uri)
            await editor.until_state("unreachable")
            assert editor.statuses()[-1]["pendingFeedback"] == 1
        assert said(store) == []
        kept = [path.read_text() for path in (tmp_path / "data").rglob("*.json")]
        assert len(kept) == 2
        assert not [text for text in kept if "eval" in text]
        async with editing(app.parent, {"engineUrl": engine.url}, home=tmp_path) as editor:
            await editor.until(lambda: said(store))
            await editor.until(lambda: editor.statuses()[-1]["pendingFeedback"] == 0)

    asyncio.run(run())
