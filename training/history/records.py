"""What is collected from a project: a kind of record each for remarks, code and rules. Nothing but values.

Texts in records are other people's: data at every stage, never executed and never a path.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, TypeAdapter

from engine.findings import Category, Severity


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Person(_Value):
    """Who wrote something. After redaction `username` is a pseudonym and `name` is empty."""

    username: str = Field(min_length=1)
    name: str = ""
    bot: bool = False
    role: int | None = Field(default=None, description="Access level; 0 for no member, absent if unknown.")


class Reply(_Value):
    """A later note of a thread."""

    author: Person
    body: str
    created: AwareDatetime


class Mark(_Value):
    """What the review bot said about a finding of its own in the marker of its note."""

    fingerprint: str = Field(pattern=r"^[0-9a-f]{16}$")
    category: Category | None = None
    severity: Severity | None = None
    adapter: str = ""


class Outcome(_Value):
    """What became of a remark. None where it cannot be told."""

    merged: bool = False
    resolved: bool = False
    line_changed: bool | None = Field(default=None, description="Before the merge, by a later version.")
    near_changed: bool | None = Field(default=None, description="The same of the lines next to it.")
    suggestion_applied: bool | None = None
    thumbs_up: int = 0
    thumbs_down: int = 0


class _Record(_Value):
    id: str = Field(min_length=1)
    url: str = ""
    author: Person
    created: AwareDatetime


class MergeRequestRecord(_Record):
    """A merge request: what its author wrote about it."""

    kind: Literal["merge_request"] = "merge_request"
    mr: int
    title: str
    description: str = ""
    state: str
    head_sha: str = ""
    updated: AwareDatetime


class Remark(_Record):
    """The first note of a thread, with the hunk it stands at as it was then."""

    kind: Literal["remark"] = "remark"
    mr: int
    body: str
    path: str = Field(default="", description="Path in the new version; empty where it is at no line.")
    line: int | None = Field(default=None, description="Line in the new version; None on a removed line.")
    start_line: int | None = Field(default=None, description="First line of a range that ends at `line`.")
    head_sha: str = Field(default="", description="The commit whose diff the hunk is of.")
    hunk: str = Field(default="", description="One unified hunk; empty if no diff shows the line.")
    replies: tuple[Reply, ...] = ()
    by_mr_author: bool = False
    mark: Mark | None = None
    outcome: Outcome = Outcome()


class Quiet(_Record):
    """A hunk of a file that others commented on, where nobody did. Its author is the merge request's."""

    kind: Literal["quiet"] = "quiet"
    mr: int
    path: str
    head_sha: str
    hunk: str


class DocumentSource(StrEnum):
    """Where prose comes from."""

    WIKI = "wiki"
    RULES = "rules"  # README, CONTRIBUTING, coding rules


class Document(_Record):
    """Prose about the project."""

    kind: Literal["document"] = "document"
    source: DocumentSource
    path: str
    text: str
    blob: str = Field(default="", description="What GitLab calls this content; empty for the wiki.")


class SourceFile(_Record):
    """A file of the default branch."""

    kind: Literal["source"] = "source"
    path: str
    language: str
    text: str
    blob: str = ""


Record = MergeRequestRecord | Remark | Quiet | Document | SourceFile
RECORD: TypeAdapter[Record] = TypeAdapter(Annotated[Record, Field(discriminator="kind")])
