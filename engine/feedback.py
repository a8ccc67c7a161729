"""What people did with findings. Values; where they are kept is `engine.store.feedback`.

A finding is known by its fingerprint alone: no code is kept.
"""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field


class FeedbackVerdict(StrEnum):
    """What became of a finding."""

    DISMISSED = "dismissed"  # true perhaps, but not wanted here
    WRONG = "wrong"
    ACCEPTED = "accepted"
    APPLIED = "applied"  # its suggestion was taken

    @property
    def suppresses(self) -> bool:
        """Whether later reviews leave the finding out."""
        return self in (FeedbackVerdict.DISMISSED, FeedbackVerdict.WRONG)


class FeedbackSource(StrEnum):
    """Where it was said."""

    MR = "mr"
    EDITOR = "editor"
    CLI = "cli"


class Feedback(BaseModel):
    """What somebody did with a finding. The same said twice is one; the latest about a finding holds."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    fingerprint: str = Field(pattern=r"^[0-9a-f]{16}$", description="Of the finding.")
    verdict: FeedbackVerdict
    project: str = Field(min_length=1, max_length=255, description="E.g. group/app.")
    adapter: str = Field(default="", max_length=80, description="Version that made the finding.")
    source: FeedbackSource
    role: str = Field(default="", max_length=32, description="Of whoever said it, e.g. developer.")
    reason: str = Field(default="", max_length=2000, description="In the words of whoever said it.")
    created: AwareDatetime = Field(default_factory=lambda: datetime.now(UTC))
