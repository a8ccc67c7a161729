"""Where a run tells how far it is: `status.json`, replaced whole, and `events.jsonl`, appended to."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from engine.curves import LossCurve, LossPoint, followed_by
from engine.retraining import EVENTS, STATUS, RunPlan, RunResult, RunState, RunStatus, Stage, read_status
from training.jsonl import replaced

_EVERY_SECONDS = 0.5


class Board:
    """Keeps the status of one run. `eta` says how long what comes after the present stage takes."""

    def __init__(self, run: Path, project: str, eta: Callable[[Stage], float | None] = lambda stage: None):
        self._run = run
        self._eta = eta
        self._written = 0.0
        self._stage_began = time.monotonic()
        self._began_at = 0
        now, before = _now(), read_status(run)
        self.status = RunStatus(
            run=run.name,
            project=project,
            started=before.started if before else now,
            updated=now,
            plan=before.plan if before else None,
            curve=before.curve if before else LossCurve(),
        )
        self._event("resumed" if before else "started")
        self._write()

    def begin(self, stage: Stage, total: int | None = None) -> None:
        """Say which stage is under way."""
        self._stage_began, self._began_at = time.monotonic(), 0
        self._set(stage=stage, done=0, total=total, eta_seconds=self._eta_of(stage))
        self._event("stage", stage=stage)
        self._write()

    def step(self, done: int, total: int | None = None) -> None:
        """Say how far the stage is. What came before the first call does not count for its speed."""
        if not self.status.done:
            self._began_at = done - 1
        total = total or self.status.total
        self._set(done=done, total=total)
        self._set(eta_seconds=self._eta_of(self.status.stage))
        self._write(seldom=True)

    def loss(self, step: int, training: float | None = None, validation: float | None = None) -> None:
        """Add what was logged at a step of training, on its rows or on what is held out."""
        points = followed_by(self.status.curve.points, LossPoint(step, training, validation))
        self._set(curve=LossCurve(points=points))

    def forget_losses(self) -> None:
        """Training begins from nothing, whatever was told of it before."""
        self._set(curve=LossCurve())

    def plan(self, plan: RunPlan) -> None:
        """Say what is trained on."""
        self._set(plan=plan)
        self._event("planned", items=plan.items, new=plan.new)
        self._write()

    def end(self, result: RunResult) -> None:
        """Say what came of it. The last word."""
        self._set(result=result, state=RunState.DONE, eta_seconds=None, error="")
        self._event("done", outcome=result.outcome, version=result.version)
        self._write()

    def stop(self) -> None:
        """Say that somebody ended it."""
        self._set(state=RunState.STOPPED, eta_seconds=None)
        self._event("stopped", stage=self.status.stage)
        self._write()

    def fail(self, error: str) -> None:
        """Say why it does not go on."""
        self._set(state=RunState.FAILED, eta_seconds=None, error=error)
        self._event("failed", stage=self.status.stage, error=error)
        self._write()

    def _eta_of(self, stage: Stage) -> float | None:
        """The rest of this stage at its speed so far, and what comes after it."""
        status, later = self.status, self._eta(stage)
        counted = status.done - self._began_at
        if later is None or not status.total or counted <= 0:
            return later
        pace = (time.monotonic() - self._stage_began) / counted
        return later + pace * max(0, status.total - status.done)

    def _set(self, **changes: Any) -> None:
        self.status = self.status.model_copy(update=changes)

    def _write(self, *, seldom: bool = False) -> None:
        if seldom and time.monotonic() - self._written < _EVERY_SECONDS:
            return
        self._set(updated=_now())
        with replaced(self._run / STATUS) as part:
            part.write_text(self.status.model_dump_json(indent=1) + "\n", encoding="utf-8")
        self._written = time.monotonic()

    def _event(self, name: str, **fields: object) -> None:
        row = {"event": name, "at": _now().isoformat(), "process": os.getpid(), **fields}
        # One write of one line: a reader, or a second process, never sees half of it.
        with (self._run / EVENTS).open("ab") as file:
            file.write(json.dumps(row, ensure_ascii=False).encode() + b"\n")


def _now() -> datetime:
    return datetime.now(UTC)
