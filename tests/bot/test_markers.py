"""Markers survive the way to GitLab and back, and nobody else can set one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.gitlab import Discussion, Note
from bot.markers import SUMMARY, Marker, MarkerKind, marked, marker_of, marker_of_discussion

texts = st.text(max_size=40).filter(lambda text: not any("\ud800" <= char <= "\udfff" for char in text))


@given(
    st.sampled_from(MarkerKind),
    texts.filter(bool),
    st.dictionaries(st.from_regex("[a-z]+", fullmatch=True), texts),
)
def test_marker_round_trip(kind: MarkerKind, key: str, info: dict[str, str]) -> None:
    """Any id and any value come back as they were."""
    read = marker_of(marked("Text.", Marker(kind, key, info)))
    assert read == Marker(kind, key)
    assert read is not None
    assert read.info == info


@given(st.sampled_from(MarkerKind), texts.filter(bool), texts)
def test_marker_is_one_closed_comment(kind: MarkerKind, key: str, value: str) -> None:
    """No value can end the comment early or start a line."""
    text = str(Marker(kind, key, {"head": value}))
    assert text.count("-->") == 1
    assert "\n" not in text
    assert text.endswith(" -->")


@pytest.mark.parametrize(
    "body",
    [
        "",
        "Text.",
        f"{SUMMARY}\n\nmore text",
        f"quoted {SUMMARY}",
        f"> {SUMMARY}",
        f"```\n{SUMMARY}\n```",
        "<!-- tenken:unknown x -->",
        "<!-- tenken:finding -->",
        "<!-- tenken:finding a b -->",
    ],
)
def test_only_the_last_line_counts(body: str) -> None:
    """What the bot quotes, or what is no marker of its own, is none."""
    assert marker_of(body) is None


def test_white_space_after_the_marker_does_not_count() -> None:
    """GitLab may strip it or not."""
    assert marker_of(f"{marked('Text.', SUMMARY)}  \n") == SUMMARY


def test_a_foreign_marker_is_none() -> None:
    """A marker in somebody else's note is text."""
    note = Note(id=1, author_id=7, body=marked("Text.", SUMMARY))
    assert marker_of_discussion(Discussion("a" * 40, (note,)), me=7) == SUMMARY
    assert marker_of_discussion(Discussion("a" * 40, (note,)), me=8) is None
    assert marker_of_discussion(Discussion("a" * 40, ()), me=8) is None
