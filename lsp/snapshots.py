"""Open documents at the moment their changes are read, and where their lines went since."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import TypeVar

from engine.findings import Finding
from lsp.diagnostics import template
from lsp.documents import Document
from lsp.lines import Encoding, Origins, edits_between, split_lines
from lsp.placing import Moved, Placed, Standing, followed, is_code, place, unmoved

_Standing = TypeVar("_Standing", bound=Standing)


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
        known, origins = self._followed.get(path, (None, None))
        if document is not known or origins is None or self.buffers[path] != text:
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
        moved = unmoved if same else partial(followed, edits_between(before, after))
    found = []
    for finding in findings:
        placed = place(finding, before, after, moved, template(finding, adapter, encoding))
        found += [placed] if placed else []
    return found


class Carry:
    """Finds the place of findings and threads in a text that took another's place."""

    def __init__(self, before: Sequence[str] | None, after: Sequence[str]) -> None:
        self._after = after
        self._edits = edits_between(before, after) if before is not None else []

    def __call__(self, placed: _Standing) -> _Standing | None:
        """Return it where it stands now, None where it does not."""
        found: _Standing | None = placed
        for edit in self._edits:
            found = found.after(edit) if found else None
        return stands_in(self._after, found) if found else None


def stands_in(lines: Sequence[str], placed: _Standing) -> _Standing | None:
    """Return what stands where it says in these lines."""
    rows = "".join(lines[placed.first : placed.last + 1])
    return placed if placed.last < len(lines) and is_code(rows, placed.code) else None
