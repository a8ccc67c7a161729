"""Hunks -> chunks: pieces of one file's diff that fit the model's token budget. Nothing is cut silently.

Every added line that is not blank is commentable in exactly one chunk, or `left_out` names it.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain, pairwise

from engine import prompts
from engine.cuts import pieces
from engine.diffs import Chunk, DiffLine, FileDiff, Hunk, LineKind
from engine.enclosing import Outline, Span

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
    cost: int  # its score block included


class _Meter:
    """Measures by rendering with the prompt builder: a hunk at once, its rows only where it must be cut."""

    def __init__(self, path: str, language: str, count_tokens: Callable[[str], int], budget: int) -> None:
        self._path, self._language, self._count = path, language, count_tokens
        self._shell = count_tokens(prompts.review_prompt(self.chunk(())))
        self._longest = _LONGEST_TOKEN * max(budget, 0)
        self.room = budget - self._shell

    def chunk(self, lines: Iterable[DiffLine]) -> Chunk:
        return Chunk(self._path, self._language, tuple(lines))

    def whole(self, lines: Sequence[DiffLine]) -> int | None:
        """Return what `lines` cost together, or None if that is plainly more than there is room for."""
        if sum(len(line.text) for line in lines) > self._longest:
            return None
        chunk = self.chunk(lines)
        blocks = prompts.score_blocks(chunk)
        # Blocks are tokenized one by one, which may take a token more at each seam.
        return (
            self._count(prompts.review_prompt(chunk))
            - self._shell
            + self._count("".join(blocks))
            + len(blocks)
        )

    def row(self, line: DiffLine) -> _Row | None:
        """Return `line` as it is shown, cut if it is too long; None if there is no room for even that."""
        if len(line.text) <= self._longest:
            row = self._measured(line)
            if row.cost <= (self.room if line.is_commentable else self.room // 4):
                return row
        kind = LineKind.CONTEXT if line.kind is LineKind.ADDED else line.kind
        cut = f"{line.text[:40].rstrip()} ... ({len(line.text)} characters, not shown)"
        row = self._measured(replace(line, kind=kind, text=cut))
        return row if row.cost <= self.room // 2 else None

    def _measured(self, line: DiffLine) -> _Row:
        chunk = self.chunk((line,))
        cost = self._count(prompts.review_prompt(chunk)) - self._shell + _ROW_SLACK
        block = sum(self._count(block) + _BLOCK_SLACK for block in prompts.score_blocks(chunk))
        return _Row(line, cost + block)


class _Chunker:
    """Cuts the hunks of one file and surrounds the pieces with context."""

    def __init__(self, file: FileDiff, meter: _Meter, max_rows: int, source: str | None) -> None:
        self._meter, self._max_rows, self._hunks = meter, max_rows, file.hunks
        self._context: dict[int, _Row | None] = {}
        self._shown = {
            line.new_number: line for hunk in file.hunks for line in hunk.lines if line.new_number is not None
        }
        self._source = _matching_lines(source, self._shown)
        self._outline = Outline(self._source, meter.chunk(()).language)

    def chunks(self) -> Iterator[Chunk]:
        for hunk in self._hunks:
            for lines, cost in self._pieces(hunk):
                if any(line.is_commentable for line in lines):
                    above, below = self._surroundings(lines, hunk, self._meter.room - cost)
                    yield self._meter.chunk((*above, *lines, *below))

    def _pieces(self, hunk: Hunk) -> Iterator[tuple[Sequence[DiffLine], int]]:
        """Yield the lines of each chunk of `hunk` and what they cost."""
        if len(hunk.lines) <= self._max_rows:
            cost = self._meter.whole(hunk.lines)
            if cost is not None and cost <= self._meter.room:
                yield hunk.lines, cost
                return
        rows = [row for line in hunk.lines if (row := self._meter.row(line))]
        lines, costs = [row.line for row in rows], [row.cost for row in rows]
        room, length = self._meter.room * 7 // 8, max(1, self._max_rows - 2 * _OVERLAP)
        for start, end in pieces(lines, costs, room, length):
            yield lines[start:end], sum(costs[start:end])

    def _surroundings(
        self, core: Sequence[DiffLine], hunk: Hunk, room: int
    ) -> tuple[list[DiffLine], list[DiffLine]]:
        """Return the context above and below `core`: the most telling lines first, while they fit."""
        numbers = [line.new_number for line in core if line.new_number is not None]
        first, last = numbers[0], numbers[-1]
        start, end = max(hunk.new_start, first - _OVERLAP), min(hunk.new_end, last + 1 + _OVERLAP)
        header = range(0)
        if span := self._enclosing(core):
            start, end = min(span.start, start), max(span.end + 1, end)
            header = range(span.start, min(span.body, span.start + _HEADER_ROWS, first))
        up, down = range(first - 1, start - 1, -1), range(last + 1, end)
        wanted = chain(up[:_OVERLAP], down[:_OVERLAP], header, up[_OVERLAP:], down[_OVERLAP:])
        taken = self._fitting(wanted, room - _GAP_COST, self._max_rows - len(core) - 1)
        above = [taken[number] for number in sorted(taken) if number < first]
        return list(_with_gap_marked(above, first)), [
            taken[number] for number in sorted(taken) if number > last
        ]

    def _enclosing(self, core: Sequence[DiffLine]) -> Span | None:
        if not self._source:
            return None
        added = [line.new_number for line in core if line.is_commentable and line.new_number is not None]
        return self._outline.enclosing(added[0], added[-1])

    def _fitting(self, wanted: Iterable[int], room: int, rows: int) -> dict[int, DiffLine]:
        """Return context lines in the order of `wanted` until one does not fit."""
        taken: dict[int, DiffLine] = {}
        for number in wanted:
            if number in taken:
                continue
            row = self._context_row(number)
            if row is None or row.cost > room or len(taken) >= rows:
                break
            taken[number] = row.line
            room -= row.cost
        return taken

    def _context_row(self, number: int) -> _Row | None:
        """Return the line with this number as context, None if it is not known or too long even when cut."""
        if number not in self._context:
            line = self._shown.get(number)
            if line is None and number <= len(self._source):
                line = DiffLine(LineKind.CONTEXT, self._source[number - 1], self._old_number(number), number)
            self._context[number] = self._meter.row(replace(line, kind=LineKind.CONTEXT)) if line else None
        return self._context[number]

    def _old_number(self, number: int) -> int:
        """Return the old number of a line outside all hunks."""
        index = bisect_right(self._hunks, number, key=lambda hunk: hunk.new_end)
        if not index:
            return number
        return number + self._hunks[index - 1].old_end - self._hunks[index - 1].new_end


def _with_gap_marked(above: Sequence[DiffLine], first: int) -> Iterator[DiffLine]:
    """Yield the lines with one `...` wherever some between them and `first` are not shown."""
    ends = [*(line.new_number or 0 for line in above), first]
    for line, (number, following) in zip(above, pairwise(ends), strict=True):
        yield line
        if following > number + 1:
            yield DiffLine(LineKind.CONTEXT, "...", None, number + 1)


def _matching_lines(source: str | None, shown: Mapping[int, DiffLine]) -> list[str]:
    """Return the lines of `source`, or none where it is not the text that the diff leads to."""
    lines = [line.removesuffix("\r") for line in source.split("\n")] if source else []
    matches = all(lines[number - 1 : number] == [line.text] for number, line in shown.items())
    return lines if matches else []
