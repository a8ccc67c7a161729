"""The diff values: what they say about lines and ends."""

from __future__ import annotations

from engine.diffs import Chunk, DiffLine, FileDiff, LineKind
from engine.parsing import parse_diff

TEXT = """\
--- a/x.py
+++ b/x.py
@@ -2 +1,0 @@
-gone
@@ -5,2 +4,4 @@
 kept
+new
+\t
 kept too
"""


def read(text: str) -> FileDiff:
    """Return the only file diff in `text`."""
    (file,) = parse_diff(text)
    return file


def test_line_at_finds_shown_lines_of_the_new_file_only() -> None:
    """A line is found by its new number where the diff shows it, and nowhere else."""
    file = read(TEXT)
    assert [number for number in range(-1, 20) if file.line_at(number)] == [4, 5, 6, 7]
    found = file.line_at(5)
    assert found == DiffLine(LineKind.ADDED, "new", None, 5)


def test_an_empty_side_ends_where_it_begins() -> None:
    """A side without lines names the line before the hunk, so its end is the line after that one."""
    removal, change = read(TEXT).hunks
    assert (removal.old_end, removal.new_end) == (3, 2)
    assert (change.old_end, change.new_end) == (7, 8)


def test_only_added_lines_with_text_are_commentable() -> None:
    """Context, removed and blank added lines take no finding."""
    lines = read(TEXT).hunks[0].lines + read(TEXT).hunks[1].lines
    assert [line.text for line in Chunk("x.py", "python", lines).commentable] == ["new"]
