"""What the model gets to read with a question: the lines of a thread, or a part of the diff."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from bot.errors import CommandRefused, GitLabRefused
from bot.gitlab import FileChange, Position, PositionType
from bot.registry import Context

_MAX_BYTES = 2**20
_LINES_AROUND = 20
_MOST_LINES = 120
_LONGEST_LINE = 500
_MOST_CHARACTERS = 200_000  # of a diff; what of it the model has room for is the engine's to say


@dataclass(frozen=True, slots=True)
class Spot:
    """Lines of a file at a commit."""

    path: str
    commit: str
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Excerpt:
    """A spot with the lines around it."""

    path: str
    first_line: int
    code: str
    lines: tuple[int, int]


@dataclass(frozen=True, slots=True)
class ChangeText:
    """As many changed files as there was room for."""

    diff: str
    seen: int
    all: int


def spot_of(position: Position | None) -> Spot | None:
    """Return which lines a thread is about, in the new version if they are there; None for no lines."""
    if position is None or position.type is not PositionType.TEXT:
        return None
    if position.new_line is not None:
        start = position.start.new_line if position.start else None
        path, commit, last = position.new_path, position.refs.head_sha, position.new_line
    elif position.old_line is not None:
        start = position.start.old_line if position.start else None
        path, commit, last = position.old_path, position.refs.base_sha, position.old_line
    else:
        return None
    first = start if start is not None and start <= last else last
    return Spot(path, commit, max(first, last - _MOST_LINES + 1), last)


async def read_spot(spot: Spot, context: Context) -> Excerpt | None:
    """Return the lines of a thread and those around them, or None where the file cannot be read."""
    try:
        data = await context.gitlab.raw_file(context.errand.project_id, spot.path, spot.commit, _MAX_BYTES)
    except GitLabRefused:
        return None
    lines = [line[:_LONGEST_LINE] for line in data.decode(errors="replace").split("\n")]
    first, last = max(1, spot.first - _LINES_AROUND), min(spot.last, len(lines))
    code = "\n".join(lines[first - 1 : last + _LINES_AROUND])
    if spot.first > last or not code.strip():
        return None
    return Excerpt(spot.path, first, code, (spot.first, last))


async def read_change(context: Context) -> ChangeText:
    """Return the merge request's diff, as far as there is room; raises CommandRefused if it has no text."""
    change = change_text(await context.gitlab.diffs(context.mr.ref))
    if not change.diff:
        raise CommandRefused(context.texts.nothing_to_read)
    return change


def change_text(files: Iterable[FileChange]) -> ChangeText:
    """Return a diff of whole files, and of the first a part where even that has no room."""
    parts: list[str] = []
    room, count = _MOST_CHARACTERS, 0
    for file in files:
        count += 1
        text = f"--- a/{file.old_path}\n+++ b/{file.new_path}\n{file.diff}"
        if not file.diff or (parts and len(text) > room):
            continue
        parts.append(text[:room])
        room -= len(parts[-1])
    return ChangeText("\n".join(parts), len(parts), count)
