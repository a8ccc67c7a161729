"""Whether a suggestion is worth showing: it changes the line, and what stands around it still fits. Pure."""

from __future__ import annotations

import ast
import warnings
from enum import Enum

from engine.replies import indent_suggestion


def usable_suggestion(suggestion: str | None, line: str, language: str) -> str | None:
    """Return the text that replaces `line`, indented like it; None where it would change or help nothing."""
    if suggestion is None:
        return None
    text = indent_suggestion(suggestion, line)
    if text.rstrip() == line.rstrip():
        return None
    if open_brackets(text) != open_brackets(line) or _last_mark(text) != _last_mark(line):
        return None
    if language == "python" and not _fits_python(suggestion, line.strip()):
        return None
    return text


def open_brackets(text: str) -> list[int]:
    """Return how many brackets of each kind a text opens for what follows, or closes of what came before."""
    return [text.count(opening) - text.count(closing) for opening, closing in ("()", "[]", "{}")]


def _last_mark(text: str) -> str:
    """The comma or the like that ties the text to the next line."""
    last = text.rstrip()[-1:]
    return last if last in ",;:\\+|&" else ""


class _Shape(Enum):
    STATEMENT = "statement"
    HEAD = "head"  # of a block whose body is on the next lines
    OTHER = "other"  # a part of a statement, or no Python


def _fits_python(suggestion: str, line: str) -> bool:
    shape = _shape(line)
    return shape is _Shape.OTHER or _shape(suggestion) is shape


def _shape(text: str) -> _Shape:
    if _parses(text):
        return _Shape.STATEMENT
    return _Shape.HEAD if _parses(f"{text}\n        pass") else _Shape.OTHER


def _parses(text: str) -> bool:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            ast.parse(text)
        # Deep nesting exhausts the parser's stack as MemoryError or RecursionError.
        except (SyntaxError, ValueError, MemoryError, RecursionError):
            return False
    return True
