"""Whether a comment on any line lands on it: python -m tests.benchmarks.landing REPOSITORY... --commits 600.

Every commit of the repositories' histories is taken for a merge request. What is right comes from git alone:
the same diff with the whole file as context, whose lines are counted one by one. Against that stand
- the engine: is each added line that is not blank in exactly one chunk, or named as left out, with its text?
- the bot: are numbers and line codes of each line of both versions those of GitLab's table, in and outside of
  hunks?
- two other ways of placing a comment: an added line is quoted, and its first match in the file's added lines
  is taken; the position has `new_line` alone, which GitLab takes of added lines only.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import subprocess
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bot.file_changes import file_diff
from bot.gitlab import DiffRefs, FileChange, Position
from bot.positions import Side, text_position
from engine.chunks import chunk_file, left_out
from engine.diffs import FileDiff, FileStatus
from engine.languages import language_of
from engine.parsing import parse_diff
from tests.benchmarks.machine import describe_machine

REFS = DiffRefs("a" * 40, "b" * 40, "c" * 40)
BUDGET = 2048  # tokens of a chunk
RANGE = 4  # rows of a range's position
WHOLE = 1_000_000  # rows of context
_HUNK = re.compile(r"^@@ -(\d+)(?:,(\d+))? \+(\d+)(?:,(\d+))? @@", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Row:
    """A line of either version: its sign in the diff, its numbers, and those of its line code."""

    sign: str
    old: int | None
    new: int | None
    code: tuple[int, int]
    text: str


def main() -> None:
    """Measure, and write it down."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("repositories", type=Path, nargs="+")
    parser.add_argument("--commits", type=int, default=1000, help="newest of each history, merges left out")
    parser.add_argument("--output", type=Path)
    arguments = parser.parse_args()
    found: dict[str, Any] = {"machine": describe_machine(("unidiff",)), "repositories": {}}
    for repository in arguments.repositories:
        head = _git(repository, "rev-parse", "HEAD").strip()
        counts = measure(repository, arguments.commits)
        found["repositories"][_name(repository)] = {"head": head, **dict(sorted(counts.items()))}
    text = f"{json.dumps(found, indent=2)}\n"
    print(text, end="")
    if arguments.output:
        arguments.output.write_text(text, encoding="utf-8")


def measure(repository: Path, commits: int) -> Counter[str]:
    """Return what became of every line of the newest commits of a repository."""
    counts: Counter[str] = Counter()
    for commit in _git(repository, "rev-list", "--no-merges", f"-{commits}", "HEAD").split():
        try:
            short, whole = (_patch(repository, commit, context) for context in (3, WHOLE))
        except subprocess.CalledProcessError:  # a copy without its largest files
            counts["commits that git cannot show"] += 1
            continue
        counts["commits"] += 1
        for file, rows in _files(short, whole, counts):
            _engine(file, rows, counts)
            _positions(file, rows, counts)
            _other_ways(file, rows, counts)
    return counts


def _files(short: str, whole: str, counts: Counter[str]) -> Iterator[tuple[FileDiff, list[Row]]]:
    """Yield the files of a commit as the bot gets them from GitLab, each with all its lines by git."""
    for file, part, wide in zip(parse_diff(short), _parts(short), _parts(whole), strict=True):
        counts["files"] += 1
        start = _HUNK.search(part)
        if file.is_binary or start is None:
            counts["files without lines"] += 1
            continue
        change = FileChange(
            file.old_path,
            file.new_path,
            part[start.start() :],
            file.old_mode or "0",
            file.new_mode or "0",
            new_file=file.status is FileStatus.ADDED,
            renamed_file=file.old_path != file.new_path,
            deleted_file=file.status is FileStatus.DELETED,
        )
        theirs = file_diff(change)
        counts["fragments read unlike the whole diff"] += theirs.hunks != file.hunks
        yield theirs, list(_rows(wide))


def _rows(part: str) -> Iterator[Row]:
    """Count the lines of a diff that has the whole file in one hunk."""
    heads = list(_HUNK.finditer(part))
    assert len(heads) == 1, part[:200]
    old, new = int(heads[0][1]), int(heads[0][3])
    for line in part[heads[0].end() :].split("\n")[1:]:
        sign, text = line[:1], line[1:]
        if sign in ("", "\\"):
            continue
        yield Row(sign, None if sign == "+" else old, None if sign == "-" else new, (old, new), text)
        old += sign != "+"
        new += sign != "-"


def _engine(file: FileDiff, rows: list[Row], counts: Counter[str]) -> None:
    texts: dict[int | None, str] = {row.new: row.text for row in rows if row.sign == "+"}
    source = "\n".join(row.text for row in rows if row.new is not None)
    chunks = chunk_file(file, language_of(file.new_path) or "text", _tokens, BUDGET, source)
    seen = Counter(line.new_number for chunk in chunks for line in chunk.commentable)
    for chunk in chunks:
        for line in chunk.commentable:
            right = texts.get(line.new_number, "").rstrip("\r")
            counts["lines scored under another line's number"] += line.text.rstrip("\r\n") != right
    named = {line.new_number for line in left_out(file, chunks)}
    for number, text in texts.items():
        if text.strip():
            counts["added lines"] += 1
            counts["added lines left out and named"] += number in named
            counts["added lines scored not once"] += (seen[number] != 1) != (number in named)


def _tokens(text: str) -> int:
    """Return about how many; where chunks are cut does not matter here, only that they are."""
    return len(text) // 3 + 1


def _positions(file: FileDiff, rows: list[Row], counts: Counter[str]) -> None:
    digest = hashlib.sha1(file.new_path.encode()).hexdigest()
    by_new = {row.new: row for row in rows if row.new is not None}
    inside = {(line.old_number, line.new_number) for hunk in file.hunks for line in hunk.lines}
    for row in rows:
        side, number = (Side.NEW, row.new) if row.new is not None else (Side.OLD, row.old)
        assert number is not None
        kind = {"+": "added", "-": "removed"}.get(row.sign) or (
            "context" if (row.old, row.new) in inside else "outside hunks"
        )
        counts[f"positions, {kind}"] += 1
        position = text_position(file, REFS, number, side=side)
        counts["positions that miss"] += position is None or (position.old_line, position.new_line) != (
            row.old,
            row.new,
        )
        first = by_new.get(number - RANGE + 1) if side is Side.NEW else None
        if first is not None and first.new is not None:
            counts["ranges"] += 1
            ranged = text_position(file, REFS, number, first=first.new)
            counts["ranges that miss"] += not _spans(ranged, digest, first, row)


def _spans(position: Position | None, digest: str, first: Row, last: Row) -> bool:
    if position is None or position.start is None or position.end is None:
        return False
    codes = (position.start.line_code, position.end.line_code)
    return codes == tuple(f"{digest}_{row.code[0]}_{row.code[1]}" for row in (first, last))


def _other_ways(file: FileDiff, rows: list[Row], counts: Counter[str]) -> None:
    first: dict[str, int | None] = {}
    for row in rows:
        if row.sign == "+" and row.text.strip():
            quoted = row.text.strip()
            counts["quoted and searched: misses"] += first.setdefault(quoted, row.new) != row.new
        elif row.sign == " ":
            counts["new_line alone: refused"] += 1


def _parts(patch: str) -> list[str]:
    return re.split(r"^(?=diff --git )", patch, flags=re.MULTILINE)[1:]


def _patch(repository: Path, commit: str, context: int) -> str:
    return _git(
        repository, "diff-tree", "--root", "--no-commit-id", "-r", "-p", "-M", "--no-ext-diff",
        "--no-textconv", "--src-prefix=a/", "--dst-prefix=b/", f"-U{context}", commit,
    )  # fmt: skip


def _git(repository: Path, *words: str) -> str:
    command = ["git", "-c", "core.quotePath=true", "-C", str(repository), *words]
    return subprocess.run(command, check=True, capture_output=True).stdout.decode("utf-8", "replace")


def _name(repository: Path) -> str:
    path = repository.resolve()
    return (path.parent if path.name == "repo" else path).name


if __name__ == "__main__":
    main()
