"""Round trip against real git: files, edits, `git diff`, parse, and every number and text compared."""

from __future__ import annotations

import os
import random
import subprocess
from collections.abc import Iterable
from pathlib import Path

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from engine.diffs import FileDiff, FileStatus, LineKind
from engine.parsing import parse_diff

Files = dict[str, str | None]
"""Text by path; None where the file is not there."""

BATCHES, PAIRS = 20, 525
LINES = (
    *(
        "",
        "x",
        "  indented",
        "\ttab",
        "日本語のコメント",
        "emoji 👩‍💻",
        "-- sql comment",
        "++ plus",
        "- x",
        "+ y",
    ),
    *(
        "@@ -1,2 +3,4 @@",
        "@@@ -1 -1 +1 @@@",
        "--- a/x",
        "+++ b/x",
        "diff --git a/x b/x",
        "\\ No newline at end of file",
    ),
    *(
        "form\x0cfeed",
        "line\u2028separator",
        "next\x85line",
        "vertical\x0btab",
        "lone\rreturn",
        "\x1c\x1d\x1e",
        " ",
    ),
    *(
        "index 1..2",
        "rename from x",
        "Binary files a and b differ",
        "GIT binary patch",
        "-",
        "+",
        "\ufeffbom",
    ),
    "long " * 400,
)
NAMES = (
    "plain",
    "with space",
    "日本",
    'quo"te',
    "back\\slash",
    "tab\tname",
    " lead",
    "trail ",
    "b b",
    "a/b/c",
    "-dash",
)
OPTIONS = (
    ("-U0",),
    ("-U3",),
    ("-U10",),
    ("-U1", "--no-prefix"),
    ("-U3", "--src-prefix=i/", "--dst-prefix=w/"),
    ("-U2", "--inter-hunk-context=3", "--histogram"),
)


def edited(rng: random.Random, lines: list[str]) -> list[str]:
    """Return `lines` after some insertions, deletions and replacements."""
    lines = list(lines)
    for _ in range(rng.choice((1, 1, 2, 5))):
        at = rng.randint(0, len(lines))
        lines[at : at + rng.choice((0, 1, 2, 9))] = rng.choices(LINES, k=rng.choice((0, 1, 2, 5)))
    return lines


def file_text(rng: random.Random, lines: list[str]) -> str:
    """Return the lines as a file, LF or CRLF, with or without the last line end."""
    end = rng.choice(("\n", "\n", "\r\n"))
    return end.join(lines) + (end if lines and rng.random() < 0.8 else "")


def lines_of(text: str) -> list[str]:
    """Return the lines as git counts them: only a newline ends one, a return before it is part of the end."""
    lines = text.split("\n")
    if not lines[-1]:
        lines.pop()
    return [line.removesuffix("\r") for line in lines]


class Repository:
    """A throwaway git repository without a work tree: files go in as a stream, which is much faster."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.git("init", "-q", "--bare")

    def git(self, *arguments: str, stdin: bytes = b"") -> bytes:
        environment = {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
        return subprocess.run(
            ["git", *arguments], cwd=self.root, env=environment, input=stdin, check=True, capture_output=True
        ).stdout

    def diff(self, before: Files, after: Files, config: Iterable[str], options: Iterable[str]) -> str:
        """Return what git says leads from the files `before` to the files `after`."""
        self.git("fast-import", "--quiet", "--force", stdin=stream("old", before) + stream("new", after))
        return self.git(*config, "diff", "--no-renames", *options, "old", "new").decode()


def stream(branch: str, files: Files) -> bytes:
    """Return the commands that make `branch` hold these files and no others."""
    parts = [f"commit refs/heads/{branch}\ncommitter A <a@b> 0 +0000\ndata 0\ndeleteall\n".encode()]
    for path, text in files.items():
        if text is not None:
            name = "".join(f"\\{byte:03o}" for byte in path.encode())
            parts.append(f'M 100644 inline "{name}"\ndata {len(text.encode())}\n{text}\n'.encode())
    return b"".join(parts)


def files_of(rng: random.Random) -> tuple[Files, Files]:
    """Return old and new texts of the same paths, a few of them new or deleted."""
    before: Files = {}
    after: Files = {}
    for number in range(PAIRS):
        path = f"{rng.choice(NAMES)}/{number} {rng.choice(NAMES)}"
        lines = rng.choices(LINES, k=rng.choice((0, 1, 3, 10, 40)))
        kind = rng.random()
        before[path] = None if kind < 0.05 else file_text(rng, lines)
        after[path] = None if kind > 0.95 else file_text(rng, edited(rng, lines))
    return before, after


def check(file: FileDiff, old: str | None, new: str | None) -> None:
    """Compare every number and text with both files, and rebuild the new file from the old one."""
    before, after = lines_of(old or ""), lines_of(new or "")
    rebuilt: list[str] = []
    place = 0
    for hunk in file.hunks:
        start = hunk.old_end - hunk.old_count - 1
        rebuilt += before[place:start]
        place = start
        for line in hunk.lines:
            if line.old_number is not None:
                assert (line.old_number, before[place]) == (place + 1, line.text)
                place += 1
            if line.new_number is not None:
                assert (line.new_number, after[len(rebuilt)]) == (len(rebuilt) + 1, line.text)
                rebuilt.append(line.text)
            assert (line.old_number is None) == (line.kind is LineKind.ADDED)
            assert (line.new_number is None) == (line.kind is LineKind.REMOVED)
    assert rebuilt + before[place:] == after


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Repository:
    """One repository for all batches: each diff starts where the last one ended."""
    return Repository(tmp_path_factory.mktemp("repository"))


@pytest.fixture(scope="module")
def compared() -> list[str]:
    """The paths compared so far."""
    return []


@settings(max_examples=BATCHES, phases=[Phase.generate], database=None)
@given(seed=st.integers(0, 2**63), options=st.sampled_from(OPTIONS), quoted=st.booleans())
def test_round_trip(
    repository: Repository, compared: list[str], seed: int, options: tuple[str, ...], quoted: bool
) -> None:
    """Whatever git prints for a change of any files is read back number by number and text by text."""
    before, after = files_of(random.Random(seed))
    config = ("-c", f"core.quotePath={str(quoted).lower()}")
    files = {file.new_path: file for file in parse_diff(repository.diff(before, after, config, options))}
    assert files.keys() == {path for path in before if before[path] != after[path]}
    for path, file in files.items():
        source = file.old_path if file.status is FileStatus.RENAMED else path
        check(file, before[source], after[path])
    compared += files


def test_enough_files_were_compared(compared: list[str]) -> None:
    """The round trip covers ten thousand changed files."""
    assert len(compared) >= 10_000
