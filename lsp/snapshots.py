"""Open documents at the moment their changes are read, and where their lines went since."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path

from engine.findings import Finding
from lsp.diagnostics import template
from lsp.documents import Document
from lsp.lines import Edit, Encoding, Origins, edits_between, follow, split_lines
from lsp.placing import Lines, Moved, Placed, is_code, place, unmoved

_READ_LIMIT = 2**23


class Snapshot:
    """Texts of open documents by their path in a repository; follows the documents until it is released."""

    def __init__(self, documents: Mapping[str, Document]) -> None:
        self.buffers = {path: document.text for path, document in documents.items()}
        self._followed = {path: (doc, Origins(len(doc.lines))) for path, doc in documents.items()}
        for document, origins in self._followed.values():
            document.followers.append(origins.apply)

    def release(self) -> None:
        """Follow no longer. Idempotent."""
        for document, origins in self._followed.values():
            if origins.apply in document.followers:
                document.followers.remove(origins.apply)
        self._followed = {}

    def moved(self, path: str, text: str | None, document: Document) -> Moved | None:
        """Return where lines of `text` went in a document, None where this snapshot is not of that text."""
        followed, origins = self._followed.get(path, (None, None))
        if followed is not document or origins is None or self.buffers[path] != text:
            return None
        return origins.now


def place_all(
    findings: Iterable[Finding],
    reviewed: str | None,
    now: Sequence[str] | None,
    moved: Moved | None,
    adapter: str,
    encoding: Encoding,
) -> list[Placed]:
    """Return those of `findings` that still stand somewhere.

    `reviewed` is the text they were made of, `now` the lines as they are; one that is not known is
    the same. `moved` tells where lines went, if somebody followed them.
    """
    before = split_lines(reviewed) if reviewed is not None else now
    after = now if now is not None else before
    if before is None or after is None:
        return []
    if moved is None:
        same = before is after or before == after
        moved = unmoved if same else partial(_followed, edits_between(before, after))
    found = []
    for finding in findings:
        placed = place(finding, before, after, moved, template(finding, adapter, encoding))
        found += [placed] if placed else []
    return found


def _followed(edits: Sequence[Edit], first: int, last: int) -> Lines | None:
    lines: Lines | None = (first, last)
    for edit in edits:
        lines = follow(*lines, edit) if lines else None
    return lines


def carried(before: Sequence[str] | None, after: Sequence[str]) -> Callable[[Placed], Placed | None]:
    """Return what finds the place of a finding in a text that took another's place."""
    edits = edits_between(before, after) if before is not None else []

    def find(placed: Placed) -> Placed | None:
        found: Placed | None = placed
        for edit in edits:
            found = found.after(edit) if found else None
        return stands_in(after, found) if found else None

    return find


def stands_in(lines: Sequence[str], placed: Placed) -> Placed | None:
    """Return a finding that stands where it says in these lines."""
    rows = "".join(lines[placed.first : placed.last + 1])
    return placed if placed.last < len(lines) and is_code(rows, placed.finding.code) else None


def read_lines(path: Path) -> list[str] | None:
    """Return a file's lines as an editor would show them, None where it cannot be read or is too big."""
    try:
        if path.stat().st_size > _READ_LIMIT:
            return None
        return split_lines(path.read_bytes().decode("utf-8", "replace").removeprefix("\ufeff"))
    except OSError:
        return None
