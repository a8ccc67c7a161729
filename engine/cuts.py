"""Where a sequence of diff lines too long for one chunk is cut. Pure arithmetic on costs and layout."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import ceil

from engine.diffs import DiffLine, LineKind


def pieces(
    lines: Sequence[DiffLine], costs: Sequence[int], room: int, max_lines: int
) -> Iterator[tuple[int, int]]:
    """Yield index ranges that cover `lines` in order, each within `room` and `max_lines`.

    A line that costs more than `room` alone still gets a range, of its own. Cuts fall on blank lines
    where there are any, else before the least indented line, and never far from an even division.
    """
    start = 0
    while start < len(lines):
        end = _furthest(costs, start, room, max_lines)
        if end < len(lines):
            end = _best_cut(lines, start, end)
        yield start, end
        start = end


def _furthest(costs: Sequence[int], start: int, room: int, max_lines: int) -> int:
    used, end = costs[start], start + 1
    while end < len(costs) and end - start < max_lines and used + costs[end] <= room:
        used += costs[end]
        end += 1
    return end


def _best_cut(lines: Sequence[DiffLine], start: int, furthest: int) -> int:
    """Return the best cut after `start` and at most at `furthest`; the first half of a piece is never cut."""
    count = ceil((len(lines) - start) / (furthest - start))
    even = start + ceil((len(lines) - start) / count)
    candidates = range(start + max(1, (even - start) // 2), furthest + 1)
    return min(candidates, key=lambda cut: (*_badness(lines, cut), abs(cut - even)))


def _badness(lines: Sequence[DiffLine], cut: int) -> tuple[bool, bool, int]:
    """Rank a cut before lines[cut]: a replacement stays whole, then blank lines, then low indentation."""
    before, after = lines[cut - 1], lines[cut]
    splits_replacement = before.kind is LineKind.REMOVED and after.kind is not LineKind.CONTEXT
    text = after.text.expandtabs(4)
    indent = len(text) - len(text.lstrip())
    # A line that only closes a block belongs to what stands before it.
    closes = after.text.strip()[:1] in {"}", ")", "]"} or after.text.strip() == "end"
    return splits_replacement, bool(before.text.strip()), indent + 1000 * closes
