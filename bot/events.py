"""What a webhook's payload says, as far as it is read here. Values; nothing is decided.

GitLab's versions differ in what they send, so every key may be missing or null and then has its default. Only
a value of the wrong type is an error: it names the key.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError, model_validator

from bot.errors import EventError

MERGE_REQUEST = "MergeRequest"  # a noteable_type
_HALF = re.compile(rb"\\u[dD]|\0")  # half a character may stand there, or else it is UTF-16


class _Part(BaseModel):
    """Part of a payload. Null is as good as missing."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    @model_validator(mode="before")
    @classmethod
    def _drop_nulls(cls, value: Any) -> Any:
        return {k: v for k, v in value.items() if v is not None} if isinstance(value, dict) else value


def _line_number(value: object) -> int | None:
    """Line numbers come as numbers, as digits or as nothing."""
    if isinstance(value, str):
        return int(value) if value.isascii() and value.isdigit() and len(value) < 10 else None
    return value if isinstance(value, int) and not isinstance(value, bool) else None


_Line = Annotated[int | None, BeforeValidator(_line_number)]


class User(_Part):
    """Who did it."""

    id: int | None = None
    username: str = ""
    name: str = ""
    re_requested: bool = False  # in a list of reviewers: asked once more


class Project(_Part):
    """The project that the hook belongs to."""

    id: int | None = None
    path_with_namespace: str = ""


class RangeEnd(_Part):
    """One end of a range of lines."""

    line_code: str = ""
    type: str = ""
    old_line: _Line = None
    new_line: _Line = None


class LineRange(_Part):
    """The lines that a note is about, where there are several."""

    start: RangeEnd = RangeEnd()
    end: RangeEnd = RangeEnd()


class Position(_Part):
    """Where in the diff a note stands."""

    position_type: str = ""
    base_sha: str = ""
    start_sha: str = ""
    head_sha: str = ""
    old_path: str = ""
    new_path: str = ""
    old_line: _Line = None
    new_line: _Line = None
    line_range: LineRange | None = None

    @property
    def is_somewhere(self) -> bool:
        """Whether it names a file: that of a note outside the diff is full of nulls."""
        return bool(self.new_path or self.old_path)


class NotePart(_Part):
    """A note, as its own event or another's `note` has it."""

    id: int | None = None
    note: str = ""
    noteable_type: str = ""
    discussion_id: str = ""
    action: str = "create"
    system: bool = False
    internal: bool = False
    author_id: int | None = None
    project_id: int | None = None
    position: Position | None = None
    updated_at: str = ""
    url: str = ""


class Commit(_Part):
    """A commit, by its name alone."""

    id: str = ""


class MergeRequestPart(_Part):
    """The merge request that an event is about."""

    id: int | None = None
    iid: int | None = None
    title: str = ""
    state: str = ""
    draft: bool = False
    work_in_progress: bool = False  # what older versions call a draft
    author_id: int | None = None
    source_branch: str = ""
    target_branch: str = ""
    source_project_id: int | None = None
    target_project_id: int | None = None
    last_commit: Commit = Commit()
    updated_at: str = ""
    url: str = ""

    @property
    def is_draft(self) -> bool:
        """Whether the author does not want it reviewed yet."""
        return self.draft or self.work_in_progress

    @property
    def is_from_fork(self) -> bool:
        """Whether the changes come from another project."""
        return self.source_project_id != self.target_project_id


class MergeRequestAttributes(MergeRequestPart):
    """`object_attributes` of a Merge Request Hook."""

    action: str = ""
    oldrev: str = ""  # set where an update brought new commits
    system: bool = False  # GitLab's own doing, such as an approval that lapsed


class FlagChange(_Part):
    """How a flag changed."""

    previous: bool = False
    current: bool = False


class ReviewersChange(_Part):
    """Who was a reviewer before, and who is now. A request made once more comes as a pair of lists."""

    previous: tuple[User, ...] = ()
    current: tuple[User, ...] = ()

    @model_validator(mode="before")
    @classmethod
    def _from_pair(cls, value: Any) -> Any:
        if isinstance(value, list):
            return dict(zip(("previous", "current"), value, strict=False))
        return value


class Changes(_Part):
    """What an update changed, as far as it matters here."""

    draft: FlagChange | None = None
    work_in_progress: FlagChange | None = None
    reviewers: ReviewersChange | None = None

    @property
    def became_ready(self) -> bool:
        """Whether a draft is none any more."""
        change = self.draft or self.work_in_progress
        return change is not None and change.previous and not change.current


class _Event(_Part):
    user: User = User()
    project_id: int | None = None
    project: Project = Project()

    @property
    def project_number(self) -> int | None:
        """The id of the project, wherever it stands."""
        return self.project_id if self.project_id is not None else self.project.id


class NoteEvent(_Event):
    """Somebody wrote or edited a note. `user` is its author, whoever edited it."""

    event_type: str = ""
    object_attributes: NotePart = NotePart()
    merge_request: MergeRequestPart | None = None

    @property
    def note(self) -> NotePart:
        """The note."""
        return self.object_attributes

    @property
    def is_internal(self) -> bool:
        """Whether only members may see the note, and hence the answer."""
        return self.note.internal or self.event_type == "confidential_note"


class MergeRequestEvent(_Event):
    """Something happened to a merge request."""

    object_attributes: MergeRequestAttributes = MergeRequestAttributes()
    changes: Changes = Changes()
    reviewers: tuple[User, ...] = ()

    @property
    def merge_request(self) -> MergeRequestAttributes:
        """The merge request."""
        return self.object_attributes


class Emoji(_Part):
    """`object_attributes` of an Emoji Hook."""

    id: int | None = None
    name: str = ""
    action: str = ""
    awardable_type: str = ""
    awardable_id: int | None = None
    updated_at: str = ""


class EmojiEvent(_Event):
    """Somebody reacted to something, or took it back."""

    event_type: str = ""
    object_attributes: Emoji = Emoji()
    note: NotePart | None = None
    merge_request: MergeRequestPart | None = None

    @property
    def emoji(self) -> Emoji:
        """The reaction."""
        return self.object_attributes

    @property
    def is_revoked(self) -> bool:
        """Whether the reaction was taken back."""
        return "revoke" in (self.emoji.action, self.event_type)


Event = NoteEvent | MergeRequestEvent | EmojiEvent

_EVENTS: dict[str, type[NoteEvent] | type[MergeRequestEvent] | type[EmojiEvent]] = {
    "Note Hook": NoteEvent,
    "Confidential Note Hook": NoteEvent,
    "Merge Request Hook": MergeRequestEvent,
    "Emoji Hook": EmojiEvent,
}
EVENT_NAMES = tuple(_EVENTS)
SYSTEM_HOOK = "System Hook"


def parse_event(name: str, body: bytes | str) -> Event | None:
    """Return what the body of the event called `name` says, or None for an event that is not read here.

    Raises EventError for a body that is no JSON object, or has a value of the wrong type.
    """
    return read_event(name, parse_payload(body))


def parse_payload(body: bytes | str) -> dict[str, Any]:
    """Return the JSON object in `body`; raises EventError where there is none."""
    try:
        payload = _loaded(body)
    except (ValueError, RecursionError) as error:
        raise EventError(f"not JSON: {error}") from error
    if not isinstance(payload, dict):
        raise EventError("not a JSON object")
    return payload


def _loaded(body: bytes | str) -> object:
    """Return what JSON says, with halves of characters, which no database takes, replaced."""
    payload: object = json.loads(body)
    if _HALF.search(body if isinstance(body, bytes) else body.encode("utf-8", "replace")) is None:
        return payload
    text = json.dumps(payload, ensure_ascii=False)
    return json.loads(text.encode("utf-16", "surrogatepass").decode("utf-16", "replace"))


def read_event(name: str, payload: Mapping[str, Any]) -> Event | None:
    """Return what a payload says, as `parse_event` does."""
    if name == SYSTEM_HOOK:
        # An instance's own hook carries merge requests of all its projects, and no notes.
        name = "Merge Request Hook" if payload.get("object_kind") == "merge_request" else ""
    model = _EVENTS.get(name)
    if model is None:
        return None
    try:
        return model.model_validate(payload)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the payload"
        raise EventError(f"{where}: {first['msg']}") from error
