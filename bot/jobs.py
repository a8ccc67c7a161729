"""What the bot is asked to do and does afterwards: values, and the port that takes them on.

A job is stored before it is answered for, as JSON: fields are added with a default and never change their
meaning. How jobs survive a crash is `bot.durable`; what a review does is `bot.review_run`.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Protocol

from pydantic import BaseModel, ConfigDict, Field

from bot.gitlab import MergeRequestRef
from engine.findings import Severity
from engine.wire import Language


class Reason(StrEnum):
    """Why there is a job."""

    COMMAND = "command"
    REVIEWER = "reviewer"  # somebody made the bot a reviewer
    OPENED = "opened"
    READY = "ready"  # a draft is none any more
    PUSHED = "pushed"
    CAUGHT_UP = "caught_up"  # found by looking, after an event did not arrive


class _Stored(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Asked(_Stored):
    """A note that waits for an answer. It already has its 👀."""

    note_id: int
    discussion_id: str = ""
    internal: bool = Field(default=False, description="Only members may see the note, and so the answer.")


class ReviewJob(_Stored):
    """A review of a merge request as it will stand when the job's turn comes."""

    project_id: int
    iid: int
    key: str = Field(description="The same request again has the same key, and is done once.")
    received: int = Field(description="When it came, in milliseconds since 1970: of two, the newer wins.")
    reason: Reason = Reason.COMMAND
    asked: tuple[Asked, ...] = Field(default=(), description="Empty where nobody wrote a command.")
    paths: tuple[str, ...] = ()
    full: bool = Field(default=False, description="Also what was reviewed before and has not changed.")
    severity: Severity | None = Field(default=None, description="Instead of the project's.")
    language: Language | None = Field(default=None, description="Instead of the project's.")

    @property
    def ref(self) -> MergeRequestRef:
        """The merge request."""
        return MergeRequestRef(self.project_id, self.iid)

    def instead_of(self, older: ReviewJob) -> ReviewJob:
        """Return this job, which also answers for the older one that it takes the place of.

        What GitLab set off has no options of its own, so it takes over what somebody asked for.
        """
        update: dict[str, object] = {"asked": tuple(dict.fromkeys((*older.asked, *self.asked)))}
        if not self.asked:
            options = ("paths", "full", "severity", "language", "reason")
            update |= {name: getattr(older, name) for name in options} if older.asked else {}
        return self.model_copy(update=update)


class Jobs(Protocol):
    """Takes jobs on. Each method returns when the job is stored."""

    async def submit_review(self, job: ReviewJob) -> None:
        """Review when it is this merge request's turn; older reviews of it that are not done are given up."""

    async def cancel_reviews(self, ref: MergeRequestRef) -> int:
        """Give up what waits or runs for a merge request, and return how much that was."""
