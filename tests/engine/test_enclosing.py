"""The function around a line, by grammar and by layout."""

from __future__ import annotations

import importlib
import socket
from collections.abc import Callable

import pytest

from engine import enclosing
from engine.enclosing import Outline, Span, by_indentation

CASES = {
    "python": (
        "class A:\n    @wraps\n    def f(self,\n          b):\n        x = 1\n        return x\n",
        5,
        Span(2, 5, 6),
    ),
    "java": ("class A {\n  void f() {\n    int x = 1;\n  }\n}\n", 3, Span(2, 3, 4)),
    "javascript": ("export function f() {\n  if (a) {\n    b();\n  }\n}\n", 3, Span(1, 2, 5)),
    "typescript": ("class A {\n  f(x: number): void {\n    g(x);\n  }\n}\n", 3, Span(2, 3, 4)),
    "go": ("package a\n\nfunc (s *S) F() int {\n\treturn 1\n}\n", 4, Span(3, 4, 5)),
    "rust": ("impl A {\n    fn f(&self) {\n        g();\n    }\n}\n", 3, Span(2, 3, 4)),
    "c": ("int f(int a)\n{\n    return a;\n}\n", 3, Span(1, 2, 4)),
    "c++": ("template <class T>\nT f(T a) {\n    return a;\n}\n", 3, Span(1, 3, 4)),
    "c#": ("class A {\n  int F() {\n    return 1;\n  }\n}\n", 3, Span(2, 3, 4)),
    "ruby": ("class A\n  def f\n    g\n  end\nend\n", 3, Span(2, 3, 4)),
    "php": ("<?php\nfunction f() {\n  return 1;\n}\n", 3, Span(2, 3, 4)),
    "kotlin": (
        "class A {\n    fun f(): Int {\n        if (x) {\n            g()\n        }\n    }\n}\n",
        4,
        Span(2, 3, 6),
    ),
}


@pytest.mark.parametrize(("language", "case"), CASES.items(), ids=CASES)
def test_the_innermost_function_is_found(language: str, case: tuple[str, int, Span]) -> None:
    """Each language's functions are found with their decorators and wrappers; others go by layout."""
    source, number, span = case
    assert Outline(source.split("\n"), language).enclosing(number, number) == span


@pytest.mark.parametrize("language", ["python", "kotlin"])
def test_no_function_holds_lines_of_two(language: str) -> None:
    """Lines that reach over two functions, or stand outside any, have none around them."""
    lines = ["def f():", "    a", "", "def g():", "    b", "c = 1"]
    outline = Outline(lines, language)
    assert outline.enclosing(2, 5) is None
    assert outline.enclosing(6, 6) is None


def test_broken_code_is_no_error() -> None:
    """Text that no grammar accepts gives a function or none, never an error."""
    lines = ["def f(:", "  }{ \ud800", "\x00", "", "   日本 ((((" * 50]
    for language in CASES:
        for number in range(1, len(lines) + 1):
            Outline(lines, language).enclosing(number, number)


def test_without_grammars_layout_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the `syntax` extra the same simple function is found by its indentation."""

    def missing(name: str) -> None:
        raise ModuleNotFoundError(name)

    monkeypatch.setattr(importlib, "import_module", missing)
    enclosing.parser_for.cache_clear()
    source, number, span = CASES["java"]
    assert Outline(source.split("\n"), "java").enclosing(number, number) == span
    enclosing.parser_for.cache_clear()


def test_control_flow_is_not_taken_for_a_function() -> None:
    """By layout, `if (...) {` is passed over on the way up to the function."""
    lines = ["int f(int a) {", "  while (a) {", "    if (a > 1) {", "      g();", "    }", "  }", "}"]
    assert by_indentation(lines, 4, 4) == Span(1, 2, 7)


def test_grammars_need_no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """A parser is made from its wheel alone."""

    def refused(*_: object) -> None:
        raise AssertionError("a socket was asked for")

    sockets: Callable[..., None] = refused
    monkeypatch.setattr(socket, "socket", sockets)
    enclosing.parser_for.cache_clear()
    assert all(enclosing.parser_for(language) for language in CASES if language != "kotlin")
