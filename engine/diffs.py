"""Unified diffs as values: FileDiff, Hunk, DiffLine, and Chunk, the piece of one that is reviewed at once.

`engine.parsing` makes them from text, `engine.chunks` cuts them up.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class LineKind(StrEnum):
    """What a diff line does to the file."""

    ADDED = "added"
    REMOVED = "removed"
    CONTEXT = "context"


class FileStatus(StrEnum):
    """What the diff does to the file as a whole."""

    ADDED = "added"
    DELETED = "deleted"
    MODIFIED = "modified"
    RENAMED = "renamed"
    COPIED = "copied"


@dataclass(frozen=True, slots=True)
class DiffLine:
    """One line of a hunk. `text` has neither the leading sign nor the line end."""

    kind: LineKind
    text: str
    old_number: int | None  # None on an added line
    new_number: int | None  # None on a removed line

    @property
    def is_commentable(self) -> bool:
        """Tell whether a finding may be on this line: added, and not blank."""
        return self.kind is LineKind.ADDED and bool(self.text.strip())


@dataclass(frozen=True, slots=True)
class Hunk:
    """A run of neighbouring diff lines. Numbers are 1-based; counts may be 0."""

    old_start: int
    old_count: int
    new_start: int
    new_count: int
    section: str  # what git prints after the second @@
    lines: tuple[DiffLine, ...]

    @property
    def old_end(self) -> int:
        """Number of the first old line after the hunk."""
        # An empty side names the line before it, not its own first line.
        return self.old_start + (self.old_count or 1)

    @property
    def new_end(self) -> int:
        """Number of the first new line after the hunk."""
        return self.new_start + (self.new_count or 1)


@dataclass(frozen=True, slots=True)
class FileDiff:
    """The change of one file."""

    old_path: str  # equal to new_path where the file was added
    new_path: str  # equal to old_path where the file was deleted
    status: FileStatus
    hunks: tuple[Hunk, ...] = ()
    is_binary: bool = False
    old_mode: str | None = None
    new_mode: str | None = None

    def line_at(self, new_number: int) -> DiffLine | None:
        """Return the added or context line with this number in the new file, if the diff shows it."""
        for hunk in self.hunks:
            if hunk.new_start <= new_number < hunk.new_start + max(hunk.new_count, 1):
                for line in hunk.lines:
                    if line.new_number == new_number:
                        return line
        return None


@dataclass(frozen=True, slots=True)
class Chunk:
    """Neighbouring diff lines of one file that are scored together."""

    path: str
    language: str  # programming language in lower case, "text" if unknown
    lines: tuple[DiffLine, ...]

    @property
    def commentable(self) -> tuple[DiffLine, ...]:
        """The lines a finding may be on."""
        return tuple(line for line in self.lines if line.is_commentable)
