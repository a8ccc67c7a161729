"""Reading diffs: the awkward cases by name, clear refusals, GitLab's fragments, time, and noise."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from effort import computing_seconds
from hypothesis import example, given, settings
from hypothesis import strategies as st

from engine.diffs import DiffLine, FileDiff, FileStatus, LineKind
from engine.errors import DiffError
from engine.parsing import parse_diff, parse_fragment

GOLDENS = [
    path.read_bytes().decode() for path in (Path(__file__).parent.parent / "data/diffs").glob("*.diff")
]
ONE = "--- a/x.py\n+++ b/x.py\n"
COUNT_CASES = {
    "row missing at the end": (f"{ONE}@@ -1,2 +1,2 @@\n a\n", 5, "1 old and 1 new"),
    "row missing before the next file": (f"{ONE}@@ -1,2 +1 @@\n a\n{ONE}@@ -1 +1 @@\n", 6, "more rows"),
    "one row too many": (f"{ONE}@@ -1 +1 @@\n-a\n+b\n+c\n", 6, "more rows"),
    "added row where none is left": (f"{ONE}@@ -1,2 +1 @@\n a\n+b\n", 5, "1 old and 0 new"),
    "text inside a hunk": (f"{ONE}@@ -1,2 +1,2 @@\n a\nwhat\n", 5, "1 old and 1 new"),
}


def texts_of(file: FileDiff, kind: LineKind) -> list[str]:
    """Return the texts of all lines of one kind."""
    return [line.text for hunk in file.hunks for line in hunk.lines if line.kind is kind]


@pytest.mark.parametrize(("text", "line", "words"), COUNT_CASES.values(), ids=COUNT_CASES)
def test_counts_and_rows_must_agree(text: str, line: int, words: str) -> None:
    """A hunk whose header and rows disagree is refused with the line where it shows."""
    with pytest.raises(DiffError, match=words) as caught:
        parse_diff(text)
    assert caught.value.line == line


REFUSED = {
    "combined, by its file header": ("diff --cc a.py\n@@@ -1,1 -1,1 +1,2 @@@\n  a\n++b\n", 1, "merge"),
    "combined, by its hunk header": (f"{ONE}@@@ -1,1 -1,1 +1,2 @@@\n  a\n++b\n", 3, "combined"),
    "hunk without a file": ("@@ -1 +1 @@\n-a\n+b\n", 1, "without a file header"),
    "bad hunk header": (f"{ONE}@@ -a +1 @@\n", 3, "bad hunk header"),
    "number too big to be one": (f"{ONE}@@ -{'9' * 5000} +1 @@\n", 3, "bad hunk header"),
    "line number 0": (f"{ONE}@@ -0 +1 @@\n", 3, "counted from 1"),
    "hunks out of order": (f"{ONE}@@ -9 +9 @@\n-a\n+b\n@@ -1 +1 @@\n-a\n+b\n", 6, "out of order"),
    "no name": ("--- \n+++ \n@@ -1 +1 @@\n-a\n+b\n", 1, "usable name"),
    "NUL in a name": ('--- "a/\\000"\n+++ "b/\\000"\n', 1, "usable name"),
    "names that cannot be told apart": (
        "diff --git a/x y b/z\nold mode 100644\nnew mode 100755\n",
        1,
        "apart",
    ),
    "not a diff": ("Dear all,\n\nplease review.\n", None, "no file header"),
}


@pytest.mark.parametrize(("text", "line", "words"), REFUSED.values(), ids=REFUSED)
def test_refusals_name_line_and_reason(text: str, line: int | None, words: str) -> None:
    """What is no diff we can read is refused in words, with its line."""
    with pytest.raises(DiffError, match=words) as caught:
        parse_diff(text)
    assert caught.value.line == line


def test_nothing_is_an_empty_diff() -> None:
    """No text and white space hold no change, which is no error."""
    assert parse_diff("") == parse_diff("\n \n") == ()


def test_rows_that_look_like_headers_stay_rows() -> None:
    """Removed `-- x` and added `++ y` look like file headers; the counts say they are rows."""
    (file,) = parse_diff(f"{ONE}@@ -1,2 +1,2 @@\n--- a/y\n-@@ -1 +1 @@\n+++ b/y\n+diff --git a/q b/q\n")
    assert texts_of(file, LineKind.REMOVED) == ["-- a/y", "@@ -1 +1 @@"]
    assert texts_of(file, LineKind.ADDED) == ["++ b/y", "diff --git a/q b/q"]


def test_mail_signature_after_the_last_hunk_is_no_row() -> None:
    """`-- ` after a complete hunk is the end of a mail."""
    (file,) = parse_diff(f"{ONE}@@ -1 +1 @@\n-a\n+b\n-- \n2.39.5\n")
    assert texts_of(file, LineKind.REMOVED) == ["a"]


PATHS = {
    "prefixes": ("diff --git a/x.py b/x.py\n", "x.py"),
    "no prefix, folder a": ("diff --git a/x.py a/x.py\n", "a/x.py"),
    "name that repeats the prefix": ("diff --git a/x b/y b/x b/y\n", "x b/y"),
    "trailing space in a folder": ("diff --git a/x /y b/x /y\n", "x /y"),
    "quoted": ('diff --git "a/\\346\\227\\245 \\"\\t.py" "b/\\346\\227\\245 \\"\\t.py"\n', '日 "\t.py'),
    "quoted, bytes that are not UTF-8": ('diff --git "a/\\377.py" "b/\\377.py"\n', "\ufffd.py"),
    "commit against work tree": ("diff --git c/x.py w/x.py\n", "x.py"),
    "reversed": ("diff --git b/x.py a/x.py\n", "x.py"),
}


@pytest.mark.parametrize(("header", "path"), PATHS.values(), ids=PATHS)
def test_paths_of_a_mode_change(header: str, path: str) -> None:
    """Where a `diff --git` line is all there is, it still gives the exact path."""
    (file,) = parse_diff(f"{header}old mode 100644\nnew mode 100755\n")
    assert (file.old_path, file.new_path, file.status) == (path, path, FileStatus.MODIFIED)


def test_fragment_has_the_paths_and_status_it_is_given() -> None:
    """GitLab's hunks without headers are read with what its fields say."""
    file = parse_fragment("@@ -1 +1 @@ def f():\n-a\n+b\n", old_path="a b", new_path="c", renamed_file=True)
    assert (file.old_path, file.new_path, file.status) == ("a b", "c", FileStatus.RENAMED)
    assert file.hunks[0].lines[1] == DiffLine(LineKind.ADDED, "b", None, 1)


def test_fragment_may_be_empty() -> None:
    """Binary files, pure renames and collapsed diffs come without a hunk."""
    added = parse_fragment("", old_path="x", new_path="x", new_file=True)
    deleted = parse_fragment("", old_path="x", new_path="x", deleted_file=True)
    assert (added.status, deleted.status) == (FileStatus.ADDED, FileStatus.DELETED)
    assert added.hunks == deleted.hunks == ()


def test_fragment_may_bring_its_file_header_or_say_it_is_binary() -> None:
    """Older GitLab versions send `---` and `+++`, and a sentence for a binary file."""
    headed = parse_fragment(f"{ONE}@@ -1 +1 @@\n-a\n+b\n", old_path="x.py", new_path="x.py")
    binary = parse_fragment("Binary files a/x and b/x differ\n", old_path="x", new_path="x")
    assert texts_of(headed, LineKind.ADDED) == ["b"]
    assert binary.is_binary


@pytest.mark.parametrize("diff", ["junk\n", "@@ -1 +1 @@\n-a\n+b\njunk\n", "@@@ -1 -1 +1 @@@\n"])
def test_fragment_refuses_what_is_no_hunk(diff: str) -> None:
    """Text in a fragment that is neither header nor hunk is an error, not skipped."""
    with pytest.raises(DiffError):
        parse_fragment(diff, old_path="x", new_path="x")


@st.composite
def mutated(draw: st.DrawFn) -> str:
    """Return a golden diff with some lines dropped, doubled, swapped or spoilt."""
    lines = draw(st.sampled_from(GOLDENS)).split("\n")
    for _ in range(draw(st.integers(1, 4))):
        index = draw(st.integers(0, len(lines) - 1))
        other = draw(st.integers(0, len(lines) - 1))
        change = draw(st.sampled_from(["drop", "double", "swap", "spoil", "cut"]))
        if change == "drop" and len(lines) > 1:
            del lines[index]
        elif change == "double":
            lines.insert(other, lines[index])
        elif change == "swap":
            lines[index], lines[other] = lines[other], lines[index]
        elif change == "spoil":
            lines[index] = draw(st.text(max_size=3)) + lines[index][draw(st.integers(0, 3)) :]
        else:
            lines[index] = lines[index][: draw(st.integers(0, 20))]
    return "\n".join(lines)


DIFF_LIKE = st.lists(
    st.sampled_from(
        ["diff --git ", "--- ", "+++ ", "@@ -1 +1 @@", "@@ -1,2 +3 @@", '"a/\\1', "\n", "\r\n", "+", "-"]
    )
    | st.text(max_size=5)
).map("".join)


@settings(max_examples=1500)
@given(st.text() | DIFF_LIKE | mutated())
@example('diff --git "a/\\')
@example("--- \ud800\n+++ \ud800\n@@ -1 +1 @@\n-\ud800\n+\n")
def test_noise_is_read_or_refused(text: str) -> None:
    """Any text ends in values with sound numbers or in a DiffError, never in another error."""
    try:
        files = parse_diff(text)
    except DiffError:
        return
    for hunk in (hunk for file in files for hunk in file.hunks):
        new = [line.new_number for line in hunk.lines if line.new_number is not None]
        old = [line.old_number for line in hunk.lines if line.old_number is not None]
        assert new == list(range(hunk.new_start, hunk.new_start + hunk.new_count))
        assert old == list(range(hunk.old_start, hunk.old_start + hunk.old_count))


@settings(max_examples=1500)
@given(st.text() | DIFF_LIKE | mutated())
def test_noise_in_a_fragment_is_read_or_refused(text: str) -> None:
    """The same holds for GitLab's fragments."""
    with suppress(DiffError):
        parse_fragment(text, old_path="x", new_path="x")


def seconds(text: str) -> float:
    """Return the best of three computing times to parse `text`, refused or not."""

    def parse() -> None:
        with suppress(DiffError):
            parse_diff(text)

    return min(computing_seconds(parse) for _ in range(3))


def many_files(count: int) -> str:
    """Return a diff of `count` files with a hunk of 40 rows each."""
    rows = "".join(f"+line {number}\n" for number in range(40))
    return "".join(
        f"diff --git a/f{i} b/f{i}\n--- a/f{i}\n+++ b/f{i}\n@@ -0,0 +1,40 @@\n{rows}" for i in range(count)
    )


GROWING: dict[str, Callable[[int], str]] = {
    "files": lambda n: many_files(n),
    "one huge line": lambda n: f"{ONE}@@ -1 +1 @@\n-{'a' * n * 10_000}\n+{'b ' * n * 10_000}\n",
    "blanks in a header": lambda n: f"diff --git a/{' ' * n * 10_000}\n--- {' ' * n * 10_000}\n",
    "stamps in a header": lambda n: f"--- {' 2026-01-01 00:00:00' * n * 1000}x\n+++ x\n",
    "quotes in a header": lambda n: "diff --git " + '"\\' * n * 2000 + "\n",
    "slashes in names": lambda n: f"--- {'a/' * n * 1000}x\n+++ {'b/' * n * 1000}x\n",
    "hunks": lambda n: ONE + "".join(f"@@ -{i} +{i} @@\n-a\n+b\n" for i in range(1, n * 40)),
    "preamble": lambda n: "--- \n" * n * 200,
    "modes": lambda n: "diff --git a/x b/x\nold mode " + "1 " * n * 5000 + "\n",
}


@pytest.mark.parametrize("build", GROWING.values(), ids=GROWING)
def test_time_grows_with_the_text(build: Callable[[int], str]) -> None:
    """Ten times the text takes about ten times as long, whatever it is made of: never a hundred times."""
    small, large = build(100), build(1000)
    assert seconds(large) < 40 * seconds(small) + 0.02
