"""The fakes of the bot's tests. They keep what they were given; GitLab's own fake is `bot.fake_gitlab`."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from bot.deliveries import Delivery
from bot.gitlab import MergeRequestRef
from bot.jobs import ReviewJob
from bot.learning import Wish
from engine.errors import StoreError, UnknownAdapter
from engine.feedback import Feedback
from engine.lifecycle import RegisteredAdapter
from engine.wire import Answer, Question

_REPLY = Answer(text="It can.", base_model="gemma-3-270m", adapter="team-0123456789ab")


class FakeJobs:
    """Takes reviews on and does none."""

    def __init__(self) -> None:
        self.reviews: list[ReviewJob] = []

    async def submit_review(self, job: ReviewJob) -> None:
        """Keep the job, once for each key."""
        if job.key not in (known.key for known in self.reviews):
            self.reviews.append(job)

    async def cancel_reviews(self, ref: MergeRequestRef) -> int:
        """Drop the reviews of a merge request."""
        kept = [job for job in self.reviews if job.ref != ref]
        dropped = len(self.reviews) - len(kept)
        self.reviews = kept
        return dropped


@dataclass(slots=True)
class FakeEngine:
    """Answers every question alike, or fails."""

    reply: Answer = _REPLY
    error: Exception | None = None
    registered: tuple[RegisteredAdapter, ...] = ()
    questions: list[Question] = field(default_factory=list)
    feedback: list[Feedback] = field(default_factory=list)
    rolled_back: list[tuple[str, str]] = field(default_factory=list)

    async def ask(self, question: Question) -> Answer:
        """Return the reply."""
        if self.error is not None:
            raise self.error
        self.questions.append(question)
        return self.reply

    async def record(self, feedback: Feedback) -> None:
        """Keep what was said."""
        if self.error is not None:
            raise self.error
        self.feedback.append(feedback)

    async def roll_back(self, project: str, version: str) -> RegisteredAdapter:
        """Return the adapter of this version, or the oldest."""
        if self.error is not None:
            raise self.error
        self.rolled_back.append((project, version))
        found = [one for one in await self.adapters(project) if version in ("", one.version)]
        if not found:
            raise UnknownAdapter(f"no adapter {version} in project {project}")
        return found[-1]

    async def adapters(self, project: str) -> tuple[RegisteredAdapter, ...]:
        """Return those of the project."""
        return tuple(adapter for adapter in self.registered if adapter.project == project)


class FakeLearning:
    """Says what it was asked for."""

    def __init__(self) -> None:
        self.wishes: list[tuple[str, Wish]] = []

    async def retrain(self, wish: Wish, *, dry_run: bool) -> str:
        """Begin nothing."""
        return self._said("dry run" if dry_run else "retrain", wish)

    async def status(self, wish: Wish) -> str:
        """Report nothing."""
        return self._said("status", wish)

    async def cancel(self, wish: Wish) -> str:
        """End nothing."""
        return self._said("cancel", wish)

    async def roll_back(self, wish: Wish, version: str) -> str:
        """Change nothing."""
        return self._said(f"roll back to {version or 'the one before'}", wish)

    def _said(self, what: str, wish: Wish) -> str:
        self.wishes.append((what, wish))
        return f"learning: {what}"


class FakeWatermarks:
    """Keeps watermarks in memory."""

    def __init__(self) -> None:
        self.marks: dict[int, datetime] = {}

    async def load(self) -> dict[int, datetime]:
        """Return all."""
        return dict(self.marks)

    async def move(self, project_id: int, to: datetime) -> None:
        """Keep one that is later."""
        self.marks[project_id] = max(to, self.marks.get(project_id, to))


class FakeDrafts:
    """Keeps drafts in memory."""

    def __init__(self) -> None:
        self.known: set[MergeRequestRef] = set()

    async def load(self, project_id: int) -> set[int]:
        """Return a project's."""
        return {ref.iid for ref in self.known if ref.project_id == project_id}

    async def keep(self, ref: MergeRequestRef, draft: bool) -> None:
        """Keep one, or forget it."""
        (self.known.add if draft else self.known.discard)(ref)


class FakeDeliveries:
    """Keeps deliveries in memory, the same body once; a broken one keeps none."""

    def __init__(self) -> None:
        self.kept: list[Delivery] = []
        self.broken = False
        self._known: set[tuple[str, bytes]] = set()

    async def accept(self, delivery: Delivery) -> bool:
        """Keep a delivery."""
        if self.broken:
            raise StoreError("the disk is full")
        same = (delivery.event, delivery.body)
        if same in self._known:
            return False
        self._known.add(same)
        self.kept.append(delivery)
        return True
