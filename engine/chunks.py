"""Hunks -> chunks: pieces of one file's diff that fit the model's token budget. Nothing is cut silently.

Every added line that is not blank is commentable in exactly one chunk, or `left_out` names it.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain, pairwise

from engine import prompts
from engine.cuts import pieces
from engine.diffs import Chunk, DiffLine, FileDiff, Hunk, LineKind
from engine.enclosing import Outline

__all__ = ["MAX_ROWS", "Chunk", "chunk_file", "left_out"]

MAX_ROWS = 40
"""Rows a chunk may have: the adapter's training data has hunks of up to 43 rows."""

_OVERLAP = 3
_HEADER_ROWS = 4
# Chunks are numbered anew from 1, so a row may have two digits more than the lone row that is measured.
_ROW_SLACK, _BLOCK_SLACK = 3, 2
_LONGEST_TOKEN = 64
_GAP_COST = 16


def chunk_file(
    file: FileDiff,
    language: str,
    count_tokens: Callable[[str], int],
    budget: int,
    source: str | None = None,
    *,
    max_rows: int = MAX_ROWS,
) -> list[Chunk]:
    """Return the chunks of `file`, in order: one for each hunk with commentable lines, more if it is big.

    `budget` is in tokens by `count_tokens` and covers a chunk's prompt without the review's shared
    context, plus its score blocks. With `source`, the file's full new text, the enclosing function's
    lines are added as context while rows and tokens last. A line too long for the budget is not
    commentable: it is shown cut, with a mark that says so.
    """
    chunker = _Chunker(file, _Meter(file.new_path, language, count_tokens, budget), max_rows, source)
    return list(chunker.chunks())


def left_out(file: FileDiff, chunks: Iterable[Chunk]) -> tuple[DiffLine, ...]:
    """Return the added lines that no chunk lets a finding be on, blank ones aside: each is too long."""
    covered = {line.new_number for chunk in chunks for line in chunk.commentable}
    return tuple(
        line
        for hunk in file.hunks
        for line in hunk.lines
        if line.is_commentable and line.new_number not in covered
    )


@dataclass(frozen=True, slots=True)
class _Row:
    line: DiffLine  # as it is shown
    cost: int
    block: int = 0  # cost of its score block, 0 if it has none

    @property
    def as_context(self) -> _Row:
        return _Row(replace(self.line, kind=LineKind.CONTEXT), self.cost)


class _Meter:
    """Measures rows once each, by rendering them with the prompt builder."""

    def __init__(self, path: str, language: str, count_tokens: Callable[[str], int], budget: int) -> None:
        self._path, self._language, self._count = path, language, count_tokens
        self._shell = count_tokens(prompts.review_prompt(self.chunk(())))
        self._longest = _LONGEST_TOKEN * max(budget, 0)
        self.room = budget - self._shell

    def chunk(self, lines: Iterable[DiffLine]) -> Chunk:
        return Chunk(self._path, self._language, tuple(lines))

    def row(self, line: DiffLine) -> _Row | None:
        """Return `line` as it is shown, cut if it is too long; None if there is no room for even that."""
        if len(line.text) <= self._longest:
            row = self._measured(line)
            if row.cost + row.block <= (self.room if line.is_commentable else self.room // 4):
                return row
        kind = LineKind.CONTEXT if line.kind is LineKind.ADDED else line.kind
        cut = f"{line.text[:40].rstrip()} ... ({len(line.text)} characters, not shown)"
        row = self._measured(replace(line, kind=kind, text=cut))
        return row if row.cost <= self.room // 2 else None

    def _measured(self, line: DiffLine) -> _Row:
        chunk = self.chunk((line,))
        cost = self._count(prompts.review_prompt(chunk)) - self._shell + _ROW_SLACK
        block = sum(self._count(block) + _BLOCK_SLACK for block in prompts.score_blocks(chunk))
        return _Row(line, cost, block)


class _Chunker:
    """Cuts the hunks of one file and surrounds the pieces with context."""

    def __init__(self, file: FileDiff, meter: _Meter, max_rows: int, source: str | None) -> None:
        self._meter, self._max_rows, self._hunks = meter, max_rows, file.hunks
        self._context: dict[int, _Row] = {}
        self._rows = [self._measured(hunk) for hunk in file.hunks]
        self._source = _matching_lines(source, file.hunks)
        self._outline = Outline(self._source, meter.chunk(()).language)

    def chunks(self) -> Iterator[Chunk]:
        for hunk, rows in zip(self._hunks, self._rows, strict=True):
            for start, end in self._ranges(rows):
                core = rows[start:end]
                if any(row.block for row in core):
                    yield self._meter.chunk(row.line for row in self._surrounded(core, hunk))

    def _measured(self, hunk: Hunk) -> list[_Row]:
        rows = [row for line in hunk.lines if (row := self._meter.row(line))]
        for row in rows:
            if row.line.new_number is not None:
                self._context[row.line.new_number] = row.as_context
        return rows

    def _ranges(self, rows: Sequence[_Row]) -> Iterable[tuple[int, int]]:
        room, costs = self._meter.room, [row.cost + row.block for row in rows]
        if len(rows) <= self._max_rows and sum(costs) <= room:
            return ((0, len(rows)),)
        lines = [row.line for row in rows]
        return pieces(lines, costs, room * 7 // 8, max(1, self._max_rows - 2 * _OVERLAP))

    def _surrounded(self, core: Sequence[_Row], hunk: Hunk) -> list[_Row]:
        """Return `core` between as many rows of context as fit, the most telling ones first."""
        numbers = [row.line.new_number for row in core if row.line.new_number is not None]
        first, last = numbers[0], numbers[-1]
        near = range(max(hunk.new_start, first - _OVERLAP), min(hunk.new_end, last + 1 + _OVERLAP))
        added = [row.line.new_number for row in core if row.block and row.line.new_number is not None]
        span = self._outline.enclosing(added[0], added[-1]) if self._source else None
        start, end = (
            (min(span.start, near.start), max(span.end + 1, near.stop)) if span else (near.start, near.stop)
        )
        header = range(span.start, min(span.body, span.start + _HEADER_ROWS, first)) if span else range(0)
        up, down = range(first - 1, start - 1, -1), range(last + 1, end)
        wanted = chain(up[:_OVERLAP], down[:_OVERLAP], header, up[_OVERLAP:], down[_OVERLAP:])
        taken = self._fitting(wanted, core)
        above = [taken[number] for number in sorted(taken) if number < first]
        below = [taken[number] for number in sorted(taken) if number > last]
        return [*_with_gap_marked(above, first), *core, *below]

    def _fitting(self, wanted: Iterable[int], core: Sequence[_Row]) -> dict[int, _Row]:
        """Return context rows in the order of `wanted` until one does not fit, a gap's mark counted in."""
        room = self._meter.room - sum(row.cost + row.block for row in core) - _GAP_COST
        taken: dict[int, _Row] = {}
        for number in wanted:
            if number in taken:
                continue
            row = self._context_row(number)
            if row is None or row.cost > room or len(core) + len(taken) + 1 >= self._max_rows:
                break
            taken[number] = row
            room -= row.cost
        return taken

    def _context_row(self, number: int) -> _Row | None:
        if number not in self._context and number <= len(self._source):
            line = DiffLine(LineKind.CONTEXT, self._source[number - 1], self._old_number(number), number)
            if row := self._meter.row(line):
                self._context[number] = row
        return self._context.get(number)

    def _old_number(self, number: int) -> int:
        """Return the old number of a line outside all hunks."""
        index = bisect_right(self._hunks, number, key=lambda hunk: hunk.new_end)
        if not index:
            return number
        return number + self._hunks[index - 1].old_end - self._hunks[index - 1].new_end


def _with_gap_marked(above: Sequence[_Row], first: int) -> Iterator[_Row]:
    """Yield the rows with a row `...` wherever lines between them and `first` are not shown."""
    ends = [*(row.line.new_number or 0 for row in above), first]
    for row, (number, following) in zip(above, pairwise(ends), strict=True):
        yield row
        if following > number + 1:
            yield _Row(DiffLine(LineKind.CONTEXT, "...", None, number + 1), _GAP_COST)


def _matching_lines(source: str | None, hunks: Iterable[Hunk]) -> list[str]:
    """Return the lines of `source`, or none where it is not the text that the diff leads to."""
    if source is None:
        return []
    lines = [line.removesuffix("\r") for line in source.split("\n")]
    for line in chain.from_iterable(hunk.lines for hunk in hunks):
        if line.new_number is not None and lines[line.new_number - 1 : line.new_number] != [line.text]:
            return []
    return lines
