"""Whether GitLab would take a position: by its table, against the lines of the version that is named."""

from __future__ import annotations

from bot.fake_gitlab.shapes import Position, RangeEnd
from bot.fake_gitlab.state import StoredMergeRequest, StoredVersion
from bot.fake_gitlab.trees import Line
from bot.gitlab import DiffRefs, FileChange

_LINE_CODE = '400 Bad request - Note {:line_code=>["can\'t be blank", "must be a valid line code"]}'


class Refusal(Exception):
    """Why a position is not taken: `message` is what GitLab says, `reason` what is wrong with it."""

    def __init__(self, message: str, reason: str) -> None:
        self.message = message
        self.reason = reason
        super().__init__(reason)


def check(mr: StoredMergeRequest, position: Position, *, files_can_be_named: bool = True) -> str | None:
    """Return the line code of a position, None for that of a file; raises Refusal."""
    version = _version(mr, position)
    change = _change(version, position)
    if position.position_type == "file":
        if not files_can_be_named:
            raise Refusal("position[position_type] does not have a valid value", "before GitLab 16.4")
        if position.old_line or position.new_line or position.line_range:
            raise Refusal(_LINE_CODE, "a file has no lines")
        return None
    lines = version.lines[change.new_path]
    line = next((line for line in lines if (line.old, line.new) == _numbers(position)), None)
    if line is None:
        raise Refusal(_LINE_CODE, f"no line {position.old_line}, {position.new_line} in {change.new_path}")
    if position.line_range is not None:
        _check_range(lines, line, position.line_range.start, position.line_range.end)
    return line.code


def _numbers(position: Position) -> tuple[int | None, int | None]:
    return position.old_line, position.new_line


def _version(mr: StoredMergeRequest, position: Position) -> StoredVersion:
    for version in mr.versions:
        if version.refs == DiffRefs(position.base_sha, position.start_sha, position.head_sha):
            return version
    raise Refusal(_LINE_CODE, "no version has these commits")


def _change(version: StoredVersion, position: Position) -> FileChange:
    for change in version.changes:
        if (change.old_path, change.new_path) == (position.old_path, position.new_path):
            return change
    raise Refusal(_LINE_CODE, f"no change of {position.old_path} to {position.new_path}")


def _check_range(lines: tuple[Line, ...], anchor: Line, start: RangeEnd, end: RangeEnd) -> None:
    """Raise if a range would be shown elsewhere. GitLab itself takes any code here."""
    places = {line.code: index for index, line in enumerate(lines)}
    for edge in (start, end):
        if edge.line_code not in places:
            raise Refusal(_LINE_CODE, f"line_range: no line has the code {edge.line_code}")
        line = lines[places[edge.line_code]]
        if edge.type != ("new" if line.kind == "added" else "old"):
            raise Refusal(_LINE_CODE, f"line_range: type {edge.type} of a line that was {line.kind}")
        if (edge.old_line, edge.new_line) not in ((None, None), (line.old, line.new)):
            raise Refusal(_LINE_CODE, "line_range: numbers that do not fit the code")
    if end.line_code != anchor.code:
        raise Refusal(_LINE_CODE, "line_range: does not end at the line of the position")
    if places[start.line_code] > places[end.line_code]:
        raise Refusal(_LINE_CODE, "line_range: ends before it starts")
