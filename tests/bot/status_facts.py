"""Facts for the status page's tests: a project with adapters, opinions and work."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from bot.status.facts import Facts, Job, JobState, ProjectFacts, opinions_by_adapter, opinions_of
from engine.curves import LossCurve
from engine.feedback import Feedback, FeedbackSource, FeedbackVerdict
from engine.lifecycle import AdapterState, RegisteredAdapter
from engine.retraining import RunStatus, Stage

NOW = datetime(2026, 11, 27, 12, 0, tzinfo=UTC)


def adapter(version: str, state: AdapterState, days: int, **scores: float) -> RegisteredAdapter:
    at = NOW - timedelta(days=days)
    return RegisteredAdapter(
        project="team/app", version=version, name="team", path="", base_model="m", base_sha256="0",
        state=state, scores=scores, created=at, added=at,
    )  # fmt: skip


def said(fingerprint: str, verdict: FeedbackVerdict, version: str = "team-2") -> Feedback:
    return Feedback(
        fingerprint=fingerprint * 16, verdict=verdict, project="team/app", adapter=version,
        source=FeedbackSource.MR, created=NOW,
    )  # fmt: skip


FEEDBACK = (
    said("a", FeedbackVerdict.ACCEPTED),
    said("a", FeedbackVerdict.WRONG),  # before; the latest word holds
    said("b", FeedbackVerdict.APPLIED),
    said("c", FeedbackVerdict.WRONG, "team-1"),
    said("d", FeedbackVerdict.DISMISSED),
)
ADAPTERS = (
    adapter("team-2", AdapterState.CHAMPION, 1, line_auc=0.953, right_line=0.81),
    adapter("team-1", AdapterState.RETIRED, 9, line_auc=0.91),
)


def training(curve: LossCurve, **changes: Any) -> RunStatus:
    """Return a training under way."""
    status = RunStatus(
        run="one", project="team/app", stage=Stage.TRAIN, done=155, total=400, started=NOW, updated=NOW,
        curve=curve,
    )  # fmt: skip
    return status.model_copy(update=changes)


def job(state: JobState, what: str = "command", *, kind: str = "review", ended: float | None = None) -> Job:
    return Job(kind, what, 7, 3, state, "one", NOW.timestamp() - 600, None, ended)


def facts(**changes: Any) -> Facts:
    project = ProjectFacts(7, "team/app", ADAPTERS, opinions_of(FEEDBACK), opinions_by_adapter(FEEDBACK))
    values: dict[str, Any] = {
        "at": NOW.timestamp(),
        "workers": {"one": 3.0, "two": 400.0},
        "silent_seconds": 60.0,
        "open": (job(JobState.RUNNING), job(JobState.WAITING), job(JobState.WAITING)),
        "finished": (
            job(JobState.DONE, ended=NOW.timestamp() - 540),
            job(JobState.FAILED, "/ask", kind="errand", ended=NOW.timestamp() - 590),
            job(JobState.DONE, ended=NOW.timestamp() - 2 * 86_400),
        ),
        "today": (
            job(JobState.DONE, ended=NOW.timestamp() - 540),
            job(JobState.FAILED, "/ask", kind="errand", ended=NOW.timestamp() - 590),
        ),
        "projects": (project,),
        "engine_answers": True,
    }
    return Facts(**values | changes)
