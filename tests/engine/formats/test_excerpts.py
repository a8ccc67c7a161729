"""Which rows are shown around a finding."""

from __future__ import annotations

import pytest

from engine.findings import Category, Finding, Severity
from engine.formats.excerpts import LineLookup, excerpt, lines_of, no_lines
from engine.parsing import parse_diff

DIFF = """\
--- a/x.py
+++ b/x.py
@@ -1,3 +1,4 @@
 one
+two
 three
-gone
+four
"""
SOURCE = "one\r\ntwo\r\nthree\r\nfour\r\nfive\r\n"


def finding(line: int, code: str, suggestion: str | None = None) -> Finding:
    """Make a finding that starts at `line`."""
    return Finding(
        path="x.py",
        line=line,
        end_line=line + code.count("\n"),
        severity=Severity.INFO,
        category=Category.BUG,
        message="m",
        suggestion=suggestion,
        confidence=1,
        code=code,
    )


def rows(shown: Finding, line_at: LineLookup = no_lines) -> list[str]:
    """Write an excerpt as `number kind text`."""
    return [f"{row.number or ''}{row.kind.value}{row.text}" for row in excerpt(shown, line_at)]


IN_DIFF = lines_of(parse_diff(DIFF))
IN_FILE = lines_of(parse_diff(DIFF), {"x.py": SOURCE})


@pytest.mark.parametrize(
    ("shown", "line_at", "expected"),
    [
        (finding(2, "two"), no_lines, ["2>two"]),
        (finding(2, "two"), IN_DIFF, ["1 one", "2>two", "3 three", "4 four"]),
        (finding(1, "one"), IN_DIFF, ["1>one", "2 two", "3 three"]),
        (finding(4, "four"), IN_DIFF, ["2 two", "3 three", "4>four"]),
        (finding(4, "four"), IN_FILE, ["2 two", "3 three", "4>four", "5 five", "6 "]),
        (finding(2, ""), IN_DIFF, ["1 one", "2>two", "3 three", "4 four"]),
        (finding(2, ""), no_lines, []),
        (finding(2, "two", "2"), no_lines, ["2-two", "+2"]),
        (finding(2, "two", ""), no_lines, ["2-two"]),
        (finding(2, "two\nthree", "two\nand\nthree"), no_lines, ["2>two", "+and", "3>three"]),
        (finding(2, "two\nthree", "2\nthree"), no_lines, ["2-two", "+2", "3>three"]),
        (finding(9, "nine"), IN_FILE, ["9>nine"]),
    ],
)
def test_excerpt(shown: Finding, line_at: LineLookup, expected: list[str]) -> None:
    """A finding's lines stand between up to two known neighbours, a suggestion as the diff it makes."""
    assert rows(shown, line_at) == expected


def test_lines_of_another_file_are_unknown() -> None:
    """A lookup knows the new version of its own files only."""
    assert IN_FILE("y.py", 1) is None
    assert IN_FILE("x.py", 0) is None
    assert IN_DIFF("x.py", 5) is None
    assert IN_DIFF("x.py", 4) == "four"
