"""Source files -> "write this function": what its documentation says, and its code. Pure but for the parser.

By tree-sitter, so by the languages of the `syntax` extra; files of others give nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from textwrap import dedent
from typing import TYPE_CHECKING

from engine.enclosing import FUNCTIONS, parser_for
from training.formats.conversations import Conversation
from training.history.records import SourceFile

if TYPE_CHECKING:
    from tree_sitter import Node

_ROWS = range(3, 61)
_SHORTEST = 20
_MARKS = re.compile(r"^[ \t]*(?:/\*\*?|\*/|\*|///?|#|\"\"\"|''')[ \t]?|\*/[ \t]*$", re.M)
_QUOTES = re.compile(r"""^[rRbBuU]*(?:\"{3}|'{3}|"|')|(?:\"{3}|'{3}|"|')$""")
_ASKED = "Write this {language} function of {path}.\n\n{head}\n\n{said}"


def tasks(source: SourceFile) -> Iterator[Conversation]:
    """Yield a task for each documented function that is neither tiny nor long."""
    parser = parser_for(source.language)
    if parser is None:
        return
    data = source.text.encode("utf-8", "replace")
    for node in _functions(parser.parse(data).root_node):
        body = node.child_by_field_name("body")
        said = _documentation(node, body, source.language, data)
        code = dedent(" " * node.start_point[1] + _text(node, data))
        if body is None or len(said) < _SHORTEST or code.count("\n") + 1 not in _ROWS:
            continue
        head = data[node.start_byte : body.start_byte].decode("utf-8", "replace").rstrip(" {\n")
        asked = _ASKED.format(language=source.language, path=source.path, head=head, said=said)
        yield Conversation.of_pairs(((asked, code),))


def _functions(root: Node) -> Iterator[Node]:
    waiting = [root]
    while waiting:
        node = waiting.pop()
        if node.type in FUNCTIONS:
            yield node
        waiting += reversed(node.named_children)


def _documentation(node: Node, body: Node | None, language: str, data: bytes) -> str:
    """Return what the comments right above a function say; in Python, what its docstring says."""
    if language == "python":
        first = body.named_children[0] if body is not None and body.named_children else None
        if first is None or first.type != "expression_statement" or not first.named_children:
            return ""
        text = first.named_children[0]
        return _plain(_QUOTES.sub("", _text(text, data))) if text.type == "string" else ""
    rows: list[str] = []
    end, other = node.start_point[0], node.prev_named_sibling
    while other is not None and "comment" in other.type and end - other.end_point[0] <= 1:
        rows.insert(0, _text(other, data))
        end, other = other.start_point[0], other.prev_named_sibling
    return _plain("\n".join(rows))


def _plain(text: str) -> str:
    rows = (row.strip() for row in _MARKS.sub("", text).split("\n"))
    return "\n".join(row for row in rows if row and not row.startswith("@author"))


def _text(node: Node, data: bytes) -> str:
    return data[node.start_byte : node.end_byte].decode("utf-8", "replace")
