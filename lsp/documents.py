"""Open documents: their lines, kept up to date edit by edit, and who follows them."""

from __future__ import annotations

from collections.abc import Callable

from lsp.lines import Edit, Encoding, edits_between, index_of, replace, split_lines

Position = tuple[int, int]
"""Line and column, both from 0, the column in the client's units."""


class Document:
    """A document as the editor has it. Whoever follows it is told of each edit after it was made."""

    def __init__(self, uri: str, version: int, text: str, encoding: Encoding) -> None:
        self.uri = uri
        self.version = version
        self.encoding = encoding
        self.lines = split_lines(text)
        self.followers: list[Callable[[Edit], object]] = []
        self._text: str | None = text

    @property
    def text(self) -> str:
        """The whole text."""
        if self._text is None:
            self._text = "".join(self.lines)
        return self._text

    @property
    def line_end(self) -> str:
        """How its lines end, by the first of them."""
        first = self.lines[0]
        return first[len(first.rstrip("\r\n")) :] or "\n"

    def change(self, start: Position, end: Position, text: str) -> None:
        """Put `text` between two positions."""
        edit = replace(self.lines, self._place(start), self._place(end), text)
        self._text = None
        self._tell(edit)

    def swap(self, text: str) -> None:
        """Take a whole new text; lines that are in both are followed."""
        new = split_lines(text)
        edits = edits_between(self.lines, new)
        self.lines, self._text = new, text
        for edit in edits:
            self._tell(edit)

    def _tell(self, edit: Edit) -> None:
        if edit.start == edit.end and not edit.count:
            return
        for follower in tuple(self.followers):
            follower(edit)

    def _place(self, position: Position) -> Position:
        line, column = position
        if line >= len(self.lines):
            return position
        return line, index_of(self.lines[line], column, self.encoding)
