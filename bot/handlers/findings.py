"""The finding whose thread a command was written in. Shared by the commands that are about one."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from bot.errands import CommandErrand, ReactionErrand
from bot.errors import CommandRefused, NotFound
from bot.gitlab import Discussion
from bot.markers import Marker, MarkerKind, marker_of_discussion
from bot.permissions import role_of
from bot.registry import Context
from engine.feedback import Feedback, FeedbackSource, FeedbackVerdict
from engine.sanitize import code_span

_LONGEST_REASON = 2000


@dataclass(frozen=True, slots=True)
class FindingThread:
    """A discussion that the bot has opened about a finding."""

    discussion: Discussion
    marker: Marker

    @property
    def fingerprint(self) -> str:
        """The finding's."""
        return self.marker.id

    @property
    def message(self) -> str:
        """What the bot wrote, without its marker."""
        return self.discussion.notes[0].body.rstrip().removesuffix(str(self.marker)).rstrip()


async def finding_thread(name: str, context: Context) -> FindingThread:
    """Return the thread that the command called `name` stands in; raises CommandRefused for another."""
    refused = CommandRefused(context.texts.not_a_finding.format(command=code_span(f"/{name}")))
    if not context.place.discussion_id:
        raise refused
    try:
        discussion = await context.gitlab.discussion(context.mr.ref, context.place.discussion_id)
    except NotFound as error:
        raise refused from error
    marker = marker_of_discussion(discussion, context.ports.me.id)
    if marker is None or marker.kind is not MarkerKind.FINDING:
        raise refused
    return FindingThread(discussion, marker)


def at(errand: CommandErrand | ReactionErrand) -> datetime:
    """Return when it was said, which is the same however often it is kept."""
    return datetime.fromtimestamp(errand.received / 1000, UTC)


async def record(thread: FindingThread, verdict: FeedbackVerdict, reason: str, context: Context) -> None:
    """Keep what somebody says about the finding of a thread."""
    feedback = Feedback(
        fingerprint=thread.fingerprint,
        verdict=verdict,
        project=context.project,
        adapter=thread.marker.info.get("adapter", ""),
        source=FeedbackSource.MR,
        role=role_of(context.access),
        reason=reason[:_LONGEST_REASON],
        created=at(context.errand),
    )
    await context.ports.engine.record(feedback)
