"""Fragments of Python -> modules that parse, so that a linter can be run on a hunk's rows alone.

A hunk starts and ends anywhere: in a method's body, in a docstring, between `try` and `except`. The rows
keep their indentation and columns; what encloses them is made up around them.
"""

from __future__ import annotations

import ast
import re
import sys
import typing
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

_MAX_CUT = 20
_ALIASES = {"np": "numpy", "pd": "pandas", "plt": "matplotlib.pyplot", "tf": "tensorflow", "nn": "torch.nn"}
_PACKAGES = {"django", "numpy", "pandas", "pytest", "requests", "six", "torch", "yaml"}
_MODULES = sys.stdlib_module_names | _PACKAGES
_CLAUSES = {"except": "try:", "finally": "try:", "else": "if 1:", "elif": "if 1:"}


@dataclass(frozen=True, slots=True)
class Snippet:
    """A module that parses and holds the given rows; row `i` (from 0) is module line `offset + i + 1`."""

    lines: tuple[str, ...]
    offset: int

    def row_of(self, line: int) -> int:
        """Return the row that stands at this 1-based line of the module; negative in what was put before."""
        return line - self.offset - 1

    def with_row(self, row: int, text: str) -> str:
        """Return the module's text with one row replaced by `text`."""
        lines = list(self.lines)
        lines[self.offset + row] = text
        return "\n".join(lines) + "\n"

    @property
    def text(self) -> str:
        return "\n".join(self.lines) + "\n"


def snippet_of(rows: Sequence[str]) -> Snippet | None:
    """Return a module around `rows`, or None if no more than 20 rows cut from the ends make one.

    Rows cut from the head are left blank, rows cut from the tail are missing.
    """
    for head, tail in _cuts(len(rows)):
        body = [""] * head + list(rows[head : len(rows) - tail])
        # Linters take the width of the first indentation they meet for the file's style.
        before = [*_imports(body), "if 1:", f"{_unit(body)}pass", *_openers(body)]
        lines = (*before, *body, *_closers(body))
        if parses("\n".join(lines) + "\n"):
            return Snippet(lines, len(before))
    return None


def parses(text: str) -> bool:
    """Return whether `text` is a Python module as far as the parser sees."""
    try:
        with warnings.catch_warnings(action="ignore"):
            ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return True


def _cuts(rows: int) -> Iterator[tuple[int, int]]:
    """Yield (rows off the head, rows off the tail), the fewest rows first."""
    for cut in range(min(_MAX_CUT, rows - 1) + 1):
        for head in range(cut + 1):
            yield head, cut - head


def _indent(line: str) -> str:
    return line[: len(line) - len(line.lstrip())]


def _code(rows: Sequence[str]) -> Iterator[str]:
    """Yield the rows whose indentation says where a block begins or ends."""
    return (row for row in rows if row.strip() and row.lstrip()[0] not in "#)]}")


def _unit(rows: Sequence[str]) -> str:
    """Return the smallest step by which `rows` are indented further, four spaces if there is none."""
    indents = [_indent(row) for row in _code(rows)]
    steps = [new.removeprefix(old) for old, new in pairwise(indents) if new.startswith(old) and new != old]
    return min(steps, key=len, default=" " * 4)


def _openers(rows: Sequence[str]) -> list[str]:
    """Return the headers of the blocks that `rows` start inside of, outermost first."""
    openers: list[str] = []
    lowest, last = None, ""
    for row in _code(rows):
        indent = _indent(row)
        if lowest is not None and len(indent) < len(lowest):
            openers.append(indent + _opener_before(row))
        if lowest is None or len(indent) < len(lowest):
            lowest, last = indent, row
    if lowest:
        openers.append("class _:" if re.match(r"\s*(@|(async )?def )", last) else "async def _():")
    return openers[::-1]


def _opener_before(row: str) -> str:
    match = re.match(r"\s*(\w+)", row)
    return _CLAUSES.get(match[1] if match else "", "def _():")


def _closers(rows: Sequence[str]) -> list[str]:
    """Return what completes a block header in the last row and every `try` without a handler."""
    code = list(_code(rows))
    closers = [f"{_indent(code[-1])} pass"] if code and code[-1].rstrip().endswith(":") else []
    tries: list[str] = []
    for row in code:
        indent, word = _indent(row), row.strip()
        while tries and len(tries[-1]) > len(indent):
            tries.pop()
        if word == "try:":
            tries.append(indent)
        elif tries and tries[-1] == indent and word.startswith(("except", "finally")):
            tries.pop()
    return closers + [f"{indent}finally: pass" for indent in reversed(tries)]


def _imports(rows: Sequence[str]) -> list[str]:
    """Return imports of well-known names that `rows` use; many rules look at where a name comes from."""
    text = "\n".join(rows)
    roots = set(re.findall(r"(?<![\w.])([a-zA-Z_]\w*)(?=\.\w)", text))
    names = set(re.findall(r"(?<![\w.])([A-Z]\w+)(?=\[)", text)) & set(typing.__all__)
    bound = set(re.findall(r"^\s*(\w+)\s*=[^=]", text, re.MULTILINE)) | set(re.findall(r"import (\w+)", text))
    modules = [f"import {name}" for name in sorted((roots & _MODULES) - bound)]
    aliases = [f"import {module} as {name}" for name, module in _ALIASES.items() if name in roots - bound]
    return modules + aliases + [f"from typing import {name}" for name in sorted(names - bound)]
