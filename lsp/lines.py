"""A text as the lines an editor sees, and edits of it. Pure.

Editors end lines at \\n, \\r\\n and \\r and nowhere else, where `str.splitlines` and with it pygls know seven
more ends: a form feed in a file would shift every position below it. Columns are in the client's units.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from enum import StrEnum

_END = re.compile(r"(\r\n|\n|\r)")
_COMPARED = 4_000  # lines of two texts that are compared one by one; the time grows with their product


class Encoding(StrEnum):
    """Units of columns, by their name in the protocol."""

    UTF8 = "utf-8"
    UTF16 = "utf-16"
    UTF32 = "utf-32"


@dataclass(frozen=True, slots=True)
class Edit:
    """Lines `start` to `end`, exclusive, became `count` others. All that stands outside is as it was."""

    start: int
    end: int
    count: int

    @property
    def shift(self) -> int:
        """How far lines below move."""
        return self.count - (self.end - self.start)


def split_lines(text: str) -> list[str]:
    """Return the lines with their ends; always one more than there are ends."""
    if "\r" not in text:
        *ended, last = text.split("\n")
        return [*(f"{line}\n" for line in ended), last]
    parts = _END.split(text)
    return [*(body + end for body, end in zip(parts[:-1:2], parts[1::2], strict=True)), parts[-1]]


def content(line: str) -> str:
    """Return a line without its end."""
    return line.rstrip("\r\n")


def index_of(line: str, column: int, encoding: Encoding) -> int:
    """Return the index in `line` that a client's column names; what is beyond the line is its end."""
    body = content(line)
    if encoding is Encoding.UTF32 or body.isascii():
        return min(column, len(body))
    if encoding is Encoding.UTF16:
        return len(
            body.encode("utf-16-le", "surrogatepass")[: 2 * column].decode("utf-16-le", "surrogatepass")
        )
    return len(body.encode("utf-8", "surrogatepass")[:column].decode("utf-8", "ignore"))


def width(text: str, encoding: Encoding) -> int:
    """Return how many of the client's columns `text` takes."""
    if encoding is Encoding.UTF32 or text.isascii():
        return len(text)
    if encoding is Encoding.UTF16:
        return len(text.encode("utf-16-le", "surrogatepass")) // 2
    return len(text.encode("utf-8", "surrogatepass"))


def replace(lines: list[str], start: tuple[int, int], end: tuple[int, int], text: str) -> Edit:
    """Put `text` between two (line, index) pairs, and return which lines that changed."""
    first, last = start[0], min(end[0], len(lines) - 1)
    tail = lines[last][end[1] :] if end[0] < len(lines) else ""
    if first >= len(lines):
        first, head = len(lines) - 1, lines[-1]
    else:
        head = lines[first][: start[1]]
    fresh = head + text + tail
    # A lone \r above and a \n that now begins the line are one end.
    if fresh.startswith("\n") and first > 0 and lines[first - 1].endswith("\r"):
        first -= 1
        fresh = lines[first] + fresh
    new = split_lines(fresh)
    if last + 1 < len(lines):
        # What follows stands on lines of its own already: the piece without an end is no line.
        ended = new.pop()
        assert not ended, "a line in the middle of a text has an end"
    edit = _trimmed(lines[first : last + 1], new, first)
    lines[first : last + 1] = new
    return edit


def edits_between(old: Sequence[str], new: Sequence[str]) -> list[Edit]:
    """Return edits that lead from one text to another, the lowest first, each in the numbers of `old`."""
    whole = _trimmed(old, new, 0)
    before, after = old[whole.start : whole.end], new[whole.start : whole.start + whole.count]
    if not before or not after or len(before) + len(after) > _COMPARED:
        return [whole] if before or after else []
    # A blank line is like any other one: what it is taken for must not cost a line that is itself.
    matcher = SequenceMatcher(_is_blank, [*map(content, before)], [*map(content, after)], autojunk=False)
    return [
        Edit(whole.start + i1, whole.start + i2, j2 - j1)
        for kind, i1, i2, j1, j2 in reversed(matcher.get_opcodes())
        if kind != "equal"
    ]


def _is_blank(line: str) -> bool:
    return not line.strip()


def follow(first: int, last: int, edit: Edit) -> tuple[int, int] | None:
    """Return where lines `first` to `last`, inclusive, are after an edit; None where it touched them."""
    if last < edit.start:
        return first, last
    if first >= edit.end:
        return first + edit.shift, last + edit.shift
    return None


def _trimmed(old: Sequence[str], new: Sequence[str], start: int) -> Edit:
    """Return the edit without the lines at both ends that stayed the same."""
    shorter = min(len(old), len(new))
    head = 0
    while head < shorter and content(old[head]) == content(new[head]):
        head += 1
    tail = 0
    while tail < shorter - head and content(old[-1 - tail]) == content(new[-1 - tail]):
        tail += 1
    return Edit(start + head, start + len(old) - tail, len(new) - head - tail)


class Origins:
    """Which line of a text that was read is which line of the text as it has become."""

    def __init__(self, count: int) -> None:
        self._origins: list[int | None] = list(range(count))
        self._now: dict[int | None, int] | None = None

    def apply(self, edit: Edit) -> None:
        """Follow an edit."""
        self._origins[edit.start : edit.end] = [None] * edit.count
        self._now = None

    def now(self, first: int, last: int) -> tuple[int, int] | None:
        """Return where lines `first` to `last` are now; None where one is gone or something came between."""
        if self._now is None:
            self._now = {origin: line for line, origin in enumerate(self._origins)}
        start, end = self._now.get(first), self._now.get(last)
        return (start, end) if start is not None and end is not None and end - start == last - first else None
