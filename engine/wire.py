"""What crosses the process boundary: ReviewRequest and Review, Question and Answer. Frozen pydantic."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from engine.findings import Finding, Severity, Verdict


class Language(StrEnum):
    """Language of everything a person reads."""

    EN = "en"
    JA = "ja"


class SkipReason(StrEnum):
    """Why a file, or a part of it, was not reviewed."""

    DELETED = "deleted"
    BINARY = "binary"
    NO_ADDED_LINES = "no_added_lines"
    GENERATED = "generated"
    LOCK_FILE = "lock_file"
    VENDORED = "vendored"
    MINIFIED = "minified"
    TOO_LARGE = "too_large"
    EXCLUDED = "excluded"  # by a path filter of the project or the user
    UNSUPPORTED = "unsupported"  # not a source file the reviewer reads
    CANCELLED = "cancelled"


class _Wire(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ReviewRequest(_Wire):
    """A diff to review, and how."""

    diff: str = Field(description="Unified diff, git flavour or plain.")
    sources: dict[str, str] = Field(
        default_factory=dict, description="Full new text of changed files by path; context only, optional."
    )
    language: Language = Language.EN
    guidelines: str = Field(default="", max_length=8000, description="Project rules in plain text.")
    title: str = Field(default="", max_length=500, description="Title of the merge request or commit.")
    description: str = Field(default="", max_length=8000)
    paths: tuple[str, ...] = Field(default=(), description="Gitignore-style: review only these.")
    exclude: tuple[str, ...] = Field(default=(), description="Gitignore-style: never review these.")
    severity: Severity = Field(default=Severity.INFO, description="Findings below are left out.")
    max_findings: int = Field(default=50, ge=1, le=1000, description="Most certain findings are kept.")
    project: str = Field(
        default="", max_length=255, description="Whose adapter reads this, and whose share of a busy engine."
    )
    adapter: str = Field(
        default="", max_length=128, description="Version to use instead of the project's champion, or none."
    )
    background: bool = Field(default=False, description="Nobody waits for it: others go first.")


class FileCoverage(_Wire):
    """What happened to one file of the diff."""

    path: str
    reviewed: bool
    reason: SkipReason | None = Field(default=None, description="Set exactly when not reviewed.")
    detail: str = Field(default="", description="E.g. the pattern that excluded it; English.")
    lines: int = Field(default=0, ge=0, description="Commentable lines scored.")
    findings: int = Field(default=0, ge=0)


class Timings(_Wire):
    """Seconds by stage. Wall clock of this run, for orientation."""

    total: float = 0
    score: float = 0
    write: float = 0


class Usage(_Wire):
    """Tokens by stage, as the runner counted them."""

    prompt_tokens: int = 0
    cached_tokens: int = Field(default=0, description="Prompt tokens that came from a prefix cache.")
    written_tokens: int = 0


class Review(_Wire):
    """All findings for one diff, and what they cover."""

    verdict: Verdict
    findings: tuple[Finding, ...]
    coverage: tuple[FileCoverage, ...]
    language: Language = Language.EN
    partial: bool = Field(default=False, description="True if cancelled or if a reply was cut off.")
    suppressed: int = Field(
        default=0, ge=0, description="Findings left out: dismissed, below the floor, over the cap, repeated."
    )
    malformed_replies: int = Field(default=0, ge=0)
    base_model: str = ""
    adapter: str = Field(default="", description="Adapter name with its content hash; empty for none.")
    tool_version: str = ""
    timings: Timings = Timings()
    usage: Usage = Usage()


class ReviewState(StrEnum):
    """Where a review in an engine's care stands."""

    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"


class ReviewProgress(_Wire):
    """How far a review is."""

    path: str = Field(description="The file that was read last.")
    files_done: int
    files: int
    lines_done: int
    lines: int
    tokens: int = Field(description="Read by the model while scoring.")


class ReviewStatus(_Wire):
    """A review in an engine's care: what is known of it so far."""

    id: str
    state: ReviewState
    progress: ReviewProgress | None = None
    findings: tuple[Finding, ...] = Field(
        default=(), description="So far; a later one that is more certain may displace one."
    )
    review: Review | None = Field(default=None, description="Set exactly when done.")


LineNumber = Annotated[int, Field(ge=1)]


class Question(_Wire):
    """A question about given lines, or about a change."""

    question: str = Field(min_length=1, max_length=4000)
    path: str = Field(default="", max_length=1024, description="File of the code; its ending tells in what.")
    code: str = Field(default="", max_length=100_000, description="The lines, perhaps with some around them.")
    first_line: LineNumber = Field(default=1, description="Number of the first line of `code`.")
    lines: tuple[LineNumber, LineNumber] | None = Field(
        default=None, description="First and last of the lines that are meant; all of `code` if not given."
    )
    diff: str = Field(default="", max_length=200_000, description="A hunk or a change, beside code or alone.")
    finding: str = Field(default="", max_length=4000, description="Message of the finding that it is about.")
    language: Language = Language.EN
    project: str = Field(
        default="", max_length=255, description="Whose adapter answers, and whose share of a busy engine."
    )
    adapter: str = Field(
        default="", max_length=128, description="Version to use instead of the project's champion, or none."
    )

    @model_validator(mode="after")
    def _lines_are_in_the_code(self) -> Self:
        if not (self.code.strip() or self.diff.strip()):
            raise ValueError("code or diff: there is nothing to ask about")
        if self.lines is not None and not self.first_line <= self.lines[0] <= self.lines[1] <= self.last_line:
            raise ValueError(f"lines: not within {self.first_line} to {self.last_line}, where `code` is")
        return self

    @property
    def last_line(self) -> int:
        """Number of the last line of `code`."""
        return self.first_line + self.code.removesuffix("\n").count("\n")


class Answer(_Wire):
    """What the model says to a question. Its text is as untrusted as any of the model's."""

    text: str = Field(min_length=1, description="Plain text in the requested language.")
    truncated: bool = Field(default=False, description="True if the text was cut off where no more fits.")
    left_out: bool = Field(
        default=False,
        description="True if code around the lines, or a part of the diff, was too long to read.",
    )
    base_model: str = ""
    adapter: str = Field(default="", description="Adapter name with its content hash; empty for none.")
    tool_version: str = ""
    usage: Usage = Usage()
