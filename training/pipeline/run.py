"""One retraining, readable as its stages. Begun again in the same directory, it goes on where it was.

collect, redact, curate, label, split     the project's history becomes data
train, evaluate                           a candidate, measured beside champion and base
gate, pack, upload, promote               it serves from now on, or the result says why not
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from engine.adapters import Adapter
from engine.errors import DataError, InputError, MissingExtra, TenkenError
from engine.finetune.record import base_sha256
from engine.retraining import PLOT, Outcome, RunPlan, RunResult, Stage, read_status
from training.pipeline import deciding
from training.pipeline.board import Board
from training.pipeline.data import Collect, Folders, prepare, remember
from training.pipeline.deciding import Judgement, Objections, Verdict
from training.pipeline.estimate import Speed
from training.pipeline.learning import (
    Lesson,
    Measuring,
    OpenRunner,
    Settle,
    Train,
    held_out,
    measured_rows,
    read_lesson,
    train_candidate,
    trained,
)
from training.pipeline.settings import RetrainSettings
from training.pipeline.shelf import Shelf

_LOCK_SECONDS = 60.0
_LATER = 5.0  # seconds for gate, pack, upload and promote, about


@dataclass(frozen=True, slots=True)
class Request:
    """What is to be done."""

    project: str  # its path, by which GitLab and the engine know it
    name: str  # of its adapters
    folders: Folders
    settings: RetrainSettings
    base: Path  # Hugging Face directory
    dry_run: bool = False  # end with the plan
    promote: bool = True  # else the candidate is uploaded, and promoted by somebody
    gpu: bool = False


@dataclass(frozen=True, slots=True)
class Tools:
    """What it is done with."""

    collect: Collect
    settle: Settle
    train: Train
    open_runner: OpenRunner
    shelf: Shelf
    objections: Objections = deciding.suspicious_weights
    publish: Callable[[Adapter], str] | None = None  # to GitLab's packages; returns where it is


def retrain(request: Request, tools: Tools) -> RunResult:
    """Return what came of it. Raises TenkenError, which `status.json` has too, or KeyboardInterrupt."""
    with _alone(request.folders):
        if (done := _finished(request.folders.run)) is not None:
            return done
        run = _Run(request, tools)
        try:
            return run.run()
        except KeyboardInterrupt:
            run.board.stop()
            raise
        except TenkenError as error:
            run.board.fail(str(error))
            raise
        except Exception as error:
            run.board.fail(f"a fault of this program: {type(error).__name__}")
            raise


class _Run:
    """A run on its way."""

    def __init__(self, request: Request, tools: Tools) -> None:
        self._request, self._tools = request, tools
        self._folders, self._settings = request.folders, request.settings
        self._seconds: dict[Stage, float] = {}
        self._lesson: Lesson | None = None
        self.board = Board(request.folders.run, request.project, self._later)

    def run(self) -> RunResult:
        planned = RunResult(outcome=Outcome.PLANNED)
        judgement = Judgement.load(self._folders.run)
        if judgement is not None:
            return self._end(planned) if self._request.dry_run else self._concluded(judgement)
        plan = self._plan()
        if plan.new < plan.needed:
            return self._end(RunResult(outcome=Outcome.TOO_LITTLE))
        if self._request.dry_run:
            return self._end(planned)
        return self._concluded(self._judged(self._read(plan)))

    def _plan(self) -> RunPlan:
        tools, settings = self._tools, self._settings
        plan = prepare(self._folders, settings, tools.collect, tools.shelf.feedback, self.board)
        if plan.new >= plan.needed:
            lesson = self._read(plan)
            measured = min(plan.test, settings.measure.items or plan.test)
            speed = Speed.load(self._folders.history, gpu=self._request.gpu)
            self._seconds = {
                Stage.TRAIN: lesson.seconds,
                Stage.EVALUATE: speed.seconds(measured),
                Stage.GATE: _LATER,
            }
            plan = plan.model_copy(update={"seconds": round(sum(self._seconds.values()), 1)})
        self.board.plan(plan)
        return plan

    def _read(self, plan: RunPlan) -> Lesson:
        """Return what is trained on; raises DataError where there is too little to train or to measure."""
        items = self._folders.items
        if not plan.train:
            raise DataError(f"{items}: no items to train on: {plan.items} in all, {plan.test} held out")
        if not plan.test_with_findings:
            raise DataError(f"{items}: no item with a finding is held out, so nothing can be measured")
        if self._lesson is None:
            request = self._request
            self._lesson = read_lesson(self._folders, self._settings, request.base, self._tools.settle)
        return self._lesson

    def _later(self, stage: Stage) -> float | None:
        """How long what comes after a stage takes; None before anybody knows."""
        order = list(Stage)
        after = {
            each: value for each, value in self._seconds.items() if order.index(each) > order.index(stage)
        }
        return sum(after.values()) if self._seconds else None

    def _judged(self, lesson: Lesson) -> Judgement:
        folders, settings, tools = self._folders, self._settings, self._tools
        train_candidate(folders, lesson, tools.train, self.board)
        candidate = trained(folders)
        own = tools.shelf.champion()
        champion = self._serving()
        measuring = Measuring(folders, settings.measure, tools.open_runner, self.board)
        began = time.monotonic()
        measuring.all(candidate, champion)
        self._note_speed(time.monotonic() - began)
        self.board.begin(Stage.GATE)
        rows = measured_rows(folders, settings)
        objections = [*tools.objections(candidate), *deciding.triggers(folders)]
        return deciding.judge(folders, settings, objections, own, rows)

    def _note_speed(self, seconds: float) -> None:
        """Keep how long measuring took, for the next run's plan; what was done before took no time."""
        if seconds > 1:
            Speed.of(held_out(self._folders), seconds).save(self._folders.history)

    def _base(self) -> str:
        return base_sha256(self._request.base) or ""

    def _concluded(self, judgement: Judgement) -> RunResult:
        if judgement.refused:
            return self._told(judgement, Verdict(Outcome.REFUSED, judgement.reasons))
        request, plan = self._request, self.board.status.plan or RunPlan()
        self.board.begin(Stage.PACK)
        card = deciding.model_card(request.project, plan, judgement.rows, self._settings)
        adapter = deciding.packed(self._folders, self._settings, request.name, card)
        self.board.begin(Stage.UPLOAD)
        version = self._tools.shelf.add(adapter.path).version
        package = self._tools.publish(adapter) if self._tools.publish else ""
        self.board.begin(Stage.PROMOTE)
        return self._told(judgement, self._verdict(judgement, version), version, package)

    def _verdict(self, judgement: Judgement, version: str) -> Verdict:
        if not judgement.promote:
            return Verdict(Outcome.KEPT, judgement.reasons)
        if not self._request.promote:
            return Verdict(Outcome.PROPOSED)
        return deciding.promoted(self._tools.shelf, version, judgement, self._serving)

    def _serving(self) -> Path | None:
        return self._tools.shelf.serving(self._base(), self._folders.run / "champion")

    def _told(
        self, judgement: Judgement, verdict: Verdict, version: str = "", package: str = ""
    ) -> RunResult:
        return self._end(
            RunResult(
                outcome=verdict.outcome,
                version=version,
                champion=judgement.compared_with,
                reasons=verdict.reasons,
                rows=judgement.rows,
                items=judgement.items,
                package=package,
                plot=self._plot(judgement),
            )
        )

    def _plot(self, judgement: Judgement) -> str:
        from training.pipeline.picture import draw_result

        try:
            draw_result(self._folders.run / PLOT, self.board.status.curve.points, judgement.rows)
        except MissingExtra:
            return ""  # the result is worth telling without a picture
        return PLOT

    def _end(self, result: RunResult) -> RunResult:
        if result.outcome not in (Outcome.PLANNED, Outcome.TOO_LITTLE):
            remember(self._folders)
        self.board.end(result)
        return result


def _finished(run: Path) -> RunResult | None:
    status = read_status(run)
    return status.result if status is not None and status.is_finished else None


@contextmanager
def _alone(folders: Folders) -> Iterator[None]:
    """Keep other processes out of the directories; one that is ending is waited for."""
    try:
        for folder in (folders.run, folders.history):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with (
            FileLock(folders.run / ".lock", timeout=_LOCK_SECONDS),
            FileLock(folders.history / ".lock", timeout=_LOCK_SECONDS),
        ):
            yield
    except Timeout as error:
        raise InputError(f"{folders.run}: another process works in it") from error
    except OSError as error:
        raise InputError(f"{error.filename or folders.run}: {error.strerror}") from error
