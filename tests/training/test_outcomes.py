"""What later versions of a diff say about a remark."""

from __future__ import annotations

import pytest

from bot.fake_gitlab.trees import compare
from engine.diffs import FileDiff
from training.history.outcomes import (
    line_changed,
    near_changed,
    says_changed,
    suggestion_applied,
    suggestions_of,
    without_suggestions,
)
from training.history.reading import read_diffs
from training.history.windows import around, hunk_at, hunk_text

OLD = "import os\n\n\ndef load(path):\n    return open(path).read()\n\n\ndef save(path):\n    pass\n"
WRITTEN = OLD.replace("return open(path).read()", "text = open(path).read()\n    return text")
CHANGES = {
    "untouched": (WRITTEN, False, False),
    "rewritten": (
        OLD.replace("return open(path).read()", "text = path.read_text()\n    return text"), True, None,
    ),
    "a line beside it": (WRITTEN.replace("    return text", "    check()\n    return text"), False, True),
    "shifted": ("# a new head\n# of the file\n" + WRITTEN, False, False),
    "taken back": (OLD.replace("pass", "raise"), True, None),
}  # fmt: skip


def diff(text: str, path: str = "a.py") -> FileDiff | None:
    changes = compare({"a.py": OLD.encode()}, {path: text.encode()})
    rows = [
        {
            "old_path": each.old_path,
            "new_path": each.new_path,
            "diff": each.diff,
            "renamed_file": each.renamed_file,
        }
        for each in changes
    ]
    return read_diffs(rows).get(path)


@pytest.mark.parametrize(("text", "changed", "near"), CHANGES.values(), ids=CHANGES.keys())
def test_a_later_version_tells_what_changed(text: str, changed: bool, near: bool | None) -> None:
    """By the text of lines, so that lines which only moved have not changed."""
    written, final = diff(WRITTEN), diff(text)
    assert written is not None
    found = hunk_at(written, 5, None)
    assert found is not None
    line = found[0].lines[found[1]]
    assert line.text == "    text = open(path).read()"
    assert line_changed(written, line, final) is changed
    if near is not None:
        assert near_changed(written, line, final) is near


def test_a_line_that_says_little_tells_nothing() -> None:
    """A brace is a brace: nobody knows which."""
    before, after = diff(WRITTEN + "}\n"), diff(WRITTEN)
    assert before is not None
    found = hunk_at(before, 11, None)
    assert found is not None
    assert line_changed(before, found[0].lines[found[1]], after) is None


def test_a_suggestion_that_was_taken_is_found() -> None:
    """It stands in the final diff and did not when it was made; without one there is nothing to tell."""
    written, taken = diff(WRITTEN), diff(WRITTEN.replace("open(path).read()", "path.read_text()"))
    assert written is not None
    found = hunk_at(written, 5, None)
    assert found is not None
    line = found[0].lines[found[1]]
    body = "Simpler:\n\n```suggestion:-0+0\n    text = path.read_text()\n```"
    assert suggestion_applied(body, written, line, taken) is True
    assert suggestion_applied(body, written, line, written) is False
    assert suggestion_applied("Simpler, please.", written, line, taken) is None


def test_suggestions_and_words_are_told_apart() -> None:
    """Ranges, longer fences, an empty suggestion, and code that is none."""
    body = "One.\n```suggestion:-1+2\na\nb\n```\nTwo.\n````suggestion\n```\n````\n"
    body += "```suggestion\n```\n```py\nc\n```"
    assert list(suggestions_of(body)) == [(1, 2, "a\nb"), (0, 0, "```"), (0, 0, "")]
    assert without_suggestions(body) == "One.\n\nTwo.\n\n\n```py\nc\n```"


def test_gitlabs_own_word_counts() -> None:
    """It notes in a thread that a later version changed its line."""
    assert says_changed(["changed this line in [version 3 of the diff](/x/diffs?diff_id=1#2)"])
    assert not says_changed(["resolved all threads", "changed the description"])


def test_windows_are_hunks_with_the_same_numbers() -> None:
    """Every window of a hunk, however small, gives each row the number it had."""
    file = diff(WRITTEN)
    assert file is not None
    rows = file.hunks[0].lines
    for first in range(len(rows)):
        for last in range(first, len(rows)):
            for before in (0.0, 0.5, 1.0):
                shown = around(rows, first, last, 4, before)
                assert set(rows[first : last + 1]) <= set(shown)
                assert len(shown) <= max(4, last - first + 1)
                again = read_diffs([{"old_path": "a", "new_path": "a", "diff": hunk_text(shown)}])["a"]
                numbers = [(line.kind, line.text, line.new_number) for line in shown if line.new_number]
                assert [
                    (line.kind, line.text, line.new_number)
                    for line in again.hunks[0].lines
                    if line.new_number
                ] == numbers
