"""GitLab's JSON <-> values. Pure. What a server may leave out is read with a default."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import date, datetime
from functools import wraps
from typing import Any, TypeVar

from bot.errors import GitLabUnavailable
from bot.gitlab import (
    CommitStatus,
    DiffRefs,
    Discussion,
    DraftNote,
    FileChange,
    Hook,
    MergeRequest,
    MergeRequestRef,
    Note,
    Position,
    PositionType,
    Project,
    RangeEnd,
    Reaction,
    Todo,
    Token,
    User,
    Version,
)

Json = Mapping[str, Any]
_T = TypeVar("_T")
_SHORT = 255
_NOTE_ANCHOR = re.compile(r"#note_(\d{1,18})$", re.ASCII)


def _shaped(read: Callable[[Json], _T]) -> Callable[[Json], _T]:
    """Turn what is missing or of another kind into the error of a server that is not understood."""

    @wraps(read)
    def checked(data: Json) -> _T:
        try:
            return read(data)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise GitLabUnavailable(
                f"GitLab sends a {read.__name__.removeprefix('read_')} that this version does not understand"
            ) from error

    return checked


@_shaped
def read_user(data: Json) -> User:
    return User(data["id"], data["username"], data.get("name") or "", bool(data.get("bot")))


@_shaped
def read_token(data: Json) -> Token:
    expires = data.get("expires_at")
    return Token(
        data.get("name") or "",
        tuple(data.get("scopes") or ()),
        date.fromisoformat(expires) if expires else None,
        bool(data.get("active", True)) and not data.get("revoked"),
    )


@_shaped
def read_project(data: Json) -> Project:
    return Project(
        data["id"],
        data["path_with_namespace"],
        data["web_url"],
        data.get("default_branch") or "",
        bool(data.get("archived")),
    )


@_shaped
def read_merge_request(data: Json) -> MergeRequest:
    refs = data.get("diff_refs") or {}
    complete = all(refs.get(key) for key in ("base_sha", "start_sha", "head_sha"))
    pipeline = data.get("head_pipeline") or {}
    return MergeRequest(
        project_id=data["project_id"],
        iid=data["iid"],
        title=data["title"],
        description=data.get("description") or "",
        state=data["state"],
        draft=bool(data.get("draft", data.get("work_in_progress", False))),
        author_id=data["author"]["id"],
        source_branch=data["source_branch"],
        target_branch=data["target_branch"],
        source_project_id=data.get("source_project_id") or 0,  # the fork may have been removed
        target_project_id=data["target_project_id"],
        web_url=data["web_url"],
        head_sha=data.get("sha") or "",
        diff_refs=DiffRefs(refs["base_sha"], refs["start_sha"], refs["head_sha"]) if complete else None,
        head_pipeline_id=pipeline.get("id"),
        updated_at=_moment(data.get("updated_at")),
        labels=tuple(data.get("labels") or ()),
        reviewer_ids=tuple(person["id"] for person in data.get("reviewers") or ()),
    )


@_shaped
def read_version(data: Json) -> Version:
    refs = DiffRefs(data["base_commit_sha"], data["start_commit_sha"], data["head_commit_sha"])
    return Version(data["id"], refs, data.get("state") or "", _moment(data.get("created_at")))


@_shaped
def read_change(data: Json) -> FileChange:
    return FileChange(
        data["old_path"],
        data["new_path"],
        data.get("diff") or "",
        data.get("a_mode") or "",
        data.get("b_mode") or "",
        new_file=bool(data.get("new_file")),
        renamed_file=bool(data.get("renamed_file")),
        deleted_file=bool(data.get("deleted_file")),
        generated_file=bool(data.get("generated_file")),
        collapsed=bool(data.get("collapsed")),
        too_large=bool(data.get("too_large")),
    )


@_shaped
def read_note(data: Json) -> Note:
    position = data.get("position")
    resolver = data.get("resolved_by") or {}
    return Note(
        id=data["id"],
        author_id=data["author"]["id"],
        body=data.get("body") or "",
        system=bool(data.get("system")),
        internal=bool(data.get("internal", data.get("confidential", False))),
        resolvable=bool(data.get("resolvable")),
        resolved=bool(data.get("resolved")),
        resolved_by=resolver.get("id"),
        author_username=data["author"].get("username") or "",
        created_at=_moment(data.get("created_at")),
        updated_at=_moment(data.get("updated_at")),
        position=_position(position) if position else None,
        discussion_id=data.get("discussion_id") or "",
    )


@_shaped
def read_discussion(data: Json) -> Discussion:
    notes = (read_note({**note, "discussion_id": data["id"]}) for note in data["notes"])
    return Discussion(data["id"], tuple(notes), bool(data.get("individual_note")))


@_shaped
def read_draft(data: Json) -> DraftNote:
    return DraftNote(data["id"], data["note"], data.get("discussion_id"))


@_shaped
def read_reaction(data: Json) -> Reaction:
    return Reaction(data["id"], data["name"], data["user"]["id"])


@_shaped
def read_hook(data: Json) -> Hook:
    events = {name: bool(value) for name, value in data.items() if name.endswith("_events")}
    return Hook(data["id"], data["url"], events, data.get("alert_status") or "executable")


@_shaped
def read_todo(data: Json) -> Todo:
    anchor = _NOTE_ANCHOR.search(data.get("target_url") or "")
    target = data["target"]
    return Todo(
        id=data["id"],
        action=data["action_name"],
        author_id=data["author"]["id"],
        ref=MergeRequestRef(target.get("project_id") or data["project"]["id"], target["iid"]),
        note_id=int(anchor[1]) if anchor else None,
        body=data.get("body") or "",
        created_at=_moment(data.get("created_at")),
    )


def write_position(position: Position) -> dict[str, object]:
    """Return a position as the API takes it: numbers that are not there are left out."""
    fields: dict[str, object] = {
        "position_type": position.type.value,
        "base_sha": position.refs.base_sha,
        "start_sha": position.refs.start_sha,
        "head_sha": position.refs.head_sha,
        "old_path": position.old_path,
        "new_path": position.new_path,
        **_numbers(position.old_line, position.new_line),
    }
    if position.start is not None and position.end is not None:
        fields["line_range"] = {"start": _range_end(position.start), "end": _range_end(position.end)}
    return fields


def write_status(status: CommitStatus) -> dict[str, object]:
    """Return a commit status as the API takes it."""
    texts = {
        "name": status.name,
        "description": status.description,
        "target_url": status.target_url,
        "ref": status.ref,
    }
    fields: dict[str, object] = {key: text[:_SHORT] for key, text in texts.items() if text}
    if status.pipeline_id is not None:
        fields["pipeline_id"] = status.pipeline_id
    return {"state": status.state.value, **fields}


def _range_end(end: RangeEnd) -> dict[str, object]:
    return {"line_code": end.line_code, "type": end.type, **_numbers(end.old_line, end.new_line)}


def _numbers(old: int | None, new: int | None) -> dict[str, int]:
    numbers = {"old_line": old, "new_line": new}
    return {name: number for name, number in numbers.items() if number is not None}


def _position(data: Json) -> Position | None:
    """Return where a note is; None for an image, or for the object full of nulls that some versions send."""
    kind = data.get("position_type") or "text"
    refs = DiffRefs(data.get("base_sha") or "", data.get("start_sha") or "", data.get("head_sha") or "")
    if kind not in list(PositionType) or not refs.head_sha or not data.get("new_path"):
        return None
    return Position(
        refs,
        data.get("old_path") or data["new_path"],
        data["new_path"],
        PositionType(kind),
        _number(data.get("old_line")),
        _number(data.get("new_line")),
    )


def _number(value: object) -> int | None:
    return int(value) if isinstance(value, (int, str)) and str(value).isdecimal() else None


def _moment(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
