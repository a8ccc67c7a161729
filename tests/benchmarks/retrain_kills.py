"""Retrainings whose bot or trainer is killed at random points: what is lost, what happens twice, as JSON.

    python tests/benchmarks/retrain_kills.py --points 20 --output results.json
    python tests/benchmarks/retrain_kills.py --real --points 20 --output results.json

GitLab is a fake one; the bot, the pipeline, the engine's store and API are real. Model and training are fakes
that take seconds, or with --real Gemma 3 270M, trained on the CPU and measured with llama.cpp. Each round is
a project of its own with a history, whose maintainer types /retrain; until enough points were hit, SIGKILL
takes the bot, the trainer or the process group of both, as it is drawn, and the bot is started again.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field, replace
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
from engine.adapters import load_adapter, starter_adapter  # noqa: E402
from engine.api import adapters, feedback  # noqa: E402
from engine.cpus import available_cpus  # noqa: E402
from engine.lifecycle import Action  # noqa: E402
from engine.retraining import RunStatus, Stage  # noqa: E402
from engine.settings import EngineSettings  # noqa: E402
from engine.store.opening import Store, open_store  # noqa: E402
from tests.benchmarks.retrain_kills_work import (  # noqa: E402
    Bot,
    Resumption,
    faults_of_training,
    kill_with_children,
    newest_checkpoint,
    note_step,
    trainer_of,
    trainings_begun,
)

_ORDER = list(Stage)
_KILLS = 4  # of one retraining, at most: DBOS gives up what ends its process ten times
_REAL = """\
[retrain]
min_new = 3
[collect]
sources = 0
requests_per_second = 1000
[curate]
author_share = 1.0
[label]
rows = 6
[split]
dev = 0
test = 0.3
similarity = 1.0
[train]
backend = "trl"
rank = 4
learning_rate = 2e-4
warmup_steps = 0
max_steps = 8
batch_tokens = 128
eval_steps = 2
log_steps = 1
[examples]
nothing_share = 0
[measure]
items = 2
write = false
samples = 20
probe_words = 1
probe_items = 1
[gate]
min_items = 1
[gate.rules.top1]
gain = -2.0
"""


@dataclass(frozen=True, slots=True)
class Mode:
    """What is retrained, and where it is hit."""

    settings: str
    steps: int
    patience: float  # seconds of a retraining, kills included
    pause: float  # seconds at most, after a stage that is drawn has begun
    wanted: tuple[Stage, ...]
    real: bool = False


_FAST = Mode(SETTINGS, 20, 600.0, 0.3, tuple(Stage))
# Half of the points are in the training, at a step that is drawn: most stages are over in a moment.
_SLOW = Mode(_REAL, 8, 2400.0, 3.0, (*Stage, *([Stage.TRAIN] * (len(Stage) - 2))), real=True)


@dataclass(slots=True)
class Tally:
    """What was seen."""

    points: int = 0
    rounds: int = 0
    victims: Counter[str] = field(default_factory=Counter)
    stages: Counter[str] = field(default_factory=Counter)
    resumptions: list[Resumption] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)


def main() -> None:
    """Run until enough points were hit, and write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--points", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--real", action="store_true", help="train Gemma 3 270M: minutes a round")
    parser.add_argument("--output", type=Path)
    arguments = parser.parse_args()
    random.seed(arguments.seed)
    tally, mode = Tally(), _SLOW if arguments.real else _FAST
    with tempfile.TemporaryDirectory() as name, _everything(Path(name), mode) as (w, bot, store):
        while tally.points < arguments.points:
            _round(w, bot, store, tally, mode, arguments.points - tally.points)
            print(f"{tally.points} points, faults: {tally.faults}", file=sys.stderr, flush=True)
            text = json.dumps(_results(tally, mode, arguments.seed), indent=2) + "\n"
            if arguments.output:
                arguments.output.write_text(text)
    sys.stdout.write(text)


@contextmanager
def _everything(folder: Path, mode: Mode) -> Iterator[tuple[World, Bot, Store]]:
    (folder / "retrain.toml").write_text(mode.settings)
    with ExitStack() as stack:
        w = stack.enter_context(world())
        store = stack.enter_context(open_store(EngineSettings(data_dir=folder / "store")))
        routes = (*adapters.routes(store.registry), *feedback.routes(store.feedback))
        engine = stack.enter_context(serving(more_routes=routes))
        bot = Bot(_environment(folder, w, engine, mode), free_port(), folder / "bot.log")
        stack.callback(bot.kill, group=True)
        bot.start()
        yield w, bot, store


def _environment(folder: Path, w: World, engine: Served, mode: Mode) -> dict[str, str]:
    python = Path(sys.executable)
    if not mode.real:
        python, script = folder / "python", TESTS / "training" / "fast_training.py"
        python.write_text(f'#!/bin/sh\nshift 4\nexec "{sys.executable}" "{script}" "$@"\n')
        python.chmod(0o755)
    return os.environ | {
        "PYTHONPATH": str(ROOT),
        STEP_SECONDS: "0.1",
        "BOT_GITLAB_URL": w.fake.url,
        "BOT_GITLAB_TOKEN": w.fake.bot.token,
        "BOT_ENGINE_URL": engine.url,
        "BOT_ENGINE_ADMIN_TOKEN": "any-as-this-engine-is-open-to-this-machine",
        "BOT_DATA_DIR": str(folder / "bot"),
        "BOT_WEBHOOK_SECRETS": json.dumps([SECRET]),
        "BOT_POLL_SECONDS": "5",
        "BOT_RETRAIN": "true",
        "BOT_RETRAIN_PYTHON": str(python),
        "BOT_RETRAIN_SETTINGS": str(folder / "retrain.toml"),
    }


def _round(w: World, bot: Bot, store: Store, tally: Tally, mode: Mode, left: int) -> None:
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
    hit: Resumption | None = None
    before = len(tally.resumptions)
    for target in sorted(_target(mode) for _ in range(min(left, _KILLS))):
        _wait(bot, here, asking, mode, target, hit)
        if _is_told(here, asking):
            break
        hit = _hit(bot, project.id, tally)
    while not _is_told(here, asking) and time.monotonic() - started < mode.patience:
        note_step(bot, project.id, hit)
        time.sleep(0.05)
    tally.seconds.append(round(time.monotonic() - started, 1))
    time.sleep(6)  # a round of polling more
    faults = _faults(here, asking, store)
    if mode.real:
        faults += faults_of_training(bot.run_of(project.id), tally.resumptions[before:], mode.steps)
    tally.faults += [f"{project.path}: {fault}" for fault in faults]
    if faults:
        sys.stderr.write(bot.log.read_text()[-20_000:])


def _target(mode: Mode) -> tuple[int, int]:
    """Draw the place of a stage, and of a training that is real a step: else most points would be in one."""
    stage = random.choice(mode.wanted)
    step = random.randint(0, mode.steps) if mode.real and stage is Stage.TRAIN else 0
    return _ORDER.index(stage), step


def _wait(
    bot: Bot,
    w: World,
    asking: StoredMergeRequest,
    mode: Mode,
    target: tuple[int, int],
    hit: Resumption | None,
) -> None:
    """Wait until a run is at its target, and a moment longer."""
    end = time.monotonic() + mode.patience
    while not _is_told(w, asking) and time.monotonic() < end:
        note_step(bot, w.project.id, hit)
        status = bot.status(w.project.id)
        if status is not None and _reached(status) >= target:
            break
        time.sleep(0.01)
    end = time.monotonic() + random.uniform(0, 2 if target[0] == _ORDER.index(Stage.TRAIN) else mode.pause)
    while time.monotonic() < end:
        note_step(bot, w.project.id, hit)
        time.sleep(0.01)


def _reached(status: RunStatus) -> tuple[int, int]:
    """Return the place of the stage, and how many steps of it are done."""
    return _ORDER.index(status.stage), status.done


def _hit(bot: Bot, project: int, tally: Tally) -> Resumption | None:
    """Kill what is drawn; return how training stood, if that was what was hit."""
    run, status = bot.run_of(project), bot.status(project)
    trainer = trainer_of(run) if run else None
    victim = random.choice(["bot", "trainer", "group"]) if trainer else "bot"
    tally.points += 1
    tally.victims[victim] += 1
    tally.stages[_stage(status)] += 1
    if trainer and victim == "trainer":
        kill_with_children(trainer)
    else:
        bot.kill(group=victim == "group")
        bot.start()
    if run is None or status is None or status.stage is not Stage.TRAIN or not trainer:
        return None
    begun = len(trainings_begun(run))
    tally.resumptions.append(Resumption(victim, status.done, newest_checkpoint(run), begun))
    return tally.resumptions[-1]


def _stage(status: RunStatus | None) -> str:
    return f"{status.stage}, {status.state}" if status else "not begun"


def _is_told(w: World, mr: StoredMergeRequest) -> bool:
    return any(marker.endswith("-result") for marker in _markers(w, mr))


def _markers(w: World, mr: StoredMergeRequest) -> list[str]:
    found = (marker_of(note.body) for note in tuple(mr.notes) if note.author is w.fake.bot)
    return [marker.id for marker in found if marker is not None and marker.kind is MarkerKind.TRAINING]


def _faults(w: World, mr: StoredMergeRequest, store: Store) -> list[str]:
    """Return what is wrong with a retraining that is over.

    The starter, where it fits the base, becomes champion first, so that a roll back returns to it.
    """
    markers, path = _markers(w, mr), w.project.path
    results = sum(marker.endswith("-result") for marker in markers)
    promoted = Counter(each.version for each in store.registry.history(path) if each.action is Action.PROMOTE)
    made = {each.version for each in store.registry.list_adapters(path)} - {_starter()}
    bodies = [note.body for note in mr.notes if note.author is w.fake.bot]
    counts = {
        "results told": (results, 1),
        "progress notes": (len(markers) - results, 1),
        "promotions": (sum(promoted[version] for version in made), 1),
        "promotions of the starter": (max(1, promoted[_starter()]), 1),
        "adapters": (len(made), 1),
        "notes of promotion": (sum("**Promoted.**" in body for body in bodies), 1),
    }
    return [f"{name}: {found}" for name, (found, wanted) in counts.items() if found != wanted]


def _starter() -> str:
    directory = starter_adapter()
    return load_adapter(directory).version if directory else ""


def _results(tally: Tally, mode: Mode, seed: int) -> dict[str, object]:
    trained = "Gemma 3 270M on the CPU" if mode.real else "a fake that takes seconds"
    resumed = [
        {name: value for name, value in asdict(each).items() if name != "begun"} for each in tally.resumptions
    ]
    return {
        "how": "SIGKILL of the bot, the trainer or the process group of both; the bot is then started again",
        "trained": trained,
        **({"steps": mode.steps} if mode.real else {}),
        "points": tally.points,
        "retrainings": tally.rounds,
        "victims": dict(tally.victims),
        "stages": dict(tally.stages),
        **({"trainings_hit": resumed} if mode.real else {}),
        "faults": tally.faults,
        "seconds_each": tally.seconds,
        "seed": seed,
        "machine": f"{platform.machine()}, {available_cpus()} CPUs, used by others as well",
        "python": platform.python_version(),
        "date": time.strftime("%Y-%m-%d"),
    }


if __name__ == "__main__":
    main()
