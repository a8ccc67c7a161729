"""What is shown: the findings of each file, where they stand now, and which of them are hidden.

Holds state and sends nothing: whoever publishes is told which files changed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Container, Iterable
from pathlib import Path

from engine.findings import Severity
from lsp.lines import Edit
from lsp.placing import Placed

Changed = Callable[[Path], None]
Hidden = Callable[[Path], Container[str]]
"""The fingerprints that are not shown of a file."""


class Board:
    """The findings of all files, by the file's real path."""

    def __init__(self, changed: Changed, hidden: Hidden = lambda path: ()) -> None:
        self._changed = changed
        self._hidden = hidden
        self._files: dict[Path, list[Placed]] = {}
        self._adapters: dict[Path, str] = {}

    def put(self, path: Path, placed: Iterable[Placed], adapter: str = "") -> None:
        """Show these findings of a file and no others."""
        fresh = _each_once(placed)
        self._adapters[path] = adapter
        if fresh != self._files.get(path, []):
            self._set(path, fresh)

    def add(self, path: Path, placed: Placed) -> None:
        """Show one more finding of a file, in the place of the same one from before."""
        mark = placed.finding.fingerprint
        kept = [other for other in self._files.get(path, []) if other.finding.fingerprint != mark]
        self._set(path, _each_once([*kept, placed]))

    def edit(self, path: Path, edit: Edit) -> None:
        """Follow an edit of a file's text."""
        before = self._files.get(path)
        if not before:
            return
        if edit.shift == 0 and not any(p.first < edit.end and p.last >= edit.start for p in before):
            return  # most keys: no line moved
        after = [moved for placed in before if (moved := placed.after(edit)) is not None]
        if after != before:
            self._set(path, after)

    def keep(self, path: Path, stands: Callable[[Placed], Placed | None]) -> None:
        """Keep what still stands somewhere, by `stands`, after a text was swapped."""
        after = [found for placed in self._files.get(path, []) if (found := stands(placed)) is not None]
        self.put(path, after, self.adapter(path))

    def clear(self, paths: Iterable[Path]) -> None:
        """Take all findings of these files off."""
        for path in tuple(paths):
            self.put(path, ())

    def refresh(self, path: Path) -> None:
        """Say that what is hidden of a file changed."""
        if path in self._files:
            self._changed(path)

    def visible(self, path: Path) -> list[Placed]:
        """Return what is shown of a file, from its top."""
        hidden = self._hidden(path)
        return [p for p in self._files.get(path, []) if p.finding.fingerprint not in hidden]

    def on_lines(self, path: Path, first: int, last: int) -> list[Placed]:
        """Return what is shown on any of these lines."""
        return [p for p in self.visible(path) if p.first <= last and p.last >= first]

    def find(self, path: Path, fingerprint: str) -> Placed | None:
        """Return a finding of a file, also a hidden one."""
        return next((p for p in self._files.get(path, []) if p.finding.fingerprint == fingerprint), None)

    def adapter(self, path: Path) -> str:
        """Return the adapter that made a file's findings."""
        return self._adapters.get(path, "")

    @property
    def paths(self) -> tuple[Path, ...]:
        """All files with findings."""
        return tuple(path for path, placed in self._files.items() if placed)

    def counts(self) -> Counter[Severity]:
        """Count what is shown by severity."""
        return Counter(placed.finding.severity for path in self.paths for placed in self.visible(path))

    def _set(self, path: Path, placed: list[Placed]) -> None:
        if placed:
            self._files[path] = placed
        else:
            self._files.pop(path, None)
        self._changed(path)


def _each_once(placed: Iterable[Placed]) -> list[Placed]:
    """Return the findings in the order of lines, one for each fingerprint."""
    return sorted({p.finding.fingerprint: p for p in placed}.values(), key=lambda p: (p.first, p.last))
