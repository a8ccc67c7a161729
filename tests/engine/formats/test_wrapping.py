"""Lines are broken where readers of English and Japanese expect it."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from engine.formats.wrapping import breaks


def wrap(text: str, width: int) -> list[str]:
    """Divide `text` at its breaks."""
    ends = [0, *breaks(text, width), len(text)]
    return [text[start:end].rstrip() for start, end in pairwise(ends)]


@pytest.mark.parametrize(
    ("text", "width", "lines"),
    [
        ("", 10, [""]),
        ("short", 10, ["short"]),
        ("one two three", 7, ["one two", "three"]),
        ("one  two", 4, ["one", "two"]),
        ("abcdefghij", 4, ["abcd", "efgh", "ij"]),
        ("a abcdefgh b", 4, ["a", "abcd", "efgh", "b"]),
        ("ユーザー入力を SQL 文に", 18, ["ユーザー入力を SQL", "文に"]),
        ("ユーザー入力をSQL文に", 16, ["ユーザー入力を", "SQL文に"]),
        ("行末です。次の行", 8, ["行末で", "す。次の", "行"]),
        ("彼は「はい」と", 6, ["彼は", "「は", "い」と"]),
        ("点検、", 5, ["点", "検、"]),
        ("日本", 1, ["日", "本"]),
    ],
)
def test_wrap(text: str, width: int, lines: list[str]) -> None:
    """English breaks at spaces, Japanese anywhere but before closing and after opening punctuation."""
    assert wrap(text, width) == lines


@given(st.text(st.sampled_from("ab 。、「」ーあ漢A é\U0001f600")), st.integers(2, 12))
def test_lines_fit_and_nothing_is_lost(text: str, width: int) -> None:
    """No line is wider than asked, and the lines together are the text."""
    ends = breaks(text, width)
    assert ends == sorted(set(ends))
    assert all(cell_len(line) <= width for line in wrap(text, width))
