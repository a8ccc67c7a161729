"""The bodies that GitLab's operations take, as far as the bot and the people of a demo send them.

Stricter than a server: an unknown field is an error here and dropped there; commits have 40 digits; a
position names both paths. What is sent wrongly should be seen.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

Sha = Annotated[str, Field(pattern=r"^[0-9a-f]{40}([0-9a-f]{24})?$")]
Body = Annotated[str, Field(min_length=1, max_length=1_000_000)]
Short = Annotated[str, Field(max_length=255)]


class _Shape(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Nothing(_Shape):
    """No field at all."""


class RangeEnd(_Shape):
    """The first or last line of a range."""

    line_code: str = Field(pattern=r"^[0-9a-f]{40}_[0-9]+_[0-9]+$")
    type: Literal["new", "old"]
    old_line: int | None = None
    new_line: int | None = None


class LineRange(_Shape):
    """A range of lines."""

    start: RangeEnd
    end: RangeEnd


class Position(_Shape):
    """Where in a diff a discussion is."""

    base_sha: Sha
    start_sha: Sha
    head_sha: Sha
    position_type: Literal["text", "file"]
    old_path: str = Field(min_length=1)
    new_path: str = Field(min_length=1)
    old_line: int | None = Field(default=None, ge=1)
    new_line: int | None = Field(default=None, ge=1)
    line_range: LineRange | None = None


class NewDiscussion(_Shape):
    """POST .../discussions"""

    body: Body
    position: Position | None = None


class NewNote(_Shape):
    """POST .../notes"""

    body: Body
    internal: bool = False


class NewReply(_Shape):
    """POST .../discussions/:id/notes"""

    body: Body


class EditedNote(_Shape):
    """PUT .../notes/:id"""

    body: Body


class EditedThreadNote(_Shape):
    """PUT .../discussions/:id/notes/:note_id: exactly one of the two."""

    body: Body | None = None
    resolved: bool | None = None

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.body is None) == (self.resolved is None):
            raise ValueError("body, resolved are mutually exclusive, at least one parameter must be provided")
        return self


class Resolution(_Shape):
    """PUT .../discussions/:id"""

    resolved: bool


class NewDraft(_Shape):
    """POST .../draft_notes"""

    note: Body
    in_reply_to_discussion_id: str | None = None
    resolve_discussion: bool = False
    position: Position | None = None


class Award(_Shape):
    """POST .../award_emoji"""

    name: str = Field(pattern="^[^:]+$")


class Status(_Shape):
    """POST .../statuses/:sha"""

    state: Literal["pending", "running", "success", "failed", "canceled", "skipped"]
    name: Short = "default"
    description: Short = ""
    target_url: Short = ""
    ref: Short = ""
    pipeline_id: int | None = None


class MergeRequestEdit(_Shape):
    """PUT .../merge_requests/:iid"""

    title: Short | None = None
    description: str | None = None
    state_event: Literal["close", "reopen"] | None = None
    reviewer_ids: list[int] | None = None


class NewHook(_Shape):
    """POST /projects/:id/hooks"""

    url: str = Field(pattern="^https?://")
    token: str = ""
    note_events: bool = False
    confidential_note_events: bool = False
    merge_requests_events: bool = False
    emoji_events: bool = False
    push_events: bool = True
    wiki_page_events: bool = False
    enable_ssl_verification: bool = True
