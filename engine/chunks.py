"""Hunks -> chunks: pieces of one file's diff that fit the model's token budget. Nothing is cut silently."""

from __future__ import annotations

from dataclasses import dataclass

from engine.diffs import DiffLine, LineKind


@dataclass(frozen=True, slots=True)
class Chunk:
    """Neighbouring diff lines of one file that are scored together."""

    path: str
    language: str  # programming language in lower case, "text" if unknown
    lines: tuple[DiffLine, ...]

    @property
    def commentable(self) -> tuple[DiffLine, ...]:
        """The lines a finding may be on: added, and not blank."""
        return tuple(line for line in self.lines if line.kind is LineKind.ADDED and line.text.strip())
