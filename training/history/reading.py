"""GitLab's JSON -> values. Pure. What a server may leave out is read with a default."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import unquote

from engine.diffs import FileDiff
from engine.errors import DataError, DiffError
from engine.parsing import parse_fragment
from training.history.records import Mark, Person

Json = Mapping[str, Any]

_BOT = re.compile(
    r"(?:project|group)_\d+_bot\w*|.*[-_]bot|.*\[bot\]|ghost|(?:renovate|dependabot|jenkins).*", re.I
)
_MARK = re.compile(r"<!-- tenken:finding ([0-9a-f]{16})((?: [a-z]+=[\w.%~-]*)*) -->", re.ASCII)


@dataclass(frozen=True, slots=True)
class Note:
    """One message of a thread."""

    id: int
    author: Person
    body: str
    created: datetime
    system: bool = False
    internal: bool = False
    resolved: bool = False
    position: Position | None = None
    applied: bool | None = None  # whether a suggestion in it was; None where GitLab does not say


@dataclass(frozen=True, slots=True)
class Position:
    """Where a note is in a diff."""

    base_sha: str
    head_sha: str
    new_path: str
    old_line: int | None
    new_line: int | None
    start_line: int | None = None


@dataclass(frozen=True, slots=True)
class Version:
    """A state of the merge request's diff."""

    id: int
    base_sha: str
    head_sha: str
    created: datetime


def read_person(data: Json, role: int | None = None, bots: Sequence[str] = ()) -> Person:
    """Return a user; `bots` are names of accounts that are bots whatever GitLab says."""
    name = str(data["username"])
    bot = bool(data.get("bot")) or name in bots or bool(_BOT.fullmatch(name))
    return Person(username=name, name=str(data.get("name") or ""), bot=bot, role=role)


def read_note(data: Json, author: Person) -> Note:
    """Return a note by `author`."""
    position = data.get("position")
    suggestions = data.get("suggestions") or ()
    return Note(
        id=int(data["id"]),
        author=author,
        body=str(data.get("body") or ""),
        created=moment(data["created_at"]),
        system=bool(data.get("system")),
        internal=bool(data.get("internal") or data.get("confidential")),
        resolved=bool(data.get("resolved")),
        position=_position(position) if position else None,
        applied=any(each.get("applied") for each in suggestions) if suggestions else None,
    )


def read_version(data: Json) -> Version:
    """Return a version of a diff."""
    return Version(
        int(data["id"]),
        str(data["base_commit_sha"]),
        str(data["head_commit_sha"]),
        moment(data["created_at"]),
    )


def read_diffs(rows: Sequence[Json]) -> dict[str, FileDiff]:
    """Return the changed files by new path; one whose diff GitLab left out or garbled has no hunks."""
    files = {}
    for row in rows:
        old, new = str(row["old_path"]), str(row["new_path"])
        try:
            files[new] = _file(row, str(row.get("diff") or ""), old, new)
        except DiffError:
            files[new] = _file(row, "", old, new)
    return files


def _file(row: Json, diff: str, old: str, new: str) -> FileDiff:
    return parse_fragment(
        diff,
        old_path=old,
        new_path=new,
        new_file=bool(row.get("new_file")),
        deleted_file=bool(row.get("deleted_file")),
        renamed_file=bool(row.get("renamed_file")),
    )


def read_mark(body: str) -> Mark | None:
    """Return the marker of a finding in the last line of a note. It counts in notes of the bot alone."""
    match = _MARK.fullmatch(body.rstrip().rpartition("\n")[2])
    if match is None:
        return None
    info = {key: unquote(value) for key, _, value in (pair.partition("=") for pair in match[2].split())}
    try:
        return Mark.model_validate(
            {
                "fingerprint": match[1],
                **{name: info[name] for name in ("category", "severity", "adapter") if info.get(name)},
            }
        )
    except ValueError:
        return Mark(fingerprint=match[1])


def moment(text: object) -> datetime:
    """Return a time as the API writes it."""
    found = datetime.fromisoformat(str(text))
    if found.tzinfo is None:
        raise DataError(f"a time without its zone: {text}")
    return found


def _position(data: Json) -> Position | None:
    """Return where a note is; None for an image, or for the object full of nulls that some versions send."""
    if (
        (data.get("position_type") or "text") != "text"
        or not data.get("head_sha")
        or not data.get("new_path")
    ):
        return None
    start = ((data.get("line_range") or {}).get("start") or {}).get("new_line")
    return Position(
        str(data.get("base_sha") or ""),
        str(data["head_sha"]),
        str(data["new_path"]),
        _number(data.get("old_line")),
        _number(data.get("new_line")),
        _number(start),
    )


def _number(value: object) -> int | None:
    return int(value) if isinstance(value, (int, str)) and str(value).isdecimal() else None
