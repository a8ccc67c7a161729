"""Fragments of Python become modules, and each row stays where it can be found."""

from __future__ import annotations

import textwrap

import pytest

from training.python_snippets import parses, snippet_of

FRAGMENTS = {
    "whole function": "def f(a):\n    return a",
    "inside a method": "        return self.a\n\n    def b(self):\n        pass",
    "before except": "            read()\n        except OSError:\n            pass",
    "before else": "        a = 1\n    else:\n        a = 2\n    return a",
    "header at the end": "def f(a):\n    if a:",
    "try at the end": "def f(a):\n    try:\n        a()",
    "try header at the end": "def f(a):\n    try:",
    "decorated method": "    @property\n    def a(self):\n        return 1",
    "awaits": "    await a()\n    return 2",
    "tabs": "\t\ta = 1\n\tb = 2",
    "docstring's end": '    and more it is said.\n    """\n    a = 1',
    "open call at the end": "a = 1\nb = call(\n    a,",
}


@pytest.mark.parametrize("text", FRAGMENTS.values(), ids=FRAGMENTS.keys())
def test_a_fragment_becomes_a_module(text: str) -> None:
    """The module parses, and every row that was not cut stands at its place unchanged."""
    rows = text.split("\n")
    snippet = snippet_of(rows)
    assert snippet is not None
    assert parses(snippet.text)
    lines = snippet.lines[snippet.offset :]
    kept = [row for row, (text, line) in enumerate(zip(rows, lines, strict=False)) if text == line]
    assert len(kept) >= len(rows) - 2
    assert all(snippet.row_of(snippet.offset + row + 1) == row for row in kept)


def test_prose_is_no_module() -> None:
    """What is not Python is refused instead of being cut to nothing."""
    assert snippet_of(["prose is never code"] * 30) is None


def test_well_known_names_are_imported() -> None:
    """Linters learn where a name comes from, unless the rows bind it themselves."""
    snippet = snippet_of(["x = np.zeros(3)", "y = re.sub(a, b, c)", "json = load()", "z = json.loads(y)"])
    assert snippet is not None
    assert "import numpy as np" in snippet.lines
    assert "import re" in snippet.lines
    assert "import json" not in snippet.lines


def test_a_replaced_row_may_be_several_lines() -> None:
    """The text with a replacement is what a reader of the file would have after applying it."""
    snippet = snippet_of(["f = lambda a: a"])
    assert snippet is not None
    fixed = snippet.with_row(0, "def f(a):\n    return a")
    assert fixed.endswith(
        textwrap.dedent("""\
        def f(a):
            return a
        """)
    )
