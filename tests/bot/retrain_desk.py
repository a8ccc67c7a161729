"""Retrainings by a fake trainer, between a fake GitLab and a fake engine; the work is durable as ever."""

from __future__ import annotations

import asyncio
import itertools
import json
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from scenes import Scene, scene

from bot.database import Database, database_url
from bot.durable import Durable, DurableOptions
from bot.fake_gitlab.state import StoredNote
from bot.learning import Wish
from bot.markers import Marker, MarkerKind, marker_of
from bot.retrain_run import RetrainRuns
from bot.retraining import Retraining, RetrainOptions
from bot.testing import FakeEngine
from bot.trainer import Trainer, TrainerOptions
from bot.work import Kind
from engine.wire import Language

SCRIPT = Path(__file__).with_name("fake_trainer.py")
SOON = 280.0


@dataclass(slots=True)
class RetrainDesk:
    """What a test needs at hand."""

    scene: Scene
    folder: Path
    durable: Durable
    engine: FakeEngine
    learning: Retraining
    trainer: Trainer
    runs: RetrainRuns
    asked: dict[str, StoredNote] = field(default_factory=dict)
    meanwhile: Callable[[], None] = lambda: None  # happens while a pause is made
    _numbers: itertools.count[int] = field(default_factory=lambda: itertools.count(1))

    @property
    def history(self) -> Path:
        return self.folder / "retrain" / str(self.scene.project.id) / "history"

    def script(self, **what: object) -> None:
        """Say what the trainer will do, or has to do from now on."""
        self.history.mkdir(parents=True, exist_ok=True)
        part = self.history / "script.json.part"
        part.write_text(json.dumps(what))
        part.replace(self.history / "script.json")

    @property
    def starts(self) -> list[dict[str, object]]:
        """What the trainer was started with, each time."""
        path = self.history / "starts.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def wish(self, language: Language = Language.EN) -> Wish:
        """Return somebody's wish, with the note that says so."""
        thread, note = self.scene.fake.as_person(self.scene.author, self.scene.project, self.scene.mr).note(
            "/retrain"
        )
        key = f"wish-{next(self._numbers)}"
        self.asked[key] = note
        return Wish(
            key, self.scene.project.path, self.scene.ref, note.id, thread.id, False,
            self.scene.author.id, "author", language,
        )  # fmt: skip

    def notes(self, *, result: bool) -> list[str]:
        """Return the notes about trainings: those that say what came of it, or those that are edited."""
        return [note.body.rpartition("\n")[0].strip() for note in self._notes(result=result)]

    def show_progress(self, text: str) -> str:
        """Edit the note of the training under way, as its worker does, and return what it says."""
        [note] = self._notes(result=False)
        note.body = f"{text}\n{note.body.rpartition(chr(10))[2]}"
        return text

    def _notes(self, *, result: bool) -> list[StoredNote]:
        found = []
        for note in self.scene.bot_notes:
            marker: Marker | None = marker_of(note.body)
            if marker is None or marker.kind is not MarkerKind.TRAINING:
                continue
            if marker.id.endswith("-result") is result:
                found.append(note)
        return found

    def reactions(self, wish: Wish) -> set[str]:
        return {name for _, name, _ in self.asked[wish.key].awards}

    async def until(self, condition: Callable[[], object]) -> None:
        async with asyncio.timeout(SOON):
            while not condition():  # noqa: ASYNC110 - what is waited for is elsewhere
                await asyncio.sleep(0.02)

    async def result(self, count: int = 1) -> str:
        """Wait until a training has come to something, and return what is said of it."""
        await self.until(lambda: len(self.notes(result=True)) >= count and not self.open)
        return self.notes(result=True)[-1]

    @property
    def open(self) -> list[str]:
        orders = self.durable.orders
        return [work.id for kind in ("retrain", "training") for work in orders.open(kind)]


@asynccontextmanager
async def retrain_desk(
    folder: Path,
    *,
    device: str = "",
    enabled: bool = True,
    may_promote: bool = True,
    retry_seconds: float = 0,
) -> AsyncIterator[RetrainDesk]:
    """Give a desk."""
    async with scene() as stage:
        options = TrainerOptions(
            folder / "retrain", stage.fake.url, "glpat-to-read", "http://127.0.0.1:9", "admin-token",
            min_new=7, command=(sys.executable, str(SCRIPT)), poll_seconds=0.05,
        )  # fmt: skip
        trainer, engine = Trainer(options), FakeEngine()
        found: list[Durable] = []
        runs = RetrainRuns(stage.gitlab, trainer, lambda: found[0].orders, first_pause=0.05)

        async def pause(seconds: float) -> None:
            made.meanwhile()
            await asyncio.sleep(seconds)

        kinds = [replace(kind, poll_seconds=0.05) for kind in runs.kinds(device)]
        learning = Retraining(
            lambda: found[0].orders,
            stage.gitlab,
            engine,
            trainer,
            RetrainOptions(folder / "roll-backs", enabled, may_promote, device, pause),
        )
        async with _durable(folder, kinds, found, retry_seconds):
            made = RetrainDesk(stage, folder, found[0], engine, learning, trainer, runs)
            yield made


@asynccontextmanager
async def _durable(
    folder: Path, kinds: Sequence[Kind], found: list[Durable], retry_seconds: float = 0
) -> AsyncIterator[None]:
    database = Database(database_url(None, folder))
    durable = Durable(database, kinds, DurableOptions("one", retry_seconds=retry_seconds, finish_seconds=0))
    found.append(durable)
    await durable.start()
    try:
        yield
    finally:
        await durable.stop()
        database.close()


@asynccontextmanager
async def restarted(desk: RetrainDesk) -> AsyncIterator[None]:
    """Stop the work in the middle and go on with another process's eyes: what ran is done again."""
    await desk.durable.stop()
    found: list[Durable] = []
    kinds = [replace(kind, poll_seconds=0.05) for kind in desk.runs.kinds()]
    async with _durable(desk.folder, kinds, found):
        desk.durable = found[0]
        yield
