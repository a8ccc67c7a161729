"""The bot as a process that is killed and begun again, the trainer below it, and what a run left on disk."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from engine.finetune import checkpoints
from engine.finetune.record import read_run
from engine.retraining import EVENTS, RunStatus, Stage, read_status

ROOT = Path(__file__).parents[2]


@dataclass(slots=True)
class Resumption:
    """A training that was hit, and how it went on."""

    victim: str
    killed_in_step: int  # 0: before the first
    checkpoint: int  # the newest intact one, of so many steps; 0: there was none
    begun: int  # so often until then
    went_on_with_step: int | None = None  # None: it was hit again before the next one was done


@dataclass(slots=True)
class Bot:
    """The bot, in a process group of its own: the trainer that it starts is in it, too."""

    environment: dict[str, str]
    port: int
    log: Path
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Begin, and wait until it listens."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "bot", "serve", "--port", str(self.port)],
                cwd=ROOT, env=self.environment, stdout=subprocess.PIPE, stderr=log, start_new_session=True,
            )  # fmt: skip
        assert self.process.stdout is not None
        assert b"listening" in self.process.stdout.readline(), self.log.read_text()[-3000:]

    def kill(self, group: bool = False) -> None:
        """SIGKILL, to its whole process group if that is asked for."""
        if self.process is not None:
            if group:
                os.killpg(self.process.pid, 9)
            self.process.kill()
            self.process.wait()
            assert self.process.stdout is not None
            self.process.stdout.close()
            self.process = None

    def run_of(self, project: int) -> Path | None:
        """Return the directory of a project's run, if there is one."""
        runs = Path(self.environment["BOT_DATA_DIR"]) / "retrain" / str(project) / "runs"
        return next(iter(sorted(runs.glob("*"))), None)

    def status(self, project: int) -> RunStatus | None:
        """Return how far a project's run is."""
        run = self.run_of(project)
        return read_status(run) if run else None


def trainings_begun(run: Path) -> list[datetime]:
    """Return when the training of a run was begun, each time that it was."""
    with suppress(OSError, ValueError):
        rows = [json.loads(line) for line in (run / EVENTS).read_text().splitlines()]
        return [datetime.fromisoformat(row["at"]) for row in rows if _begins_training(row)]
    return []


def _begins_training(row: dict[str, object]) -> bool:
    return row.get("event") == "stage" and row.get("stage") == Stage.TRAIN


def trainer_of(run: Path) -> int | None:
    """Return the process that works in a run, if it lives."""
    try:
        rows = [json.loads(line) for line in (run / EVENTS).read_text().splitlines()]
        process = int(rows[-1]["process"])
        words = Path(f"/proc/{process}/cmdline").read_bytes().split(b"\0")
    except (OSError, ValueError, IndexError):
        return None
    return process if str(run).encode() in words else None


def kill_with_children(process: int) -> None:
    """SIGKILL to a process and to all that it started."""
    try:
        threads = list(Path(f"/proc/{process}/task").iterdir())
        children = [int(word) for thread in threads for word in (thread / "children").read_text().split()]
    except OSError:
        children = []
    with suppress(ProcessLookupError):
        os.kill(process, 9)
    for child in children:
        kill_with_children(child)


def newest_checkpoint(run: Path) -> int:
    """Return the step of the newest intact checkpoint of a run's training; 0 if it has none."""
    folder = run / Stage.TRAIN.value / "checkpoints"
    seals = sorted(folder.glob(f"*/{checkpoints.SEAL}"))
    with suppress(OSError, ValueError, IndexError):
        name = json.loads(seals[-1].read_text())["run"]
        found = checkpoints.newest(folder, name)
        return int(found.name.rpartition("-")[2]) if found else 0
    return 0


def note_step(bot: Bot, project: int, hit: Resumption | None) -> None:
    """Write down with which step a training went on: the first that is told after it has begun again."""
    run = bot.run_of(project)
    if run is None or hit is None or hit.went_on_with_step is not None:
        return
    begun, status = trainings_begun(run), read_status(run)
    if status is None or len(begun) <= hit.begun or status.stage is not Stage.TRAIN:
        return
    if status.done and status.updated > begun[-1]:
        hit.went_on_with_step = status.done


def faults_of_training(run: Path | None, hits: Sequence[Resumption], steps: int) -> list[str]:
    """Return whether steps are missing, or were done again though a checkpoint had them."""
    again = [
        f"went on with step {each.went_on_with_step} after checkpoint {each.checkpoint}"
        for each in hits
        if each.went_on_with_step is not None and each.went_on_with_step <= each.checkpoint
    ]
    record = read_run(run / Stage.TRAIN.value) if run else None
    trained = record.steps if record else None
    return [*again, *([] if trained == steps else [f"steps trained: {trained}"])]
