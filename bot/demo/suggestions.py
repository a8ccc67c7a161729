"""Suggestion blocks of notes: found, and applied as GitLab does. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass

_BLOCK = re.compile(r"^(`{3,})suggestion(?::-(\d+)\+(\d+))?\n(.*?)^\1$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True, slots=True)
class Suggestion:
    """Lines in the place of others, counted from the line of the note."""

    above: int
    below: int
    text: str  # ends with a newline unless it is empty


def suggestion_in(body: str) -> Suggestion | None:
    """Return the first suggestion of a note, or None."""
    match = _BLOCK.search(body)
    return Suggestion(int(match[2] or 0), int(match[3] or 0), match[4]) if match else None


def apply_suggestion(text: str, line: int, suggestion: Suggestion) -> str:
    """Return a file's text with a suggestion that was made at `line`."""
    lines = text.splitlines(keepends=True)
    first, last = max(0, line - 1 - suggestion.above), line + suggestion.below
    return "".join([*lines[:first], suggestion.text, *lines[last:]])
