"""The code around a finding as rows to show, its suggestion worked in as a small diff. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from difflib import SequenceMatcher
from enum import Enum

from engine.diffs import FileDiff
from engine.findings import Finding

LineLookup = Callable[[str, int], str | None]
"""(path, line number in the new version) -> that line's text, or None where it isn't known."""

CONTEXT_LINES = 2


class RowKind(Enum):
    """What a row is to the finding."""

    CONTEXT = " "
    FLAGGED = ">"
    REMOVED = "-"  # flagged, and replaced by the suggestion
    ADDED = "+"  # by the suggestion


@dataclass(frozen=True, slots=True)
class Row:
    """One line of an excerpt."""

    kind: RowKind
    number: int | None  # None on an added row: it has no place in the file yet
    text: str


def no_lines(path: str, number: int) -> None:
    """Know no line: excerpts then show the finding's own code only."""


def lines_of(files: Iterable[FileDiff], sources: Mapping[str, str] | None = None) -> LineLookup:
    """Return a lookup in the diff's added and context lines, and in the `sources` of whole files."""
    shown = {
        (file.new_path, line.new_number): line.text
        for file in files
        for hunk in file.hunks
        for line in hunk.lines
        if line.new_number is not None
    }
    whole = {path: source.split("\n") for path, source in (sources or {}).items()}

    def line_at(path: str, number: int) -> str | None:
        if (path, number) in shown:
            return shown[path, number]
        lines = whole.get(path, [])
        return lines[number - 1].removesuffix("\r") if 0 < number <= len(lines) else None

    return line_at


def excerpt(finding: Finding, line_at: LineLookup = no_lines, context: int = CONTEXT_LINES) -> list[Row]:
    """Return the finding's lines and up to `context` known neighbours on each side, in order."""
    before = _neighbours(finding.path, range(finding.line - 1, finding.line - 1 - context, -1), line_at)
    after = _neighbours(finding.path, range(finding.end_line + 1, finding.end_line + 1 + context), line_at)
    return [*reversed(before), *_changed(finding, _own_lines(finding, line_at)), *after]


def change(finding: Finding, line_at: LineLookup = no_lines) -> list[Row]:
    """Return the finding's lines alone, with its suggestion as a diff if it has one."""
    return _changed(finding, _own_lines(finding, line_at))


def _own_lines(finding: Finding, line_at: LineLookup) -> list[str]:
    if finding.code:
        return finding.code.split("\n")
    known = (line_at(finding.path, number) for number in range(finding.line, finding.end_line + 1))
    return [text for text in known if text is not None]


def _neighbours(path: str, numbers: Iterable[int], line_at: LineLookup) -> list[Row]:
    rows = []
    for number in numbers:
        text = line_at(path, number) if number > 0 else None
        if text is None:
            break
        rows.append(Row(RowKind.CONTEXT, number, text))
    return rows


def _changed(finding: Finding, old: list[str]) -> list[Row]:
    numbered = [(finding.line + index, text) for index, text in enumerate(old)]
    if finding.suggestion is None:
        return [Row(RowKind.FLAGGED, number, text) for number, text in numbered]
    new = finding.suggestion.split("\n") if finding.suggestion else []
    return list(_diff(numbered, new))


def _diff(old: list[tuple[int, str]], new: list[str]) -> Iterator[Row]:
    matcher = SequenceMatcher(None, [text for _, text in old], new, autojunk=False)
    for tag, old_start, old_end, new_start, new_end in matcher.get_opcodes():
        kind = RowKind.FLAGGED if tag == "equal" else RowKind.REMOVED
        yield from (Row(kind, number, text) for number, text in old[old_start:old_end])
        if tag != "equal":
            yield from (Row(RowKind.ADDED, None, text) for text in new[new_start:new_end])
