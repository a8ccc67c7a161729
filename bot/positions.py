"""Findings -> positions in a merge request's diff, exact by GitLab's table. Pure.

A line that is not in the diff but in a file with hunks has a position too: GitLab unfolds it. None has a
file whose diff GitLab does not show; there a position names the file as a whole.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

from bot.gitlab import DiffRefs, Position, PositionType, RangeEnd
from engine.diffs import FileDiff, FileStatus, Hunk, LineKind
from engine.findings import Finding


class Side(Enum):
    """Which version of the file a line number counts in."""

    OLD = "old"
    NEW = "new"


@dataclass(frozen=True, slots=True)
class Place:
    """A line of a diff: its numbers as GitLab wants them, and those in its line code."""

    kind: LineKind
    old: int | None
    new: int | None
    code: tuple[int, int]


def position_for(
    finding: Finding, file: FileDiff, refs: DiffRefs, line_count: int | None = None
) -> Position | None:
    """Return where `finding` belongs in `file`, or None if GitLab would not take a line there.

    `refs` are of the version that was reviewed: after a push its line numbers no longer match the newest.
    `line_count` is how many lines the new file has, where that is known.
    """
    if line_count is not None and finding.end_line > line_count:
        return None
    return text_position(file, refs, finding.end_line, first=finding.line)


def text_position(
    file: FileDiff, refs: DiffRefs, line: int, *, first: int | None = None, side: Side = Side.NEW
) -> Position | None:
    """Return the position of a line, or of the lines from `first` to it; None where there is none."""
    last_place = _place(file, line, side)
    if last_place is None:
        return None
    start = end = None
    if first is not None and first < line and (first_place := _place(file, first, side)) is not None:
        start, end = _range_end(file, first_place), _range_end(file, last_place)
    return Position(
        refs,
        file.old_path,
        file.new_path,
        old_line=last_place.old,
        new_line=last_place.new,
        start=start,
        end=end,
    )


def file_position(file: FileDiff, refs: DiffRefs) -> Position:
    """Return the position that names the file as a whole."""
    return Position(refs, file.old_path, file.new_path, PositionType.FILE)


def _place(file: FileDiff, number: int, side: Side) -> Place | None:
    if not file.hunks or file.is_binary:
        return None
    for place in _places(file):
        if number == (place.new if side is Side.NEW else place.old):
            return place
    return _unfolded(file, number, side)


def _places(file: FileDiff) -> Iterator[Place]:
    """Yield the lines of the hunks.

    In a line code an added line carries the number of the next old line, and a removed one that of the next
    new line, counted from where the hunk's header says, which is 0 for an empty side.
    """
    for hunk in file.hunks:
        old, new = hunk.old_start, hunk.new_start
        for line in hunk.lines:
            yield Place(line.kind, line.old_number, line.new_number, (old, new))
            old += line.kind is not LineKind.ADDED
            new += line.kind is not LineKind.REMOVED


def _unfolded(file: FileDiff, number: int, side: Side) -> Place | None:
    """Return an unchanged line outside all hunks: its other number is shifted by the hunks before it."""
    if file.status in (FileStatus.ADDED, FileStatus.DELETED) or number < 1:
        return None
    shift = 0  # new minus old
    for hunk in file.hunks:
        start, end = _span(hunk, side)
        if number < start:
            break
        if number < end:
            return None
        shift = hunk.new_end - hunk.old_end
    old, new = (number - shift, number) if side is Side.NEW else (number, number + shift)
    return Place(LineKind.CONTEXT, old, new, (old, new))


def _span(hunk: Hunk, side: Side) -> tuple[int, int]:
    """Return the numbers a hunk takes on one side: the first, and the first after it."""
    if side is Side.NEW:
        return hunk.new_end - hunk.new_count, hunk.new_end
    return hunk.old_end - hunk.old_count, hunk.old_end


def _range_end(file: FileDiff, place: Place) -> RangeEnd:
    # GitLab does not check these codes: a wrong one shows the comment at the wrong lines.
    # https://docs.gitlab.com/api/discussions/#line-code
    digest = hashlib.sha1(file.new_path.encode("utf-8", "surrogatepass")).hexdigest()
    old, new = place.code
    kind = "new" if place.kind is LineKind.ADDED else "old"
    return RangeEnd(f"{digest}_{old}_{new}", kind, place.old, place.new)
