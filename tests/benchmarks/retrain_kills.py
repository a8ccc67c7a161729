"""Retrainings whose bot or trainer is killed at random points: what is lost, what happens twice, as JSON.

    python tests/benchmarks/retrain_kills.py --points 20 --output results.json

GitLab and the model are fakes, and training takes seconds; the bot, the pipeline, the engine's store and API
are real. Each round is a project of its own with a history, whose maintainer types /retrain; until enough
points were hit, SIGKILL takes the bot or the trainer, whichever is drawn, and the bot is started again.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

TESTS = Path(__file__).parents[1]
ROOT = TESTS.parent
sys.path[:0] = [str(ROOT), str(TESTS), str(TESTS / "bot"), str(TESTS / "training")]

from bot_world import SECRET, free_port  # noqa: E402
from fast_training import SETTINGS, STEP_SECONDS  # noqa: E402
from history_world import BASE, World, world  # noqa: E402
from retrained_project import add_merge_requests, say_note  # noqa: E402
from serving import Served, serving  # noqa: E402

from bot.fake_gitlab import StoredMergeRequest  # noqa: E402
from bot.markers import MarkerKind, marker_of  # noqa: E402
from engine.api import adapters, feedback  # noqa: E402
from engine.cpus import available_cpus  # noqa: E402
from engine.lifecycle import Action  # noqa: E402
from engine.retraining import EVENTS, RunStatus, Stage, read_status  # noqa: E402
from engine.settings import EngineSettings  # noqa: E402
from engine.store.opening import Store, open_store  # noqa: E402

_PATIENCE = 600.0
_ORDER = list(Stage)
_KILLS = 4  # of one retraining, at most: DBOS gives up what ends its process ten times


@dataclass(slots=True)
class Tally:
    """What was seen."""

    points: int = 0
    rounds: int = 0
    victims: Counter[str] = field(default_factory=Counter)
    stages: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)


@dataclass(slots=True)
class Bot:
    """The bot as a process that is begun again."""

    environment: dict[str, str]
    port: int
    log: Path
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "bot", "serve", "--port", str(self.port)],
                cwd=ROOT, env=self.environment, stdout=subprocess.PIPE, stderr=log,
            )  # fmt: skip
        assert self.process.stdout is not None
        assert b"listening" in self.process.stdout.readline(), self.log.read_text()[-3000:]

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            assert self.process.stdout is not None
            self.process.stdout.close()
            self.process = None


def main() -> None:
    """Run until enough points were hit, and write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--points", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--output", type=Path)
    arguments = parser.parse_args()
    random.seed(arguments.seed)
    tally = Tally()
    with tempfile.TemporaryDirectory() as name, _everything(Path(name)) as (w, bot, store):
        while tally.points < arguments.points:
            _round(w, bot, store, tally, arguments.points - tally.points)
            print(f"{tally.points} points, faults: {tally.faults}", file=sys.stderr, flush=True)
    text = json.dumps(_results(tally, arguments.seed), indent=2) + "\n"
    sys.stdout.write(text)
    if arguments.output:
        arguments.output.write_text(text)


@contextmanager
def _everything(folder: Path) -> Iterator[tuple[World, Bot, Store]]:
    (folder / "retrain.toml").write_text(SETTINGS)
    with ExitStack() as stack:
        w = stack.enter_context(world())
        store = stack.enter_context(open_store(EngineSettings(data_dir=folder / "store")))
        routes = (*adapters.routes(store.registry), *feedback.routes(store.feedback))
        engine = stack.enter_context(serving(more_routes=routes))
        bot = Bot(_environment(folder, w, engine), free_port(), folder / "bot.log")
        stack.callback(bot.kill)
        bot.start()
        yield w, bot, store


def _environment(folder: Path, w: World, engine: Served) -> dict[str, str]:
    python = folder / "python"
    script = TESTS / "training" / "fast_training.py"
    python.write_text(f'#!/bin/sh\nshift 4\nexec "{sys.executable}" "{script}" "$@"\n')
    python.chmod(0o755)
    return os.environ | {
        "PYTHONPATH": str(ROOT),
        STEP_SECONDS: "0.1",
        "BOT_GITLAB_URL": w.fake.url,
        "BOT_GITLAB_TOKEN": w.fake.bot.token,
        "BOT_ENGINE_URL": engine.url,
        "BOT_ENGINE_ADMIN_TOKEN": "any: this engine is open to this machine",
        "BOT_DATA_DIR": str(folder / "bot"),
        "BOT_WEBHOOK_SECRETS": json.dumps([SECRET]),
        "BOT_POLL_SECONDS": "5",
        "BOT_RETRAIN": "true",
        "BOT_RETRAIN_PYTHON": str(python),
        "BOT_RETRAIN_SETTINGS": str(folder / "retrain.toml"),
    }


def _round(w: World, bot: Bot, store: Store, tally: Tally, left: int) -> None:
    """One retraining, and as many points of it as it lives to see."""
    project = w.fake.add_project(f"team/shop{tally.rounds}", BASE)
    project.members |= {w.maintainer.id: 40, w.developer.id: 30}
    here = replace(w, project=project)
    add_merge_requests(here, 10)
    asking = here.open_mr()
    w.fake.add_hook(project, f"http://127.0.0.1:{bot.port}/webhook", SECRET)
    started = time.monotonic()
    say_note(here, asking, "/retrain")
    tally.rounds += 1
    for _ in range(min(left, _KILLS)):
        _wait(bot, here, asking)
        if _is_told(here, asking):
            break
        _hit(bot, project.id, tally)
    while not _is_told(here, asking) and time.monotonic() - started < _PATIENCE:
        time.sleep(0.2)
    tally.seconds.append(round(time.monotonic() - started, 1))
    time.sleep(6)  # a round of polling more
    faults = _faults(here, asking, store)
    tally.faults += [f"{project.path}: {fault}" for fault in faults]
    if faults:
        sys.stderr.write(bot.log.read_text()[-20_000:])


def _wait(bot: Bot, w: World, asking: StoredMergeRequest) -> None:
    """Wait until a stage that is drawn, and a moment longer: else most points would be in the longest."""
    wanted, end = random.choice(list(Stage)), time.monotonic() + _PATIENCE
    while not _is_told(w, asking) and time.monotonic() < end:
        run = _run_of(bot, w.project.id)
        status = read_status(run) if run else None
        if status is not None and _ORDER.index(status.stage) >= _ORDER.index(wanted):
            break
        time.sleep(0.01)
    time.sleep(random.uniform(0, 2 if wanted is Stage.TRAIN else 0.3))


def _hit(bot: Bot, project: int, tally: Tally) -> None:
    run = _run_of(bot, project)
    status = read_status(run) if run else None
    trainer = _trainer(run) if run else None
    victim = random.choice(["bot", "trainer"]) if trainer else "bot"
    tally.points += 1
    tally.victims[victim] += 1
    tally.stages[_stage(status)] += 1
    if trainer and victim == "trainer":
        os.kill(trainer, 9)
        return
    bot.kill()
    bot.start()


def _stage(status: RunStatus | None) -> str:
    return f"{status.stage}, {status.state}" if status else "not begun"


def _run_of(bot: Bot, project: int) -> Path | None:
    runs = Path(bot.environment["BOT_DATA_DIR"]) / "retrain" / str(project) / "runs"
    return next(iter(sorted(runs.glob("*"))), None)


def _trainer(run: Path) -> int | None:
    """Return the process that works in a run, if it lives."""
    try:
        rows = [json.loads(line) for line in (run / EVENTS).read_text().splitlines()]
        process = int(rows[-1]["process"])
        words = Path(f"/proc/{process}/cmdline").read_bytes().split(b"\0")
    except (OSError, ValueError, IndexError):
        return None
    return process if str(run).encode() in words else None


def _is_told(w: World, mr: StoredMergeRequest) -> bool:
    return any(marker.endswith("-result") for marker in _markers(w, mr))


def _markers(w: World, mr: StoredMergeRequest) -> list[str]:
    found = (marker_of(note.body) for note in tuple(mr.notes) if note.author is w.fake.bot)
    return [marker.id for marker in found if marker is not None and marker.kind is MarkerKind.TRAINING]


def _faults(w: World, mr: StoredMergeRequest, store: Store) -> list[str]:
    """Return what is wrong with a retraining that is over."""
    markers, path = _markers(w, mr), w.project.path
    results = sum(marker.endswith("-result") for marker in markers)
    promotions = [each for each in store.registry.history(path) if each.action is Action.PROMOTE]
    bodies = [note.body for note in mr.notes if note.author is w.fake.bot]
    counts = {
        "results told": (results, 1),
        "progress notes": (len(markers) - results, 1),
        "promotions": (len(promotions), 1),
        "adapters": (len(store.registry.list_adapters(path)), 1),
        "notes of promotion": (sum("**Promoted.**" in body for body in bodies), 1),
    }
    return [f"{name}: {found}" for name, (found, wanted) in counts.items() if found != wanted]


def _results(tally: Tally, seed: int) -> dict[str, object]:
    return {
        "how": "SIGKILL of the bot or of the trainer; the bot is then started again",
        "points": tally.points,
        "retrainings": tally.rounds,
        "victims": dict(tally.victims),
        "stages": dict(tally.stages),
        "faults": tally.faults,
        "seconds_each": tally.seconds,
        "seed": seed,
        "machine": f"{platform.machine()}, {available_cpus()} CPUs, used by others as well",
        "python": platform.python_version(),
        "date": time.strftime("%Y-%m-%d"),
    }


if __name__ == "__main__":
    main()
