"""The demo: its page shows what is there and runs none of it; what is typed in it reaches the bot."""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path

import aiohttp
import pytest
from bot_world import world

from bot.demo.markdown import to_html
from bot.demo.rendering import page
from bot.demo.run import demo
from bot.demo.sample_files import sample
from bot.demo.suggestions import Suggestion, apply_suggestion, suggestion_in
from bot.fake_gitlab import FakeGitLab
from engine.wire import Language

HOSTILE = (
    "<script>alert(1)</script> ![x](http://evil.example/x.png) <img src=x onerror=alert(1)> [a](javascript:1)"
)


def test_a_note_is_shown_and_not_run() -> None:
    """HTML is text, images are not loaded, and hidden comments stay hidden; folds and tables work."""
    html = to_html(
        f"{HOSTILE}\n\n<details><summary>More</summary>\n\n| a |\n| --- |\n| 1 |\n\n</details>\n\n<!-- x -->"
    )
    assert "<script" not in html
    assert "<img" not in html
    assert 'href="javascript' not in html
    assert "<details><summary>More</summary>" in html
    assert "<table>" in html
    assert "x -->" not in html


def test_names_and_code_are_escaped() -> None:
    """Titles, branches, paths, lines of code and the words of the page itself."""

    async def main() -> None:
        async with FakeGitLab() as fake:
            project = fake.add_project("team/app", files={"a.py": "x = 1\n"})
            mr = fake.add_merge_request(
                project, {"a.py": f"x = 1  # {HOSTILE}\n", "<b>.py": "y = 2\n"}, title=HOSTILE, branch="a<b"
            )
            _, _ = fake.as_person(mr.author, project, mr).note(HOSTILE)
            html = page(mr, project.path, Language.EN)
        assert html.count("<script") == 1  # the page's own
        assert "<img" not in html
        assert "&lt;b&gt;.py" in html

    asyncio.run(main())


def test_both_languages_say_that_it_is_a_demo() -> None:
    """Nobody shall take the page for a GitLab."""

    async def main() -> None:
        async with FakeGitLab() as fake:
            project = fake.add_project()
            mr = fake.add_merge_request(project, {"a.py": "x = 1\n"})
            assert "This is a demo" in page(mr, project.path, Language.EN)
            assert "これはデモです" in page(mr, project.path, Language.JA)

    asyncio.run(main())


@pytest.mark.parametrize(
    ("block", "line", "after"),
    [
        ("```suggestion:-0+0\nB\n```", 2, "a\nB\nc\n"),
        ("```suggestion\nB\nC\n```", 2, "a\nB\nC\nc\n"),
        ("```suggestion:-1+1\nX\n```", 2, "X\n"),
        ("```suggestion:-0+0\n```", 2, "a\nc\n"),
        ("````suggestion:-0+0\n```\n````", 2, "a\n```\nc\n"),
    ],
)
def test_a_suggestion_takes_the_place_of_its_lines(block: str, line: int, after: str) -> None:
    """As GitLab's button does, removal and fences in code included."""
    found = suggestion_in(f"Some words.\n\n{block}\n")
    assert found is not None
    assert apply_suggestion("a\nb\nc\n", line, found) == after


def test_words_are_no_suggestion() -> None:
    """Nor is another kind of block."""
    assert suggestion_in("```python\nx\n```\nsuggestion") is None
    assert suggestion_in("```suggestion:-2+1\nx\n```") == Suggestion(2, 1, "x\n")


def test_the_sample_has_a_change_in_it() -> None:
    """Its files carry the names they have in the shop, and the change has faults to find."""
    before, after = sample("before"), sample("after")
    assert before.keys() == after.keys() == {"shop/orders.py", "docs/orders.md"}
    assert "except:" in after["shop/orders.py"]
    compile(after["shop/orders.py"], "orders.py", "exec")


def test_what_is_typed_reaches_the_bot_and_its_answers_the_page(tmp_path: Path) -> None:
    """The whole loop but for the model; other sites' pages are kept out."""

    async def main() -> None:
        async with (
            world(tmp_path) as at,
            demo(0, Language.EN, at.engine_url) as url,
            aiohttp.ClientSession() as session,
        ):
            async with session.get(url) as answer:
                assert "script-src 'self'" in answer.headers["Content-Security-Policy"]
                assert "Nothing has been said yet" in await answer.text()
            foreign = {"Origin": "http://evil.example"}
            async with session.post(f"{url}/notes", data={"text": "/review"}, headers=foreign) as answer:
                assert answer.status == 403
            async with session.get(url, headers={"Host": "evil.example"}) as answer:
                assert answer.status == 403
            async with session.post(f"{url}/notes", data={"text": "/help"}) as answer:
                assert answer.status == 200
            shown = await _until(session, url, "👀✅")  # comes last
            assert "What I do" in shown
            async with session.post(f"{url}/notes", data={"text": "/review"}) as answer:
                assert answer.status == 200
            shown = await _until(session, url, "Nothing to report", "No file was reviewed", "Reviewed at")
            assert re.search(r"<td>\d+</td>", shown)

    asyncio.run(main())


async def _until(session: aiohttp.ClientSession, url: str, *words: str) -> str:
    """Return the first state of the page, as events tell it, that has one of these words."""
    async with asyncio.timeout(240), session.get(f"{url}/events") as events:
        async for line in events.content:
            if line.startswith(b"data: "):
                shown: str = json.loads(line.removeprefix(b"data: "))
                if any(word in shown for word in words):
                    return shown
    raise AssertionError("the events ended")
