"""Hunks of a diff, row by row. The counts in a hunk's header alone decide where it ends."""

from __future__ import annotations

import re
from collections.abc import Iterator

from engine.diffs import DiffLine, Hunk, LineKind
from engine.errors import DiffError

HUNK = re.compile(r"@@ -(\d{1,9})(?:,(\d{1,9}))? \+(\d{1,9})(?:,(\d{1,9}))? @@(.*)", re.ASCII | re.DOTALL)
_SIGNATURE = ("--", "-- ")


class Reader:
    """The lines of a diff and the place in them. Only a newline ends a line: code may hold other breaks."""

    def __init__(self, text: str) -> None:
        self._lines = text.removeprefix("\ufeff").split("\n")
        if not self._lines[-1]:
            self._lines.pop()
        self._index = 0

    @property
    def number(self) -> int:
        return self._index + 1

    @property
    def line(self) -> str | None:
        return self.ahead(0)

    def ahead(self, count: int) -> str | None:
        index = self._index + count
        return self._lines[index].removesuffix("\r") if index < len(self._lines) else None

    def take(self) -> str:
        line = self.line
        assert line is not None
        self._index += 1
        return line


def read_hunks(reader: Reader) -> tuple[Hunk, ...]:
    """Return the hunks that begin at this line, none if there are none; leaves the reader after them."""
    hunks: list[Hunk] = []
    while reader.line is not None and reader.line.startswith("@@"):
        number = reader.number
        hunk = _read_hunk(reader)
        if hunks and not _follows(hunk, hunks[-1]):
            raise DiffError("this hunk overlaps the one before it or stands out of order", number)
        hunks.append(hunk)
    if hunks:
        _check_nothing_left(reader)
    return tuple(hunks)


def _follows(hunk: Hunk, earlier: Hunk) -> bool:
    return (
        hunk.old_end - hunk.old_count >= earlier.old_end and hunk.new_end - hunk.new_count >= earlier.new_end
    )


def _read_hunk(reader: Reader) -> Hunk:
    match = HUNK.match(reader.line or "")
    if match is None:
        combined = (reader.line or "").startswith("@@@")
        raise DiffError("combined diffs are not supported" if combined else "bad hunk header", reader.number)
    old_start, old_count, new_start, new_count = (int(group or "1") for group in match.groups()[:4])
    if (old_count and not old_start) or (new_count and not new_start):
        raise DiffError("bad hunk header: lines are counted from 1", reader.number)
    reader.take()
    lines = tuple(_read_rows(reader, old_start, old_count, new_start, new_count))
    return Hunk(old_start, old_count, new_start, new_count, match.group(5).removeprefix(" "), lines)


def _read_rows(reader: Reader, old: int, old_count: int, new: int, new_count: int) -> Iterator[DiffLine]:
    """Yield rows until both counts are used up: what a row looks like never decides where a hunk ends."""
    old_end, new_end = old + old_count, new + new_count
    while old < old_end or new < new_end or (reader.line or "").startswith("\\"):
        row = reader.line
        # An empty row is a blank context line whose space was stripped on the way.
        sign, text = ((row or " ")[0], row[1:]) if row is not None else ("", "")
        if sign == "+" and new < new_end:
            yield DiffLine(LineKind.ADDED, text, None, new)
            new += 1
        elif sign == "-" and old < old_end:
            yield DiffLine(LineKind.REMOVED, text, old, None)
            old += 1
        elif sign == " " and old < old_end and new < new_end:
            yield DiffLine(LineKind.CONTEXT, text, old, new)
            old, new = old + 1, new + 1
        elif sign != "\\":
            raise DiffError(_mismatch(old_end - old, new_end - new), reader.number)
        reader.take()


def _mismatch(old_left: int, new_left: int) -> str:
    return f"the hunk's header does not fit its rows: {old_left} old and {new_left} new lines still missing"


def _check_nothing_left(reader: Reader) -> None:
    """Raise if the row after a complete hunk looks like one more row of it."""
    line, following = reader.line or "", reader.ahead(1) or ""
    starts_file = line.startswith("--- ") and following.startswith("+++ ")
    if line[:1] in {"+", "-", " "} and line and line not in _SIGNATURE and not starts_file:
        raise DiffError("the hunk has more rows than its header says", reader.number)
