"""Whether a finding's suggestion can be offered to be applied with one click. Pure.

GitLab replaces whole lines by whatever stands in the block, so it must arrive there unchanged, take the
place of the very lines that were reviewed, and leave a file that still parses.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property

from bot.masking import mask
from engine.enclosing import parser_for
from engine.findings import Finding
from engine.languages import language_of
from engine.sanitize import is_verbatim

MAX_LINES_ABOVE = 100
"""GitLab cuts a range off there without a word."""


class Applying:
    """Answers for the findings of one review. `sources` are the new texts of files, where they are known."""

    def __init__(self, sources: Mapping[str, str]) -> None:
        self._texts = {path: _Text(path, text) for path, text in sources.items()}

    def fits(self, finding: Finding) -> bool:
        """Tell whether the suggestion of `finding` may be offered."""
        suggestion = finding.suggestion
        if suggestion is None or finding.end_line - finding.line > MAX_LINES_ABOVE:
            return False
        if not is_verbatim(suggestion) or mask(suggestion) != suggestion:
            return False
        text = self._texts.get(finding.path)
        return text is None or text.takes(finding, suggestion)


class _Text:
    """A file as it is, and as a suggestion would make it."""

    def __init__(self, path: str, text: str) -> None:
        self._text = text
        self._language = language_of(path) or ""

    @cached_property
    def _lines(self) -> list[str]:
        return self._text.split("\n")

    @cached_property
    def _faults(self) -> int:
        return _faults(self._text, self._language)

    def takes(self, finding: Finding, suggestion: str) -> bool:
        old = self._lines[finding.line - 1 : finding.end_line]
        # Applying would turn the ends of these lines alone into newlines.
        if any(line.endswith("\r") for line in old):
            return False
        if finding.code and "\n".join(old) != finding.code:
            return False
        new = suggestion.split("\n") if suggestion else []
        changed = "\n".join((*self._lines[: finding.line - 1], *new, *self._lines[finding.end_line :]))
        return _faults(changed, self._language) <= self._faults


def _faults(text: str, language: str) -> int:
    """Return how many places of `text` do not parse; 0 where there is no grammar for it."""
    parser = parser_for(language)
    if parser is None:
        return 0
    root = parser.parse(text.encode("utf-8", "replace")).root_node
    waiting, faults = [root], 0
    while waiting:
        node = waiting.pop()
        faults += node.is_error or node.is_missing
        if node.has_error:
            waiting.extend(node.children)
    return faults
