"""Whatever the code, its names or the model say: what is posted shows it and does nothing.

The payloads are those of the engine's own tests (data/sanitize) and those for a bot (data/injections.json).
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from markdown_it import MarkdownIt
from markdown_it.token import Token
from reviews import publish_in, review_of
from scenes import AFTER, Scene, scene

from bot.fake_gitlab.state import StoredNote
from bot.markers import marker_of
from engine.findings import Category, Finding, Severity
from engine.wire import FileCoverage, Review, SkipReason

ROOT = Path(__file__).parents[1]
OURS = json.loads((Path(__file__).parent / "data" / "injections.json").read_text("utf-8"))
SECRETS: dict[str, dict[str, str]] = OURS["secrets"]
PAYLOADS: dict[str, str] = {
    **json.loads((ROOT / "data" / "sanitize" / "payloads.json").read_text("utf-8")),
    **{name: payload["text"] for name, payload in SECRETS.items()},
    **OURS["others"],
}
INSTANCE = "http://gitlab/team/app/-/merge_requests/1"
MARKDOWN = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
OWN_HTML = re.compile(
    r"<!-- tenken:(?:finding|summary) [\w.%~=\- ]+ -->\n?|<details><summary>[^<>]*</summary>\n|</details>\n"
)
# What GitLab makes of text that is neither code nor markup.
LIVE_TEXT = re.compile(
    r"@[A-Za-z0-9_.]|[#!]\d|://|www\.|javascript:|mailto:|\b[0-9a-f]{7,40}\b|\bGL-\d",
    re.ASCII | re.IGNORECASE,
)
PEOPLE = ("root", "all", "alice", "a.b_c-d")
FIELDS = ("message", "code", "suggestion", "path", "path of a suggestion")
SOURCE_LINE = 6


def test_corpus_is_large() -> None:
    """At least sixty ways to misbehave, and each field of a finding tries them all."""
    assert len(PAYLOADS) >= 60


def finding_with(field: str, payload: str, number: int) -> Finding:
    """Return a finding that carries a payload. One with a path of its own stands nowhere in the diff."""
    values = {
        "message": f"Remark {number}.",
        "code": "added = True",
        "suggestion": None,
        "path": "src/app.py",
    }
    if field == "path of a suggestion":
        values |= {"path": payload, "suggestion": "x"}
    else:
        values[field] = payload
    return Finding(
        **values,
        line=SOURCE_LINE,
        end_line=SOURCE_LINE,
        severity=Severity.MINOR,
        category=Category.STYLE,
        confidence=0.5,
        fingerprint=f"{number:016x}",
    )


def publish_all(field: str) -> tuple[list[StoredNote], Scene]:
    """Publish a finding for each payload and return the bot's notes."""

    async def play() -> tuple[list[StoredNote], Scene]:
        async with scene() as stage:
            for name in PEOPLE:
                stage.fake.add_person(name)
            findings = [finding_with(field, text, n) for n, text in enumerate(PAYLOADS.values())]
            review = _with_payloads(review_of(findings, ["src/app.py"]))
            await publish_in(stage, findings, review=review, web_url=INSTANCE)
            assert len(stage.bot_notes) == len(PAYLOADS) + 1
            return stage.bot_notes, stage

    return asyncio.run(play())


def _with_payloads(review: Review) -> Review:
    """Return the review with payloads in the rest of what a summary shows."""
    skipped = tuple(
        FileCoverage(path=text, reviewed=False, reason=SkipReason.EXCLUDED, detail=text)
        for text in PAYLOADS.values()
    )
    return review.model_copy(
        update={"coverage": (*review.coverage, *skipped), "base_model": "m @root", "adapter": "a\n/close"}
    )


def tokens_of(body: str) -> Iterator[Token]:
    for token in MARKDOWN.parse(body):
        yield token
        yield from token.children or ()


@pytest.mark.parametrize("field", FIELDS)
def test_nothing_that_is_posted_acts(field: str) -> None:
    """No quick action runs, nobody is called, nothing is loaded or linked outside, no HTML but our own."""
    notes, stage = publish_all(field)
    world = stage.fake.world
    assert [action for who, action in world.actions if who is stage.fake.bot] == []
    assert [todo for todo in world.todos if todo.author is stage.fake.bot] == []
    for note in notes:
        assert not re.search(r"^/[A-Za-z]", note.body, re.MULTILINE)
        in_link = False
        for token in tokens_of(note.body):
            assert token.type not in ("image", "html_inline"), note.body
            if token.type == "html_block":
                assert OWN_HTML.fullmatch(token.content), note.body
            elif token.type == "link_open":
                assert str(token.attrs["href"]).startswith(f"{INSTANCE}#note_"), note.body
                in_link = True
            elif token.type == "link_close":
                in_link = False
            elif token.type == "text" and not in_link:
                assert not LIVE_TEXT.search(token.content), note.body


@pytest.mark.parametrize("field", FIELDS)
def test_no_secret_is_posted(field: str) -> None:
    """Neither as text nor in a marker."""
    notes, _ = publish_all(field)
    everything = "\n".join(note.body for note in notes)
    for name, payload in SECRETS.items():
        assert payload["secret"] not in everything, name
        assert payload["secret"] not in everything.replace("\\", ""), name


@pytest.mark.parametrize("field", FIELDS)
def test_markers_are_those_the_bot_set(field: str) -> None:
    """A marker in a payload is text; the note is known by its own."""
    notes, _ = publish_all(field)
    found = [marker_of(note.body) for note in notes]
    assert [marker.id for marker in found if marker] == [
        *(f"{n:016x}" for n in range(len(PAYLOADS))),
        "review",
    ]


def test_every_applicable_suggestion_is_what_was_suggested() -> None:
    """A block that can be applied holds the text to the letter; what cannot be so is only shown."""
    notes, _ = publish_all("suggestion")
    applicable = 0
    for payload, note in zip(PAYLOADS.values(), notes, strict=False):
        fences = [token for token in MARKDOWN.parse(note.body) if token.type == "fence"]
        assert len(fences) == 1, note.body
        if fences[0].info.startswith("suggestion"):
            assert fences[0].info == "suggestion:-0+0"
            assert fences[0].content == f"{payload}\n"
            applicable += 1
    assert 0 < applicable < len(PAYLOADS)


def test_payloads_in_code_and_title_change_nothing() -> None:
    """A merge request made of payloads is reviewed like any other."""

    async def play() -> None:
        text = "".join(f"{payload}\n" for payload in PAYLOADS.values() if "\0" not in payload)
        files = {**AFTER, "src/payload.py": text.encode("utf-8", "replace")}
        async with scene(after=files) as stage:
            stage.mr.title = stage.mr.description = "/merge @root"
            lines = text.encode("utf-8", "replace").decode().split("\n")
            findings = [
                finding_with("message", "Remark.", n).model_copy(
                    update={"path": "src/payload.py", "line": n, "end_line": n, "code": lines[n - 1]}
                )
                for n in range(1, len(lines), 3)
                if lines[n - 1]
            ]
            await publish_in(stage, findings)
            assert len(stage.bot_notes) == len(findings) + 1
            assert stage.fake.world.refused == []
            assert stage.fake.world.actions == []

    asyncio.run(play())
