"""How far a retraining is, and what came of it: values. Its process writes them, others show them.

A run has a directory. `status.json` in it is replaced whole, so a reader sees the old one or the new one;
`events.jsonl` has every change of stage, one a line. Readers ignore what they do not know.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from engine.curves import LossCurve

STATUS, EVENTS, PLOT = "status.json", "events.jsonl", "result.png"


class Stage(StrEnum):
    """What a run does, in this order."""

    COLLECT = "collect"
    REDACT = "redact"
    CURATE = "curate"
    LABEL = "label"
    SPLIT = "split"
    TRAIN = "train"
    EVALUATE = "evaluate"
    GATE = "gate"
    PACK = "pack"
    UPLOAD = "upload"
    PROMOTE = "promote"


class RunState(StrEnum):
    """Whether a run goes on."""

    RUNNING = "running"
    STOPPED = "stopped"  # by somebody; begun again, it goes on where it was
    FAILED = "failed"  # `error` says why; begun again, it goes on where it was
    DONE = "done"


class Outcome(StrEnum):
    """What came of a run that is done."""

    PLANNED = "planned"  # nothing more was asked for
    TOO_LITTLE = "too_little"  # new data
    PROMOTED = "promoted"
    PROPOSED = "proposed"  # it measures better; somebody else has to promote it
    KEPT = "kept"  # the champion stays: `reasons` says why
    REFUSED = "refused"  # it looks as if somebody had tampered with the data: `reasons` says how


class _Told(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class MeasureRow(_Told):
    """One measure of all systems; None where it was not measured."""

    name: str
    base: float | None = None
    champion: float | None = None
    candidate: float | None = None
    low: float | None = Field(
        default=None, description="The candidate is above the champion by this at least,"
    )
    high: float | None = Field(default=None, description="and by this at most, with 95 % confidence.")


class RunPlan(_Told):
    """What is trained on, and how long that takes."""

    merge_requests: int = 0
    items: int = 0
    with_findings: int = 0
    new: int = Field(default=0, description="Items with findings that no finished run has had.")
    needed: int = Field(default=0, description="So many new ones are asked for.")
    train: int = 0
    dev: int = 0
    test: int = 0
    test_with_findings: int = 0
    replay: float = Field(default=0, description="How often the starter data is used; 0: not at all.")
    dropped: dict[str, int] = Field(
        default_factory=dict, description="Why remarks were left out -> how many."
    )
    replaced: dict[str, int] = Field(
        default_factory=dict, description="Secrets and names that were replaced."
    )
    broken: int = Field(default=0, description="Records that could not be read.")
    unread: int = Field(default=0, description="What GitLab did not give, to be asked for again.")
    examples: tuple[str, ...] = Field(default=(), description="Where some of them are, e.g. !12 a/b.py:3.")
    seconds: float | None = Field(default=None, description="Of training and measuring, about.")


class RunResult(_Told):
    """What came of a run."""

    outcome: Outcome
    version: str = Field(default="", description="Of the candidate.")
    champion: str = Field(default="", description="Whom it was compared with; empty: the base model.")
    reasons: tuple[str, ...] = ()
    rows: tuple[MeasureRow, ...] = ()
    items: int = Field(default=0, description="Held-out items that this was measured on.")
    package: str = Field(default="", description="Where the adapter was published, if it was.")
    plot: str = Field(default="", description="File in the run's directory; empty where none was drawn.")


class RunStatus(_Told):
    """How far a run is."""

    run: str
    project: str
    state: RunState = RunState.RUNNING
    stage: Stage = Stage.COLLECT
    done: int = Field(default=0, description="Of the stage, in its own unit: merge requests, steps, items.")
    total: int | None = Field(default=None, description="None where nobody can tell.")
    eta_seconds: float | None = Field(default=None, description="Until the run is done.")
    curve: LossCurve = LossCurve()
    started: datetime
    updated: datetime
    plan: RunPlan | None = None
    result: RunResult | None = None
    error: str = ""

    @property
    def losses(self) -> tuple[float, ...]:
        """Those of training, in the order of the steps."""
        return tuple(point.training for point in self.curve.points if point.training is not None)

    @property
    def is_finished(self) -> bool:
        """Whether the run has come to something; a plan alone is nothing yet."""
        begun = self.result is not None and self.result.outcome not in (Outcome.PLANNED, Outcome.TOO_LITTLE)
        return begun and self.state is RunState.DONE

    @property
    def share(self) -> float | None:
        """How much of the stage is done, between 0 and 1."""
        return min(1.0, self.done / self.total) if self.total else None


def read_status(run: Path) -> RunStatus | None:
    """Return the status of the run in a directory; None where there is none that can be read."""
    try:
        return RunStatus.model_validate_json((run / STATUS).read_bytes())
    except (OSError, ValidationError):
        return None
