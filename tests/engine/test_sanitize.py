"""Untrusted text is shown whole and does nothing. Payloads stand in data/sanitize/payloads.json."""

from __future__ import annotations

import json
import re
import sys
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

from engine.sanitize import code_span, fence, inline, is_verbatim, json_text, one_line, plain, prose

PAYLOADS: dict[str, str] = json.loads(
    (Path(__file__).parent.parent / "data" / "sanitize" / "payloads.json").read_text(encoding="utf-8")
)
MARKDOWN = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
QUIET_BLOCKS = {"paragraph_open", "inline", "paragraph_close"}
QUIET_INLINES = {"text", "code_inline", "softbreak"}
# What a forge makes of text that is neither code nor markup.
LIVE_TEXT = re.compile(
    r"@[A-Za-z0-9_.]|[#!]\d|://|www\.|javascript:|mailto:|\b[0-9a-f]{7,40}\b|\bGL-\d",
    re.ASCII | re.IGNORECASE,
)
VISIBLE_FORMAT_CHARACTERS = set(map(chr, [*range(0x600, 0x606), 0x6DD, 0x70F, 0x890, 0x891, 0x8E2]))
MARKUP = st.text(st.sampled_from("`*_[]()<>!@#~|$/\\&-+=:. \n\tab1あ\r\u200b\u202e\x1b\ufe0f"), max_size=40)
TEXTS = st.one_of(MARKUP, st.text(), st.lists(st.sampled_from(list(PAYLOADS.values()))).map("".join))

each_payload = pytest.mark.parametrize("payload", PAYLOADS.values(), ids=PAYLOADS.keys())


def hidden(text: str) -> set[str]:
    """Name the characters of `text` that a reader can't see."""
    kinds = {"Cc", "Cf", "Cs", "Zl", "Zp"}
    found = {character for character in text if unicodedata.category(character) in kinds}
    return found - VISIBLE_FORMAT_CHARACTERS - {"\n", "\t"}


def letters(text: str) -> str:
    """Leave out what markup may add: white space, and the backticks of code."""
    return re.sub(r"[\s`]", "", text)


def inlines(markdown: str) -> list[Token]:
    """Return the inline tokens of `markdown`, which must be nothing but paragraphs."""
    tokens = MARKDOWN.parse(markdown)
    assert {token.type for token in tokens} <= QUIET_BLOCKS
    return [child for token in tokens for child in token.children or []]


def assert_quiet(markdown: str, shown: str) -> None:
    """Assert that `markdown` renders to the words of `shown` and can do nothing."""
    assert not hidden(markdown)
    assert not re.search(r"^/[A-Za-z]", markdown, re.MULTILINE)
    assert "`" in markdown or "<!--" not in markdown
    children = inlines(markdown)
    assert {child.type for child in children} <= QUIET_INLINES
    assert letters("".join(child.content for child in children)) == letters(shown)
    for child in children:
        assert child.type != "text" or not LIVE_TEXT.search(child.content)


def test_corpus_is_large() -> None:
    """At least sixty ways to misbehave are kept."""
    assert len(PAYLOADS) >= 60


@each_payload
def test_plain_shows_hidden_characters(payload: str) -> None:
    """Plain text holds no character that a terminal acts on or a reader can't see."""
    assert not hidden(plain(payload))
    assert "\n" not in one_line(payload)


@each_payload
def test_inline_is_quiet(payload: str) -> None:
    """A payload on one line of Markdown shows its words and does nothing."""
    assert "\n" not in inline(payload)
    assert_quiet(inline(payload), one_line(payload))


@each_payload
def test_prose_is_quiet(payload: str) -> None:
    """A payload of several lines shows its words and does nothing."""
    assert_quiet(prose(payload), plain(payload))


@each_payload
@pytest.mark.parametrize("language", ["", "diff", "suggestion:-0+1"])
def test_fence_holds(payload: str, language: str) -> None:
    """A fenced payload stays in its fence, and GitLab finds no quick action in it."""
    block = fence(payload, language)
    first, *others = MARKDOWN.parse(f"{block}\n\nafter\n")
    assert (first.type, first.info) == ("fence", language)
    assert [token.type for token in others] == ["paragraph_open", "inline", "paragraph_close"]
    assert letters(first.content) == letters(plain(payload))
    assert not re.search(r"^/[A-Za-z]", block, re.MULTILINE)


@each_payload
def test_code_span_is_code(payload: str) -> None:
    """A payload as inline code is one code span with its text unchanged."""
    if shown := one_line(payload):
        assert [(child.type, child.content) for child in inlines(code_span(payload))] == [
            ("code_inline", shown)
        ]


@each_payload
def test_json_text_is_readable_and_equal(payload: str) -> None:
    """JSON shows no hidden character and is read back as the same value."""
    text = json_text({payload: [payload]})
    assert not hidden(text)
    assert json.loads(text) == {payload: [payload]}


@given(TEXTS)
def test_any_text_is_quiet(text: str) -> None:
    """Whatever the text, Markdown shows its words and does nothing."""
    assert_quiet(inline(text), one_line(text))
    assert_quiet(prose(text), plain(text))


@given(TEXTS)
def test_any_fence_holds(code: str) -> None:
    """Whatever the code, its fence is closed by nothing in it; verbatim code is shown as it is."""
    first, *others = MARKDOWN.parse(f"{fence(code)}\n\nafter\n")
    assert first.type == "fence"
    assert len(others) == 3
    assert not is_verbatim(code) or first.content == f"{code}\n"


@given(TEXTS)
def test_plain_is_idempotent(text: str) -> None:
    """Text that was made plain stays as it is."""
    assert plain(plain(text)) == plain(text)


def test_every_hidden_character_is_known() -> None:
    """No control, format, surrogate or separator character of Unicode slips through."""
    every = "".join(map(chr, range(sys.maxunicode + 1)))
    assert not hidden(plain(every))


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\u202eb", "a<U+202E>b"),
        ("\x1b[31m", "␛[31m"),
        ("a\r\nb\rc", "a\nb␍c"),
        ("\U000e0041", "<U+E0041>"),
        ("❤\ufe0f 葛\U000e0100", "❤\ufe0f 葛\U000e0100"),
        ("x\ufe00\ufe01", "x\ufe00<U+FE01>"),
        ("tab\tstays", "tab\tstays"),
    ],
)
def test_plain(text: str, shown: str) -> None:
    """Hidden characters get a picture or their number; a single variation selector stays."""
    assert plain(text) == shown


@pytest.mark.parametrize(
    ("text", "markdown"),
    [
        ("Use `foo()` here.", "Use `foo()` here."),
        ("@Override is missing (see #12).", "`@Override` is missing (see `#12`)."),
        ("user_id may be None", "`user_id` may be None"),
        ("it's a < b && c", "it's a &lt; b &amp;&amp; c"),
        ("foo(@bar)", "`foo(@bar)`"),
        ("# Not a heading", "\\# Not a heading"),
        ("1. Not a list", "1\\. Not a list"),
        ("nullの場合は`@Nullable`が必要です。", "nullの場合は`@Nullable`が必要です。"),
    ],
)
def test_inline(text: str, markdown: str) -> None:
    """Ordinary messages stay readable: code stays code, and what would act becomes code."""
    assert inline(text) == markdown


@pytest.mark.parametrize(
    ("code", "verbatim"),
    [
        ("return x", True),
        ("/* comment */", True),
        ("/merge", False),
        ("a\u202eb", False),
        ("```\nx\n```", True),
    ],
)
def test_is_verbatim(code: str, verbatim: bool) -> None:
    """Only code that a fence shows unchanged may be offered for applying."""
    assert is_verbatim(code) is verbatim


def test_fence_drops_a_language_that_is_none() -> None:
    """A language that could end the info string is left out."""
    assert fence("x", "py\n/merge") == "```\nx\n```"
