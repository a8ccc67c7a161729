"""What an event asks the bot to do, as values that are stored before they are done.

An errand's key is that of the wish, not of the message: a note that is edited, or an event that is delivered
and also found by polling, asks for the same thing once.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from bot.commands import Command, Unknown
from bot.gitlab import MergeRequestRef
from bot.jobs import Reason


class _Stored(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Actor(_Stored):
    """Who asks."""

    id: int
    username: str = ""


class Place(_Stored):
    """A note, and where the answer to it goes."""

    note_id: int
    discussion_id: str = Field(default="", description="Empty where an old server does not say.")
    internal: bool = Field(default=False, description="Only members may see the note, and so the answer.")


class _Errand(_Stored):
    key: str = Field(description="The same for the same wish, which is then done once.")
    project_id: int
    project: str = Field(default="", description="Its path, such as group/app, as far as it was said.")
    iid: int
    actor: Actor
    received: int = Field(description="Milliseconds since 1970.")

    @property
    def ref(self) -> MergeRequestRef:
        """The merge request."""
        return MergeRequestRef(self.project_id, self.iid)


class CommandErrand(_Errand):
    """Do what a command says."""

    kind: Literal["command"] = "command"
    command: Command
    place: Place


class HintErrand(_Errand):
    """Say which command was probably meant."""

    kind: Literal["hint"] = "hint"
    unknown: Unknown
    place: Place


class ReviewErrand(_Errand):
    """Review, for a reason that is no command."""

    kind: Literal["review"] = "review"
    reason: Reason


class ReactionErrand(_Errand):
    """Note what somebody thinks of a finding."""

    kind: Literal["reaction"] = "reaction"
    fingerprint: str
    adapter: str = ""
    good: bool


Errand = Annotated[CommandErrand | HintErrand | ReviewErrand | ReactionErrand, Field(discriminator="kind")]
_READER: TypeAdapter[Errand] = TypeAdapter(Errand)


def read_errand(payload: object) -> Errand:
    """Return the errand that was stored as `payload`, its `model_dump(mode="json")`."""
    return _READER.validate_python(payload)
