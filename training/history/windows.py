"""Parts of hunks as hunks of their own, with exact line numbers. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from engine.diffs import DiffLine, FileDiff, Hunk, LineKind

_SIGNS = {LineKind.ADDED: "+", LineKind.REMOVED: "-", LineKind.CONTEXT: " "}


def hunk_text(lines: Sequence[DiffLine]) -> str:
    """Return neighbouring lines of a diff as a unified hunk; the lines must not be empty."""
    old = [line.old_number for line in lines if line.old_number is not None]
    new = [line.new_number for line in lines if line.new_number is not None]
    # The side that has no line names the line before it; which that is does not matter to a reader.
    header = f"@@ -{_span(old)} +{_span(new)} @@"
    return "\n".join([header, *(f"{_SIGNS[line.kind]}{line.text}" for line in lines)])


def hunk_at(file: FileDiff, new_line: int | None, old_line: int | None) -> tuple[Hunk, int] | None:
    """Return the hunk that shows a line, and the line's place in it; a new number goes before an old one."""
    for hunk in file.hunks:
        for place, line in enumerate(hunk.lines):
            if line.new_number == new_line if new_line is not None else line.old_number == old_line:
                return hunk, place
    return None


def around(lines: Sequence[DiffLine], first: int, last: int, rows: int, before: float) -> Sequence[DiffLine]:
    """Return at most `rows` lines that hold those from `first` to `last`.

    `before` from 0 to 1 is the share of the spare rows that goes before them, as far as there are any.
    """
    spare = max(0, rows - (last - first + 1))
    start = max(0, first - round(spare * before))
    end = min(len(lines), max(start + rows, last + 1))
    start = max(0, min(start, end - rows)) if last - first < rows else first
    return lines[start:end]


def _span(numbers: Sequence[int]) -> str:
    if not numbers:
        return "0,0"
    return str(numbers[0]) if len(numbers) == 1 else f"{numbers[0]},{len(numbers)}"
