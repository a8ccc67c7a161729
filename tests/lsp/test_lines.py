"""Lines and edits agree with the whole text, whatever its ends, characters and units."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lsp.documents import Document
from lsp.lines import Edit, Encoding, Origins, content, edits_between, follow, index_of, split_lines, width

TEXTS = st.text(st.sampled_from("ab\n\r\f\x85\u2028é日😀"), max_size=30)
_CODEC = {Encoding.UTF8: "utf-8", Encoding.UTF16: "utf-16-le", Encoding.UTF32: "utf-32-le"}
_UNIT = {Encoding.UTF8: 1, Encoding.UTF16: 2, Encoding.UTF32: 4}


def columns(text: str, encoding: Encoding) -> int:
    """Count the units by encoding alone."""
    return len(text.encode(_CODEC[encoding])) // _UNIT[encoding]


@given(TEXTS)
def test_lines_are_the_text(text: str) -> None:
    """Nothing is lost, and a line ends where an editor's does: not at a form feed."""
    lines = split_lines(text)
    assert "".join(lines) == text
    ends = text.replace("\r\n", "\n").replace("\r", "\n").count("\n")
    assert len(lines) == ends + 1
    assert all(not {"\r", "\n"} & set(content(line)) for line in lines)


@given(TEXTS, st.sampled_from(Encoding), st.data())
def test_columns_and_indexes_are_inverse(text: str, encoding: Encoding, data: st.DataObject) -> None:
    """A column that stands before a character is found again; what is beyond is the end."""
    line = split_lines(text)[0]
    index = data.draw(st.integers(0, len(content(line))))
    column = width(line[:index], encoding)
    assert column == columns(line[:index], encoding)
    assert index_of(line, column, encoding) == index
    assert index_of(line, 1000, encoding) == len(content(line))


@given(TEXTS, TEXTS, st.sampled_from(Encoding), st.data())
def test_a_change_is_that_of_the_whole_text(
    text: str, new: str, encoding: Encoding, data: st.DataObject
) -> None:
    """The lines after an edit are those of the text after the same edit, and only lines it names differ."""
    document = Document("file:///a.py", 1, text, encoding)
    before = list(document.lines)
    places = [(line, i) for line, row in enumerate(before) for i in range(len(content(row)) + 1)]
    start, end = sorted((data.draw(st.sampled_from(places)), data.draw(st.sampled_from(places))))
    told: list[Edit] = []
    document.followers.append(told.append)

    def offset(place: tuple[int, int]) -> int:
        return sum(map(len, before[: place[0]])) + place[1]

    def position(place: tuple[int, int]) -> tuple[int, int]:
        return place[0], columns(before[place[0]][: place[1]], encoding)

    document.change(position(start), position(end), new)
    expected = text[: offset(start)] + new + text[offset(end) :]
    assert document.text == expected
    assert document.lines == split_lines(expected)
    edit = told[0] if told else Edit(0, 0, 0)
    old, now = [*map(content, before)], [*map(content, document.lines)]
    assert now[: edit.start] == old[: edit.start]
    assert now[edit.start + edit.count :] == old[edit.end :]


@given(TEXTS, TEXTS)
def test_edits_between_lead_from_one_text_to_the_other(old: str, new: str) -> None:
    """Lines that no edit touches are the same lines in both."""
    before, after = [*map(content, split_lines(old))], [*map(content, split_lines(new))]
    edits = edits_between(before, after)
    assert edits == sorted(edits, key=lambda edit: -edit.start)
    for line in range(len(before)):
        place: tuple[int, int] | None = (line, line)
        for edit in edits:
            place = follow(*place, edit) if place else None
        if place is not None:
            assert after[place[0]] == before[line]


def test_a_blank_line_costs_no_other_line() -> None:
    """One is as good as another: it is not compared in the place of a line that was kept."""
    before = split_lines("a\nb\nc\n\nkept")
    after = split_lines("a\nnew\nb\nkept\nnew\n")
    place: tuple[int, int] | None = (4, 4)
    for edit in edits_between(before, after):
        place = follow(*place, edit) if place else None
    assert place == (3, 3)


@pytest.mark.parametrize(
    ("name", "edit", "place"),
    [
        ("above", Edit(0, 1, 3), (7, 8)),
        ("below", Edit(9, 9, 4), (5, 6)),
        ("just before", Edit(5, 5, 1), (6, 7)),
        ("just after", Edit(7, 7, 1), (5, 6)),
        ("between its lines", Edit(6, 6, 1), None),
        ("first line", Edit(5, 6, 1), None),
        ("last line", Edit(6, 7, 0), None),
        ("all of it", Edit(0, 20, 1), None),
    ],
)
def test_follow(name: str, edit: Edit, place: tuple[int, int] | None) -> None:
    """Lines 5 and 6 move with what happens above and vanish with what happens to them."""
    assert follow(5, 6, edit) == place


@given(st.lists(st.tuples(st.integers(0, 8), st.integers(0, 4), st.integers(0, 3)), max_size=8))
def test_origins_are_edits_one_after_the_other(drawn: list[tuple[int, int, int]]) -> None:
    """A text that was read long ago is mapped as if each edit had been followed at once."""
    count = 9
    origins, places = Origins(count), {line: (line, line) for line in range(count)}
    for start, length, new in drawn:
        edit = Edit(min(start, count), min(start + length, count), new)
        origins.apply(edit)
        count += edit.shift
        places = {line: found for line, place in places.items() if (found := follow(*place, edit))}
    for line in range(9):
        assert origins.now(line, line) == places.get(line)
    assert origins.now(0, 1) is None or places[1][0] == places[0][0] + 1


def test_typing_below_other_lines_touches_one() -> None:
    """A key in a line names that line alone, a new line at its end none of the old ones."""
    document = Document("file:///a.py", 1, "a\nb\nc\n", Encoding.UTF16)
    told: list[Edit] = []
    document.followers.append(told.append)
    document.change((1, 1), (1, 1), "x")
    document.change((0, 1), (0, 1), "\nnew")
    document.change((9, 0), (9, 0), "end")
    document.change((0, 0), (0, 1), "a")
    assert told == [Edit(1, 2, 1), Edit(1, 1, 1), Edit(4, 5, 1)]
    assert document.text == "a\nnew\nbx\nc\nend"


def test_swap_keeps_what_is_in_both() -> None:
    """A formatter that sends the whole text back moves lines, it does not touch all."""
    document = Document("file:///a.py", 1, "a\r\nb\r\nc\r\n", Encoding.UTF16)
    assert document.line_end == "\r\n"
    origins = Origins(len(document.lines))
    document.followers.append(origins.apply)
    document.swap("a\n\n\nb\nC\n")
    assert [origins.now(line, line) for line in range(3)] == [(0, 0), (3, 3), None]
    assert document.line_end == "\n"
