"""What is shown of the merge request's threads: where they stand now, and which are shown as findings.

Holds state and sends nothing, as `lsp.board` does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

from lsp.board import Board, Changed, Hidden
from lsp.lines import Edit
from lsp.threads import PlacedThread


class ThreadBoard:
    """The threads of all files, by the file's real path."""

    def __init__(self, changed: Changed, findings: Board, hidden: Hidden) -> None:
        self._changed = changed
        self._findings = findings
        self._hidden = hidden
        self._files: dict[Path, list[PlacedThread]] = {}

    def put(self, path: Path, placed: Iterable[PlacedThread]) -> None:
        """Show these threads of a file and no others."""
        fresh = sorted(placed, key=lambda p: (p.first, p.last, p.thread.id))
        if fresh == self._files.get(path, []):
            return
        if fresh:
            self._files[path] = fresh
        else:
            del self._files[path]
        self._changed(path)

    def edit(self, path: Path, edit: Edit) -> None:
        """Follow an edit of a file's text."""
        if before := self._files.get(path):
            self.put(path, [moved for placed in before if (moved := placed.after(edit)) is not None])

    def keep(self, path: Path, stands: Callable[[PlacedThread], PlacedThread | None]) -> None:
        """Keep what still stands somewhere, by `stands`, after a text was swapped."""
        if before := self._files.get(path):
            self.put(path, [found for placed in before if (found := stands(placed)) is not None])

    def clear(self, paths: Iterable[Path]) -> None:
        """Take all threads of these files off."""
        for path in tuple(paths):
            self.put(path, ())

    def refresh(self, path: Path) -> None:
        """Say that what is hidden of a file changed."""
        if path in self._files:
            self._changed(path)

    def visible(self, path: Path) -> list[PlacedThread]:
        """Return what is shown of a file: not what is shown or was hidden as a finding."""
        placed = self._files.get(path)
        if not placed:
            return []
        findings = {p.finding.fingerprint for p in self._findings.visible(path)}
        hidden = self._hidden(path)
        return [p for p in placed if (mark := p.thread.fingerprint) not in findings and mark not in hidden]

    def on_lines(self, path: Path, first: int, last: int) -> list[PlacedThread]:
        """Return what is shown on any of these lines."""
        return [p for p in self.visible(path) if p.first <= last and p.last >= first]

    def find(self, path: Path, thread: str) -> PlacedThread | None:
        """Return a thread of a file."""
        return next((p for p in self._files.get(path, []) if p.thread.id == thread), None)

    def about(self, path: Path, fingerprint: str) -> str:
        """Return the address of the thread about a finding of a file, nothing where none is known."""
        found = (p.thread.url for p in self._files.get(path, []) if p.thread.fingerprint == fingerprint)
        return next(found, "")

    @property
    def paths(self) -> tuple[Path, ...]:
        """All files with threads."""
        return tuple(self._files)

    def count(self) -> int:
        """Return how many there are."""
        return sum(map(len, self._files.values()))
