"""What the status page shows, as values. Pure."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from bot.orders import Piece
from engine.curves import LossCurve
from engine.feedback import Feedback, FeedbackVerdict
from engine.lifecycle import RegisteredAdapter
from engine.retraining import RunStatus


class JobState(StrEnum):
    """How far a piece of work is."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    GIVEN_UP = "given_up"  # a newer one took its place
    FAILED = "failed"


_STATES = {
    "ENQUEUED": JobState.WAITING,
    "DELAYED": JobState.WAITING,
    "PENDING": JobState.RUNNING,
    "CANCELLED": JobState.GIVEN_UP,
}


@dataclass(frozen=True, slots=True)
class Job:
    """A piece of work. Times are seconds since 1970."""

    kind: str
    what: str  # a command, or why there is a review
    project_id: int | None
    iid: int | None
    state: JobState
    worker: str
    created: float
    begun: float | None
    ended: float | None

    @property
    def seconds(self) -> float | None:
        """How long it took, from when it was asked for."""
        return self.ended - self.created if self.ended is not None else None


@dataclass(frozen=True, slots=True)
class Opinions:
    """What people said of findings: how many verdicts of each kind."""

    counts: Mapping[FeedbackVerdict, int]

    @property
    def total(self) -> int:
        """How many there are."""
        return sum(self.counts.values())

    @property
    def good_share(self) -> float:
        """The share that was of use."""
        good = self.counts.get(FeedbackVerdict.ACCEPTED, 0) + self.counts.get(FeedbackVerdict.APPLIED, 0)
        return good / self.total if self.total else 0.0


@dataclass(frozen=True, slots=True)
class ProjectFacts:
    """What was learned in a project. None: the engine does not say."""

    id: int
    path: str
    adapters: tuple[RegisteredAdapter, ...] | None = None
    opinions: Opinions | None = None
    by_adapter: Mapping[str, Opinions] = field(default_factory=dict)
    curves: Mapping[str, LossCurve] = field(default_factory=dict)  # of the newest adapters that have one
    training: RunStatus | None = None  # that is under way here


@dataclass(frozen=True, slots=True)
class Facts:
    """All that is shown."""

    at: float
    workers: Mapping[str, float]  # name -> seconds since it was heard of
    silent_seconds: float  # then a worker counts as dead
    open: tuple[Job, ...]
    finished: tuple[Job, ...]  # the latest first
    today: tuple[Job, ...]  # that ended within the last 24 hours, as many as are counted
    projects: tuple[ProjectFacts, ...]
    engine_answers: bool

    def count(self, state: JobState) -> int:
        """Return how many open pieces of work are in a state."""
        return sum(job.state is state for job in self.open)

    def ended_today(self, state: JobState) -> int:
        """Return how many ended so within the last 24 hours."""
        return sum(job.state is state for job in self.today)

    @property
    def review_seconds(self) -> float | None:
        """How long a review took, from the wish to the last note: the median."""
        took = [
            job.seconds for job in self.today or self.finished
            if job.kind == "review" and job.state is JobState.DONE and job.seconds is not None
        ]  # fmt: skip
        return statistics.median(took) if took else None


def job_of_piece(piece: Piece) -> Job:
    """Return a piece of work as it is shown, as far as what is stored is understood."""
    payload = piece.payload
    return Job(
        piece.kind,
        _what(payload),
        _number(payload.get("project_id")),
        _number(payload.get("iid")) or None,  # 0: of no merge request
        _state(piece),
        piece.worker,
        piece.created,
        piece.begun,
        piece.ended,
    )


def opinions_of(feedback: Iterable[Feedback]) -> Opinions:
    """Count what was said; of one finding the latest word holds, and comes first."""
    latest: dict[str, FeedbackVerdict] = {}
    for entry in feedback:
        latest.setdefault(entry.fingerprint, entry.verdict)
    return Opinions(Counter(latest.values()))


def opinions_by_adapter(feedback: Sequence[Feedback]) -> dict[str, Opinions]:
    """Count what was said of each adapter's findings."""
    names = sorted({entry.adapter for entry in feedback if entry.adapter})
    return {name: opinions_of(entry for entry in feedback if entry.adapter == name) for name in names}


def _state(piece: Piece) -> JobState:
    if piece.status == "SUCCESS":
        return JobState.DONE if piece.outcome == "done" else JobState.FAILED
    return _STATES.get(piece.status, JobState.FAILED)


def _what(payload: Mapping[str, Any]) -> str:
    command = payload.get("command")
    if isinstance(command, dict) and isinstance(command.get("name"), str):
        return f"/{command['name']}"
    if isinstance(payload.get("good"), bool):
        return "👍" if payload["good"] else "👎"
    for key in ("reason", "kind"):
        if isinstance(payload.get(key), str):
            return str(payload[key])
    return ""


def _number(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None
