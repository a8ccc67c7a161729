"""A suggestion can be applied with a click only where that leaves a whole file."""

from __future__ import annotations

from typing import Any

import pytest
from reviews import finding_at

from bot.applying import Applying

PYTHON = {"a.py": "def f(x):\n    if x:\n        return 1\n    return 2\n"}
GO = {"a.go": "package a\n\nfunc f() int {\n\treturn 1\n}\n"}


def fits(
    files: dict[str, str], line: int, suggestion: str | None, end: int | None = None, **fields: Any
) -> bool:
    path = next(iter(files))
    return Applying(files).fits(finding_at(files, path, line, end, suggestion=suggestion, **fields))


@pytest.mark.parametrize(
    ("files", "line", "end", "suggestion"),
    [
        (PYTHON, 3, None, "        return 3"),
        (PYTHON, 2, 3, "    if not x:\n        return 0"),
        (PYTHON, 4, None, ""),
        (GO, 4, None, "\treturn 2"),
        ({"a.txt": "any\n"}, 1, None, "text ("),
        ({"broken.py": "def f(:\n    pass\n"}, 2, None, "    return"),
    ],
    ids=["line", "lines", "removal", "another language", "no grammar", "broken before, and no worse"],
)
def test_what_still_parses_fits(files: dict[str, str], line: int, end: int | None, suggestion: str) -> None:
    """The file with the suggestion in it has no more faults than before."""
    assert fits(files, line, suggestion, end)


@pytest.mark.parametrize(
    ("files", "line", "end", "suggestion"),
    [
        (PYTHON, 2, None, "    if x"),
        (PYTHON, 3, None, "        return (1"),
        (PYTHON, 2, None, "    if x:\n        return 1)"),
        (GO, 3, None, "func f() int"),
        (GO, 5, None, ""),
    ],
    ids=["colon lost", "bracket opened", "bracket closed", "brace lost", "closing brace removed"],
)
def test_what_breaks_the_file_does_not(
    files: dict[str, str], line: int, end: int | None, suggestion: str
) -> None:
    """It is shown, and nobody breaks the build with a click."""
    assert not fits(files, line, suggestion, end)


def test_without_the_source_the_engine_is_trusted() -> None:
    """It has checked what can be seen from the line alone."""
    finding = finding_at(PYTHON, "a.py", 3, suggestion="        return 3")
    assert Applying({}).fits(finding)


@pytest.mark.parametrize(
    ("suggestion", "fields"),
    [
        (None, {}),
        ("/close", {}),
        ("x = '\u202e'", {}),
        ("x = 1\r", {}),
        ("key = 'AKIAIOSFODNN7EXAMPLE'", {}),
        ("        return 3", {"code": "        return 7"}),
        ("x", {"end_line": 102}),
    ],
    ids=[
        "none",
        "quick action",
        "hidden character",
        "carriage return",
        "secret",
        "other code now",
        "too long",
    ],
)
def test_what_would_not_arrive_unchanged_does_not_fit(suggestion: str | None, fields: dict[str, Any]) -> None:
    """GitLab runs, cuts or hides parts of a text; what is replaced must be what was reviewed."""
    finding = finding_at(PYTHON, "a.py", 1, suggestion=suggestion).model_copy(update=fields)
    assert not Applying({} if "end_line" in fields else PYTHON).fits(finding)


def test_lines_with_carriage_returns_are_left_alone() -> None:
    """The new lines would end differently from all others."""
    files = {"a.txt": "one\r\ntwo\r\n"}
    finding = finding_at(files, "a.txt", 1, suggestion="1", code="one")
    assert not Applying(files).fits(finding)
