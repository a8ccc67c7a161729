"""The reply: canonical form, grammar and reader agree, and the reader survives anything."""

from __future__ import annotations

import json

import pytest
from effort import computing_seconds
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.findings import Severity
from engine.replies import (
    MESSAGE_LENGTH,
    SUGGESTION_LENGTH,
    Malformed,
    Nothing,
    ParsedReply,
    canonical_reply,
    clean_message,
    clean_suggestion,
    dedent_suggestion,
    indent_suggestion,
    parse_reply,
    reply_schema,
)

llguidance = pytest.importorskip("llguidance")

messages = st.text(min_size=1, max_size=MESSAGE_LENGTH).filter(lambda text: bool(clean_message(text)))
suggestions = st.none() | st.text(max_size=SUGGESTION_LENGTH)
replies = st.builds(ParsedReply, st.sampled_from(Severity), messages, suggestions)
indents = st.text(alphabet=" \t", max_size=6)


class Grammar:
    """llguidance over a vocabulary of bytes: accepts or rejects whole texts."""

    def __init__(self) -> None:
        self.tokenizer = llguidance.LLTokenizer("byte")
        self.grammar = llguidance.LLMatcher.grammar_from_json_schema(json.dumps(reply_schema()))

    def accepts(self, text: str) -> bool:
        matcher = llguidance.LLMatcher(self.tokenizer, self.grammar)
        tokens = self.tokenizer.tokenize_bytes(text.encode())
        return bool(matcher.try_consume_tokens(tokens) == len(tokens) and matcher.is_accepting())


GRAMMAR = Grammar()


@given(reply=st.none() | replies)
@settings(max_examples=300)
def test_grammar_accepts_every_canonical_reply(reply: ParsedReply | None) -> None:
    """What is trained on can be written under the grammar, byte for byte."""
    assert GRAMMAR.accepts(canonical_reply(reply))


@given(reply=replies)
def test_reader_returns_what_was_written(reply: ParsedReply) -> None:
    """A canonical reply reads back as itself, cleaned, and is canonical again."""
    parsed = parse_reply(canonical_reply(reply))
    assert isinstance(parsed, ParsedReply)
    assert parsed == ParsedReply(
        reply.severity, clean_message(reply.message), clean_suggestion(reply.suggestion)
    )
    assert canonical_reply(parsed) == canonical_reply(reply)


@pytest.mark.parametrize(
    "text",
    [
        '{"message":"x","severity":"info"}',
        '{"severity":"info", "message":"x"}',
        '{"severity":"info"}',
        '{"severity":"info","message":""}',
        '{"severity":"blocker","message":"x"}',
        '{"severity":"info","message":"x","extra":1}',
        '{"severity":"info","message":"' + "x" * (MESSAGE_LENGTH + 1) + '"}',
        "[]",
        " null",
    ],
)
def test_grammar_rejects_other_forms(text: str) -> None:
    """Another key order, white space, unknown keys and over-long text cannot be written."""
    assert not GRAMMAR.accepts(text)


@given(text=st.text() | st.from_regex(r'\{"severity":"(info|minor)","message":".*'), truncated=st.booleans())
def test_reader_never_raises(text: str, truncated: bool) -> None:
    """Whatever the model says, the reader answers with one of its three values."""
    assert isinstance(parse_reply(text, truncated), ParsedReply | Nothing | Malformed)


@given(reply=replies, cut=st.integers(min_value=0, max_value=800))
def test_cut_off_reply_keeps_a_complete_message(reply: ParsedReply, cut: int) -> None:
    """Cut anywhere, a reply loses its suggestion but never has half a message."""
    text = canonical_reply(reply)
    parsed = parse_reply(text[:cut], truncated=True)
    if isinstance(parsed, ParsedReply):
        assert parsed.message == clean_message(reply.message)
        assert parsed.truncated == (cut < len(text))
    else:
        head = canonical_reply(ParsedReply(reply.severity, reply.message)).removesuffix("}")
        assert cut < len(head)


@pytest.mark.parametrize(
    "text",
    ["[" * 14_000, '{"severity":"info","message":"' + "\\" * 13_000, "1" * 13_999, '"' * 200_000],
)
def test_reader_is_bounded(text: str) -> None:
    """Deep nesting, runs of escapes and long numbers are malformed, and quickly so."""
    assert computing_seconds(lambda: parse_reply(text, truncated=True)) < 1
    assert isinstance(parse_reply(text, truncated=True), Malformed)


def test_control_characters_and_surrogates_go() -> None:
    """Neither a terminal escape nor half a surrogate pair survives reading."""
    parsed = parse_reply(
        '{"severity":"info","message":"a\\u001b[2J \\ud800b\\n c","suggestion":"x\\r\\n\\ty"}'
    )
    assert parsed == ParsedReply(Severity.INFO, "a[2J b c", "x\n\ty")


def test_nothing_to_say() -> None:
    """null is the escape, not an error."""
    assert parse_reply(canonical_reply(None)) == Nothing()


@pytest.mark.parametrize(
    "reply",
    [
        ParsedReply(Severity.INFO, " \x00 "),
        ParsedReply(Severity.INFO, "x" * (MESSAGE_LENGTH + 1)),
        ParsedReply(Severity.INFO, "x", "y" * (SUGGESTION_LENGTH + 1)),
    ],
)
def test_unwritable_reply_is_refused(reply: ParsedReply) -> None:
    """A training target that the grammar could not produce is an error, not a silent cut."""
    with pytest.raises(ValueError, match="characters"):
        canonical_reply(reply)


@given(indent=indents, rows=st.lists(st.text(alphabet="ab \t", max_size=8), min_size=1))
def test_dedent_undoes_indent(indent: str, rows: list[str]) -> None:
    """Indenting for a line and taking it off again gives the suggestion, blank lines emptied."""
    suggestion = "\n".join(row if row.strip() else "" for row in rows)
    assert dedent_suggestion(indent_suggestion(suggestion, f"{indent}x"), f"{indent}x") == suggestion


@given(indent=indents, text=st.text(alphabet="ab \t\n", max_size=40))
def test_indent_undoes_dedent(indent: str, text: str) -> None:
    """A suggestion that can be dedented comes back exactly, blank lines emptied."""
    dedented = dedent_suggestion(text, f"{indent}x")
    if dedented is not None:
        expected = "\n".join(row if row.strip() else "" for row in text.split("\n"))
        assert indent_suggestion(dedented, f"{indent}x") == expected


def test_dedent_refuses_shallower_lines() -> None:
    """A suggestion that leaves the line's block has no dedented form."""
    assert dedent_suggestion("    a\nb", "    x") is None
