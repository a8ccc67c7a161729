"""Finding -> the lines where it stands in the editor. Pure.

A finding names lines of the text that was reviewed, counted as git does; the editor may have moved on since.
It is placed only where its own code still stands: none is ever shown on a line that says something else.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple, Protocol, Self

from engine.findings import Finding
from lsp.lines import Edit, content, follow

Lines = tuple[int, int]
"""First and last line, inclusive, from 0."""

Moved = Callable[[int, int], Lines | None]
"""Where lines of the reviewed text are now, None where they are gone."""

_UNREADABLE = "\ufffd"


class Standing(Protocol):
    """What stands on lines: a finding, or a thread."""

    @property
    def first(self) -> int: ...

    @property
    def last(self) -> int: ...

    @property
    def template(self) -> str: ...

    @property
    def code(self) -> str: ...

    def after(self, edit: Edit) -> Self | None: ...


class Placed(NamedTuple):
    """A finding and where it stands. `template` is its diagnostic, ready but for the lines."""

    finding: Finding
    first: int
    last: int
    template: str = ""

    @property
    def code(self) -> str:
        """Its lines."""
        return self.finding.code

    def after(self, edit: Edit) -> Placed | None:
        """Return it after an edit of the text; None where that touched it."""
        place = follow(self.first, self.last, edit)
        return Placed(self.finding, *place, self.template) if place else None


def followed(edits: Iterable[Edit], first: int, last: int) -> Lines | None:
    """Return where lines are after edits, the lowest of which comes first; None where one touched them."""
    lines: Lines | None = (first, last)
    for edit in edits:
        lines = follow(*lines, edit) if lines else None
    return lines


def unmoved(first: int, last: int) -> Lines | None:
    """Return the same lines: the text is the one that was reviewed."""
    return first, last


def place(
    finding: Finding, reviewed: Sequence[str], now: Sequence[str], moved: Moved = unmoved, template: str = ""
) -> Placed | None:
    """Return where `finding`, made of the text `reviewed`, stands in the text `now`; None if nowhere."""
    found = editor_lines(reviewed, finding.line, finding.end_line)
    lines = moved(*found) if found else None
    if lines is None or lines[1] >= len(now):
        return None
    rows = "".join(now[lines[0] : lines[1] + 1])
    return Placed(finding, *lines, template) if is_code(rows, finding.code) else None


def editor_lines(text: Sequence[str], first: int, last: int) -> Lines | None:
    """Return an editor's lines for git's line numbers: git ends no line at a lone carriage return."""
    if not any(line.endswith("\r") for line in text):
        return (first - 1, last - 1) if last <= len(text) else None
    starts = [0, *(index + 1 for index, line in enumerate(text) if line.endswith("\n"))]
    if last > len(starts):
        return None
    end = starts[last] if last < len(starts) else len(text)
    return starts[first - 1], end - 1


def is_code(rows: str, code: str) -> bool:
    """Tell whether `rows` are the finding's code; what was not readable as UTF-8 may be anything."""
    found, wanted = _joined(rows), _joined(code)
    if _UNREADABLE not in wanted:
        return found == wanted
    pattern = re.sub(f"{_UNREADABLE}+", ".+", re.escape(wanted))
    return re.fullmatch(pattern, found, re.DOTALL) is not None


def _joined(text: str) -> str:
    return "\n".join(map(content, text.split("\n"))).rstrip("\n")
