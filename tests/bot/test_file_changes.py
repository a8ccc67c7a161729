"""GitLab's files become the engine's diffs, and those become text that reads the same again."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from bot.file_changes import diff_text, file_diff, why_unread
from bot.gitlab import FileChange
from engine.diffs import FileDiff, FileStatus
from engine.parsing import parse_diff
from engine.wire import SkipReason

DIFFS = sorted((Path(__file__).parents[1] / "data" / "diffs").glob("*.diff"))
HUNK = "@@ -1 +1,2 @@\n a\n+b\n"
EDITED = FileChange("a.py", "a.py", HUNK)


@pytest.mark.parametrize("path", DIFFS, ids=lambda path: path.stem)
def test_a_diff_written_anew_reads_the_same(path: Path) -> None:
    """Every number, row, name and status survives; of copies only that they are new files."""
    files = [file for file in parse_diff(path.read_bytes().decode()) if not file.is_binary]
    files = [file for file in files if file.status is not FileStatus.COPIED and "\n" not in file.new_path]
    again = parse_diff(diff_text(files)) if files else []
    assert [_comparable(file) for file in again] == [_comparable(file) for file in files]


def _comparable(file: FileDiff) -> FileDiff:
    hunks = tuple(replace(hunk, section=hunk.section.strip()) for hunk in file.hunks)
    return replace(file, hunks=hunks, old_mode=None, new_mode=None)


def test_a_change_is_read_with_its_status_and_lines() -> None:
    """New, deleted and renamed files are what GitLab says they are."""
    assert file_diff(EDITED).hunks[0].lines[1].new_number == 2
    assert file_diff(replace(EDITED, new_file=True)).status is FileStatus.ADDED
    assert file_diff(replace(EDITED, deleted_file=True)).status is FileStatus.DELETED
    renamed = file_diff(replace(EDITED, old_path="old.py", renamed_file=True))
    assert (renamed.status, renamed.old_path, renamed.new_path) == (FileStatus.RENAMED, "old.py", "a.py")
    assert file_diff(replace(EDITED, diff="Binary files a/x and b/x differ\n")).is_binary


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (EDITED, None),
        (replace(EDITED, too_large=True, diff=""), SkipReason.TOO_LARGE),
        (replace(EDITED, collapsed=True, diff=""), SkipReason.TOO_LARGE),
        (replace(EDITED, generated_file=True), SkipReason.GENERATED),
        (replace(EDITED, diff=""), SkipReason.TOO_LARGE),  # before 18.4
        (replace(EDITED, diff="@@ -1,9 +1,9 @@\n a\n"), SkipReason.UNSUPPORTED),
        (replace(EDITED, diff="", old_path="b.py", renamed_file=True), None),
        (replace(EDITED, diff="", new_mode="100755"), None),
        (replace(EDITED, diff="", new_file=True), None),
        (replace(EDITED, diff="", deleted_file=True, too_large=True), None),
        (replace(EDITED, diff="Binary files a/x and b/x differ\n"), None),
    ],
)
def test_what_gitlab_does_not_show_is_said(change: FileChange, reason: SkipReason | None) -> None:
    """A file whose diff was left out is not one without changes; the engine says the rest."""
    entry = why_unread(change)
    assert (entry.reason if entry else None) == reason


def test_a_diff_that_cannot_be_read_harms_nobody() -> None:
    """It has no hunks, and what stands beside it is read."""
    broken = file_diff(replace(EDITED, diff="@@ -1,9 +1,9 @@\n a\n"))
    assert broken.hunks == ()
    assert [file.new_path for file in parse_diff(diff_text([broken, file_diff(EDITED)]))] == ["a.py", "a.py"]
