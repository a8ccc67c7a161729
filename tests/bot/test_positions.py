"""Positions are what GitLab takes, for every line of any diff."""

from __future__ import annotations

import asyncio
import hashlib
from random import Random

import pytest
from edits import line_count, random_trees
from scenes import AFTER, BEFORE, scene

from bot.fake_gitlab import FakeGitLab
from bot.fake_gitlab.positions import Refusal, check
from bot.fake_gitlab.shapes import Position as PositionShape
from bot.fake_gitlab.state import StoredMergeRequest
from bot.fake_gitlab.trees import compare
from bot.file_changes import file_diff
from bot.gitlab import DiffRefs, Position, PositionType
from bot.gitlab_json import write_position
from bot.positions import Side, file_position, position_for, text_position
from engine.diffs import FileDiff
from engine.findings import Category, Finding, Severity
from engine.parsing import parse_fragment

REFS = DiffRefs("a" * 40, "b" * 40, "c" * 40)
FILES = {
    change.new_path: file_diff(change)
    for change in compare(
        {path: text.encode() for path, text in BEFORE.items()},
        {path: text.encode() for path, text in AFTER.items()},
    )
}
SHA1 = hashlib.sha1(b"src/app.py").hexdigest()


def finding(path: str, line: int, end_line: int | None = None) -> Finding:
    return Finding(
        path=path,
        line=line,
        end_line=end_line or line,
        severity=Severity.MINOR,
        category=Category.BUG,
        message="m",
        confidence=0.5,
        fingerprint="0123456789abcdef",
    )


@pytest.mark.parametrize(
    ("path", "line", "side", "numbers"),
    [
        ("src/app.py", 6, Side.NEW, (None, 6)),
        ("src/app.py", 5, Side.OLD, (5, None)),
        ("src/app.py", 30, Side.OLD, (30, None)),
        ("src/app.py", 4, Side.NEW, (4, 4)),
        ("src/app.py", 7, Side.NEW, (6, 7)),
        ("src/app.py", 15, Side.NEW, (14, 15)),
        ("src/app.py", 14, Side.OLD, (14, 15)),
        ("src/app.py", 40, Side.NEW, (40, 40)),
        ("docs/new name.md", 4, Side.NEW, (None, 4)),
        ("gone.txt", 2, Side.OLD, (2, None)),
        ("日本語/新規.py", 3, Side.NEW, (None, 3)),
    ],
    ids=[
        *("added", "removed", "removed later", "context", "context after an addition", "outside, shifted"),
        *("outside by old number", "outside, shifted back", "rename", "deleted file", "new file"),
    ],
)
def test_each_row_of_the_table(
    path: str, line: int, side: Side, numbers: tuple[int | None, int | None]
) -> None:
    """Which of the two numbers a line needs is decided by what the diff does to it."""
    position = text_position(FILES[path], REFS, line, side=side)
    assert position is not None
    assert (position.old_line, position.new_line) == numbers
    assert (position.old_path, position.new_path) == (FILES[path].old_path, path)
    assert position.refs == REFS


@pytest.mark.parametrize(
    ("diff", "flags"),
    [
        ("", {"renamed_file": True, "old_path": "b"}),
        ("", {}),
        ("Binary files a/x and b/x differ\n", {}),
    ],
    ids=["pure rename", "mode change, too large or not delivered", "binary"],
)
def test_no_line_without_hunks(diff: str, flags: dict[str, object]) -> None:
    """GitLab shows no diff there, so only the file as a whole has a position."""
    file = parse_fragment(diff, **{"old_path": "x", "new_path": "x", **flags})  # type: ignore[arg-type]
    assert position_for(finding("x", 1), file, REFS) is None
    assert file_position(file, REFS) == Position(REFS, file.old_path, "x", PositionType.FILE)


def test_lines_that_do_not_exist_have_no_position() -> None:
    """Beyond the end of a new file, or of any file whose length is known."""
    assert position_for(finding("日本語/新規.py", 4), FILES["日本語/新規.py"], REFS) is None
    assert position_for(finding("src/app.py", 41), FILES["src/app.py"], REFS, line_count=40) is None
    assert text_position(FILES["src/app.py"], REFS, 0) is None


def test_a_range_names_both_ends() -> None:
    """An added line's code has the next old line's number; the position is that of the last line."""
    position = position_for(finding("src/app.py", 5, 7), FILES["src/app.py"], REFS)
    assert position is not None
    assert write_position(position) == {
        "position_type": "text",
        "base_sha": REFS.base_sha,
        "start_sha": REFS.start_sha,
        "head_sha": REFS.head_sha,
        "old_path": "src/app.py",
        "new_path": "src/app.py",
        "old_line": 6,
        "new_line": 7,
        "line_range": {
            "start": {"line_code": f"{SHA1}_6_5", "type": "new", "new_line": 5},
            "end": {"line_code": f"{SHA1}_6_7", "type": "old", "old_line": 6, "new_line": 7},
        },
    }


def test_one_line_is_no_range() -> None:
    """GitLab shows a range of one line as a range."""
    position = position_for(finding("src/app.py", 6), FILES["src/app.py"], REFS)
    assert position is not None
    assert (position.start, position.end) == (None, None)


@pytest.mark.parametrize("seed", range(150))
def test_every_line_of_any_diff_is_taken(seed: int) -> None:
    """Each line of both versions, and ranges of them, where there are hunks; a file's position everywhere."""
    before, after = random_trees(Random(seed))
    mr = _merge_request(before, after)
    refused = list[str]()
    for change in mr.version.changes:
        file = file_diff(change)
        _require(mr, file_position(file, mr.version.refs), refused)
        for position in _all_positions(file, mr.version.refs, before, after):
            _require(mr, position, refused)
    assert refused == []


def _all_positions(
    file: FileDiff, refs: DiffRefs, before: dict[str, bytes], after: dict[str, bytes]
) -> list[Position]:
    found = []
    for side, tree, path in ((Side.OLD, before, file.old_path), (Side.NEW, after, file.new_path)):
        if path not in tree or not file.hunks:
            continue
        for line in range(1, line_count(tree, path) + 1):
            for first in {line, max(1, line - 3), max(1, line - 20)}:
                position = text_position(file, refs, line, first=first, side=side)
                assert position is not None, (file.new_path, side, line)
                found.append(position)
    return found


def _require(mr: StoredMergeRequest, position: Position, refused: list[str]) -> None:
    try:
        check(mr, PositionShape.model_validate(write_position(position)))
    except Refusal as refusal:
        refused.append(f"{position}: {refusal}")


def _merge_request(before: dict[str, bytes], after: dict[str, bytes]) -> StoredMergeRequest:
    fake = FakeGitLab()
    return fake.add_merge_request(fake.add_project(files=before), after)


def test_300_findings_are_posted_without_a_refusal() -> None:
    """Over HTTP, through the real client: each is a thread on its line."""

    async def play() -> int:
        posted, random = 0, Random(7)
        while posted < 300:
            before, after = random_trees(random)
            async with scene(before, after) as stage:
                for change in await stage.gitlab.diffs(stage.ref):
                    file = file_diff(change)
                    if not file.hunks or change.deleted_file:
                        continue
                    for line in range(1, line_count(after, file.new_path) + 1, 3):
                        first = max(1, line - random.choice([0, 0, 0, 2]))
                        wanted = position_for(finding(file.new_path, first, line), file, stage.refs)
                        thread = await stage.gitlab.create_discussion(stage.ref, "x", wanted)
                        assert thread.notes[0].position is not None
                        assert thread.notes[0].position.new_line == line
                        posted += 1
                assert stage.fake.world.refused == []
        return posted

    assert asyncio.run(play()) >= 300
