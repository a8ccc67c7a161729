"""The function around some lines of a file: by tree-sitter with the `syntax` extra, else by indentation.

Grammars come as wheels of their own. tree-sitter-language-pack is not used: since 1.0 it downloads its
parsers when they are first asked for, and a review must not reach out to anywhere.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tree_sitter import Node, Parser, Tree

# language -> module of its wheel and the function that gives the grammar
_GRAMMARS = {
    "python": ("tree_sitter_python", "language"),
    "java": ("tree_sitter_java", "language"),
    "javascript": ("tree_sitter_javascript", "language"),
    "typescript": ("tree_sitter_typescript", "language_tsx"),
    "go": ("tree_sitter_go", "language"),
    "rust": ("tree_sitter_rust", "language"),
    "c": ("tree_sitter_c", "language"),
    "c++": ("tree_sitter_cpp", "language"),
    "c#": ("tree_sitter_c_sharp", "language"),
    "ruby": ("tree_sitter_ruby", "language"),
    "php": ("tree_sitter_php", "language_php"),
}
FUNCTIONS = frozenset(
    {
        *("function_definition", "function_declaration", "function_item", "method_declaration"),
        *("method_definition", "constructor_declaration", "compact_constructor_declaration", "method"),
        *("singleton_method", "generator_function_declaration", "local_function_statement"),
        *("destructor_declaration", "operator_declaration"),
    }
)
_WRAPPERS = frozenset({"decorated_definition", "export_statement", "template_declaration"})
_CONTROL = re.compile(
    r"\W*(?:if|elif|else|for|foreach|while|do|switch|case|default|try|except|catch|finally|with|match|when"
    r"|unless|until|select|loop|synchronized|using|lock|return|begin|rescue|ensure)\b"
)
_OPENER = re.compile(
    r"(?:^|\s)(?:def|func|function|fn|fun|sub|proc|procedure|method|constructor)\b|\)[^;=]*\{\s*$"
)


@dataclass(frozen=True, slots=True)
class Span:
    """The lines of one function, 1-based and inclusive; its header ends before line `body`."""

    start: int
    body: int
    end: int


class Outline:
    """Finds functions in one file's text, which is parsed once and only if asked."""

    def __init__(self, lines: Sequence[str], language: str) -> None:
        self._lines = lines
        self._language = language
        self._tree: Tree | None = None

    def enclosing(self, first: int, last: int) -> Span | None:
        """Return the innermost function that holds the lines `first` to `last`, or None."""
        parser = parser_for(self._language)
        if parser is None:
            return by_indentation(self._lines, first, last)
        if self._tree is None:
            self._tree = parser.parse("\n".join(self._lines).encode("utf-8", "replace"))
        return _by_syntax(self._tree.root_node, self._lines, first, last)


def by_indentation(lines: Sequence[str], first: int, last: int) -> Span | None:
    """Return the function around the lines by layout alone: the nearest less indented line that opens one."""
    depth = min((_indent(line) for line in lines[first - 1 : last] if line.strip()), default=0)
    for number in range(first - 1, 0, -1):
        line = lines[number - 1]
        if not line.strip() or _indent(line) >= depth:
            continue
        depth = _indent(line)
        if _OPENER.search(line) and not _CONTROL.match(line):
            end = _last_inside(lines, number, depth)
            return Span(number, number + 1, end) if end >= last else None
    return None


def _last_inside(lines: Sequence[str], start: int, depth: int) -> int:
    """Return the last line indented deeper than the opener at `start`, with the brace that closes it."""
    end = start
    for number in range(start + 1, len(lines) + 1):
        line = lines[number - 1]
        if line.strip() and _indent(line) <= depth:
            return number if line.strip()[0] in "}])" or line.strip() == "end" else end
        if line.strip():
            end = number
    return end


def _indent(line: str) -> int:
    expanded = line.expandtabs(4)
    return len(expanded) - len(expanded.lstrip())


def _by_syntax(root: Node, lines: Sequence[str], first: int, last: int) -> Span | None:
    start = next((number for number in range(first, last + 1) if lines[number - 1].strip()), first)
    column = len(lines[start - 1]) - len(lines[start - 1].lstrip())
    end_column = len(lines[last - 1].encode("utf-8", "replace"))
    node = root.descendant_for_point_range((start - 1, column), (last - 1, end_column))
    while node is not None and node.type not in FUNCTIONS:
        node = node.parent
    return _span(node) if node is not None else None


def _span(node: Node) -> Span:
    body = node.child_by_field_name("body")
    body_line = body.start_point[0] + 1 if body is not None else node.start_point[0] + 2
    whole = node.parent if node.parent is not None and node.parent.type in _WRAPPERS else node
    header_end = max(node.start_point[0] + 1, body_line - 1)
    return Span(whole.start_point[0] + 1, header_end + 1, whole.end_point[0] + 1)


@cache
def parser_for(language: str) -> Parser | None:
    """Return the parser for `language`, or None if there is no grammar for it or the extra is missing."""
    if language not in _GRAMMARS:
        return None
    module, function = _GRAMMARS[language]
    try:
        tree_sitter = importlib.import_module("tree_sitter")
        grammar = getattr(importlib.import_module(module), function)()
    except ModuleNotFoundError:
        return None
    parser: Parser = tree_sitter.Parser(tree_sitter.Language(grammar))
    return parser
