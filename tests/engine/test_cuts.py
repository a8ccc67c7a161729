"""Where long runs of lines are cut."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from engine.cuts import pieces
from engine.diffs import DiffLine, LineKind


def cut(texts: list[str], max_lines: int) -> list[list[str]]:
    """Return the pieces of added lines that cost one each."""
    lines = [DiffLine(LineKind.ADDED, text, None, number) for number, text in enumerate(texts, start=1)]
    return [texts[start:end] for start, end in pieces(lines, [1] * len(lines), 10**6, max_lines)]


def test_pieces_are_of_like_length() -> None:
    """A run a little too long for one piece is halved, not cut off at the limit."""
    assert [len(piece) for piece in cut(["x"] * 44, 40)] == [22, 22]


def test_a_closing_line_stays_with_what_it_closes() -> None:
    """The even cut would fall before `}`; it moves to the next statement instead."""
    texts = ["a {", "  b", "  c", "}", "d {", "  e"]
    assert cut(texts, 5) == [texts[:4], texts[4:]]


def test_a_blank_line_ends_a_piece() -> None:
    """A blank line outranks low indentation, and stays with what stands above it."""
    texts = ["a", "  b", "  ", "  c", "d", "e", "f"]
    assert cut(texts, 5)[0] == texts[:3]


@given(
    st.lists(st.tuples(st.sampled_from(["", "x", "  y", "}"]), st.integers(0, 30)), min_size=1),
    st.integers(1, 40),
    st.integers(1, 9),
)
def test_pieces_cover_everything_within_both_limits(
    rows: list[tuple[str, int]], room: int, length: int
) -> None:
    """Pieces follow each other without gap or overlap; only a line too dear by itself exceeds the room."""
    lines = [DiffLine(LineKind.ADDED, text, None, number) for number, (text, _) in enumerate(rows, start=1)]
    costs = [cost for _, cost in rows]
    found = list(pieces(lines, costs, room, length))
    assert [index for start, end in found for index in range(start, end)] == list(range(len(rows)))
    assert all(end - start <= length for start, end in found)
    assert all(sum(costs[start:end]) <= room or end - start == 1 for start, end in found)
