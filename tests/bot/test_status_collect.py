"""What the status page gathers of trainings: curves once, and the one that runs while it does."""

from __future__ import annotations

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from status_facts import ADAPTERS, training

from bot.orders import Piece
from bot.retrain_jobs import PREPARE, TRAIN
from bot.status.collect import Collector
from bot.status.facts import ProjectFacts
from bot.testing import FakeWatermarks
from bot.trainer import RUNS, Trainer, TrainerOptions
from engine.curves import LossCurve
from engine.errors import TenkenError, UnknownAdapter, Unreachable
from engine.feedback import Feedback
from engine.lifecycle import RegisteredAdapter
from engine.retraining import STATUS, RunState, RunStatus

CURVE = LossCurve(points=((10, 3.0, None), (20, 2.0, 1.75)))


class Engine:
    """Has two adapters; the older one is from before curves were recorded."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.error: TenkenError | None = None

    async def adapters(self, project: str) -> tuple[RegisteredAdapter, ...]:
        return ADAPTERS

    async def curve(self, project: str, version: str) -> LossCurve:
        self.asked.append(version)
        if self.error is not None:
            raise self.error
        return CURVE if version == "team-2" else LossCurve()

    async def feedback(self, project: str) -> tuple[Feedback, ...]:
        return ()


def collector(folder: Path, engine: Engine, *open_: Piece) -> Collector:
    """Return one that looks anew each time, at work that is open."""
    orders = SimpleNamespace(
        history=lambda kinds, limit, finished: [] if finished else list(open_), ended_since=lambda *_: []
    )
    durable: Any = SimpleNamespace(
        orders=orders,
        kinds=(),
        workers=SimpleNamespace(heard_of=dict),
        options=SimpleNamespace(silent_seconds=60.0),
    )

    async def project(project_id: int) -> Any:
        return SimpleNamespace(path="team/app")

    gitlab: Any = SimpleNamespace(project=project)
    trainer = Trainer(TrainerOptions(folder, "", ""))
    return Collector(durable, gitlab, engine, FakeWatermarks(), trainer, kept_seconds=-1)


def gathered(collector: Collector) -> ProjectFacts:
    (project,) = asyncio.run(collector.facts()).projects
    return project


def work(kind: str, status: str = "PENDING") -> Piece:
    return Piece("id", kind, {"project_id": 7}, status, "", "one", 1.0, None, None)


def told(folder: Path, **changes: Any) -> RunStatus:
    """Write how far a run of the project is."""
    status = training(CURVE, **changes)
    run = folder / "7" / RUNS / status.run
    run.mkdir(parents=True)
    (run / STATUS).write_text(status.model_dump_json())
    return status


def test_a_curve_is_asked_for_once(tmp_path: Path) -> None:
    """It never changes; an adapter without one has none on the page."""
    engine = Engine()
    asking = collector(tmp_path, engine, work("review"))
    for _ in range(2):
        assert gathered(asking).curves == {"team-2": CURVE}
    assert engine.asked == ["team-2", "team-1"]


@pytest.mark.parametrize("error", [Unreachable("404: no such route"), UnknownAdapter("just deleted")])
def test_no_curve_is_no_misfortune(tmp_path: Path, error: TenkenError) -> None:
    """An older engine knows of no curves: all else is shown, and it is asked again."""
    engine = Engine()
    engine.error = error
    asking = collector(tmp_path, engine, work("review"))
    facts = asyncio.run(asking.facts())
    assert facts.engine_answers
    assert (facts.projects[0].adapters, facts.projects[0].curves) == (ADAPTERS, {})
    assert facts.projects[0].opinions is not None
    engine.error = None
    assert gathered(asking).curves == {"team-2": CURVE}


def test_a_training_under_way_is_shown(tmp_path: Path) -> None:
    """With its losses so far, as its process tells them."""
    status = told(tmp_path)
    for kind in (PREPARE, TRAIN):
        assert gathered(collector(tmp_path, Engine(), work(kind))).training == status


@pytest.mark.parametrize(
    ("piece", "changes"),
    [
        (work(TRAIN, "ENQUEUED"), {}),
        (work("review"), {}),
        (work(TRAIN), {"state": RunState.DONE}),
        (work(TRAIN), {"state": RunState.FAILED}),
    ],
    ids=["waits", "another kind", "done", "failed"],
)
def test_only_a_training_that_runs(tmp_path: Path, piece: Piece, changes: dict[str, Any]) -> None:
    """What a process that was killed once said of itself is not taken for the present."""
    told(tmp_path, **changes)
    assert gathered(collector(tmp_path, Engine(), piece)).training is None


def test_a_training_on_another_machine(tmp_path: Path) -> None:
    """Its files are not here, so nothing is said of it."""
    assert gathered(collector(tmp_path, Engine(), work(TRAIN))).training is None
