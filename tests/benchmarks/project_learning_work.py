"""One process of `project_learning run`: trains one adapter, or none, and measures on what was held out.

The line scores of a training come from items where the hunk goes on behind the comment (`localisable`), from
clean ones and from the starter's: elsewhere a comment stands at the hunk's end, which is all a model would
learn. Messages are learned from all of the project's comments.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import random
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from engine.adapters import starter_adapter
from engine.finetune.base import gguf_to_hf
from engine.finetune.routine import finetune
from engine.finetune.rows import Row
from engine.finetune.settings import Backend, FinetuneSettings
from engine.prompts import LABELS
from engine.runners import Cancellation, LikelihoodRunner, Runner, ScoreRequest
from engine.runners.torch_opening import TorchOptions, default_device, open_torch_directory
from engine.wire import Language
from training.controls import shuffle_comments
from training.examples import ExampleSettings, example_rows
from training.given import given_places, write_given
from training.likelihood import read_comments
from training.records import ReviewItem, read_review_items
from training.scoring import score_request

RAW = "raw.jsonl"
SHARED = (
    "data", "base", "out", "train_seconds", "epochs", "batch_tokens", "rank", "learning_rate", "line_items",
    "replay_items", "write_limit", "held_out_limit", "starter", "raw", "memory_gib", "limit",
    "probe_steps", "seed",
)  # fmt: skip
"""Options that every process of a run is given alike."""

_MARGIN = 0.9  # of the seconds for training, what the plan takes


def add_shared_options(parser: argparse.ArgumentParser) -> None:
    """Add what `run` and `work` have in common."""
    parser.add_argument("--data", type=Path, required=True, help="--out of prepare")
    parser.add_argument("--base", type=Path, required=True, help="Hugging Face directory or GGUF of the 270M")
    parser.add_argument("--out", type=Path, required=True, help="adapters and logs")
    parser.add_argument("--raw", type=Path, help="what is measured (default: OUT/raw.jsonl)")
    parser.add_argument("--train-seconds", type=float, default=80, help="for each training, side by side")
    parser.add_argument("--epochs", type=float, default=2, help="at most, if time allows")
    parser.add_argument("--batch-tokens", type=int, default=4096)
    parser.add_argument("--rank", type=int, default=16)
    parser.add_argument("--learning-rate", type=float, default=5e-4)
    parser.add_argument("--line-items", type=int, default=500, help="of the project, for line scores")
    parser.add_argument("--replay-items", type=int, default=400, help="of the starter, for line scores")
    parser.add_argument("--write-limit", type=int, default=120, help="comments written for each measure")
    parser.add_argument("--held-out-limit", type=int, help="of a project's held-out items, to try it out")
    parser.add_argument("--memory-gib", type=float, default=6, help="of the GPU, for measuring")
    parser.add_argument("--limit", type=int, help="of a project's training items, to try it out")
    parser.add_argument("--probe-steps", type=int, default=12, help="taken first, to see how many fit")
    parser.add_argument(
        "--starter", type=Path, default=starter_adapter(), help="the adapter that comes along"
    )
    parser.add_argument("--seed", type=int, default=0)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of one process."""
    add_shared_options(parser)
    parser.add_argument("--job", required=True, metavar="frozen|own:NAME|shuffled:NAME")
    parser.add_argument("--until", type=float, required=True, help="no measure begins after this time")
    parser.set_defaults(run=work)


def work(options: argparse.Namespace) -> int:
    """Do one process' part of the run."""
    kind, _, project = str(options.job).partition(":")
    base = _base(options)
    if kind == "frozen":
        _measure_all(options, base, [("base", None), ("starter", options.starter)], _projects(options, ""))
        return 0
    adapter = _train(options, base, kind, project)
    # Shuffled comments are a control of their own project alone.
    projects = _projects(options, project) if kind == "own" else [project]
    _measure_all(options, base, [(f"{kind}:{project}", adapter)], projects)
    return 0


def training_rows(options: argparse.Namespace, kind: str, project: str) -> list[Row]:
    """Return what a training of `kind` learns from, in the order of a seeded shuffle."""
    items = [item for item in _items(options, project) if item.split == "train"][: options.limit]
    if kind == "shuffled":
        items = shuffle_comments(items, options.seed)
    rng = random.Random(options.seed)
    with_place = [item for item in items if not item.findings or (item.model_extra or {}).get("localisable")]
    lines = rng.sample(with_place, min(options.line_items, len(with_place)))
    starter = list(read_review_items(options.data / "replay.jsonl.gz"))[: options.replay_items]
    settings = ExampleSettings(write_weight=0.5, japanese_share=0, seed=options.seed)
    rows = [
        *example_rows(items, replace(settings, tasks=frozenset({"write"}))),
        *example_rows([*lines, *starter], replace(settings, tasks=frozenset({"score"}))),
    ]
    rng.shuffle(rows)
    return rows


def _train(options: argparse.Namespace, base: Path, kind: str, project: str) -> Path:
    """Train what fits the time, its learning rate falling to 0 within it, and return the adapter."""
    rows, out = training_rows(options, kind, project), options.out / f"train-{kind}-{project}"
    settings = FinetuneSettings(
        backend=Backend.TRL, rank=options.rank, learning_rate=options.learning_rate, epochs=options.epochs,
        warmup_steps=10, dropout=0.05, batch_tokens=options.batch_tokens, eval_steps=100_000, log_steps=1,
        seed=options.seed,
    )  # fmt: skip
    settings, step_seconds = _probed(base, rows, settings, out, options.probe_steps)
    steps = max(1, int(_MARGIN * options.train_seconds / step_seconds))
    settings = settings.model_copy(update={"max_steps": steps, "max_seconds": options.train_seconds})
    done = finetune(base, rows, [], settings, out)
    about = {
        "rows": done.rows, "rows_too_long": done.dropped_too_long, "steps": done.steps, "tokens": done.tokens,
        "seconds": done.seconds, "step_seconds_probed": round(step_seconds, 3),
        "steps_that_fit": steps, "device": done.device, "versions": done.versions,
        "settings": done.settings.model_dump(mode="json"),
        "loss": [done.history[at][1] for at in range(0, len(done.history), max(1, len(done.history) // 20))],
    }  # fmt: skip
    _append(options, {"what": "training", "system": f"{kind}:{project}", **about})
    return done.adapter


def _probed(
    base: Path, rows: Sequence[Row], settings: FinetuneSettings, out: Path, steps: int
) -> tuple[FinetuneSettings, float]:
    """Return settings that fit the memory, and the seconds of a step beside the other trainings."""
    times: list[float] = []
    while True:
        times.clear()
        try:
            few = settings.model_copy(update={"max_steps": steps})
            finetune(base, rows, [], few, out, on_log=lambda step, values: times.append(time.monotonic()))
        except RuntimeError as error:
            if "out of memory" not in str(error) or settings.batch_tokens < 1024:
                raise
            print(f"out of memory with {settings.batch_tokens} tokens at once", flush=True)
        else:
            later = times[len(times) // 2 :]
            return settings, (later[-1] - later[0]) / max(len(later) - 1, 1)
        _free()
        halved = {"batch_tokens": settings.batch_tokens // 2, "accumulation": settings.accumulation * 2}
        settings = settings.model_copy(update=halved)


@dataclass(frozen=True, slots=True)
class _Measure:
    """One thing to measure of one system on one project's held-out items."""

    name: str
    take: Callable[[Runner, Sequence[ReviewItem]], Any]


def _measure_all(
    options: argparse.Namespace,
    base: Path,
    systems: Sequence[tuple[str, Path | None]],
    projects: Sequence[str],
) -> None:
    _free()
    for system, adapter in systems:
        with closing(_open(options, base, adapter)) as runner:
            for project in projects:
                items = [item for item in _items(options, project) if item.split == "dev"]
                for measure in _measures(options):
                    if time.time() > options.until:
                        print(f"no time for {measure.name} of {system} on {project}", flush=True)
                        continue
                    started = time.monotonic()
                    found = measure.take(runner, items[: options.held_out_limit])
                    row = {"system": system, "data": project, "what": measure.name, "found": found}
                    _append(options, row | {"seconds": round(time.monotonic() - started, 2)})


def _measures(options: argparse.Namespace) -> list[_Measure]:
    return [
        _Measure("likelihood", _likelihood),
        _Measure("lines", _lines),
        _Measure("texts", lambda runner, items: _texts(runner, items, options.write_limit)),
    ]


def _likelihood(runner: Runner, items: Sequence[ReviewItem]) -> list[tuple[int, float, int]]:
    """Each comment: the place of its item, the sum of negative logarithms (nats), its tokens."""
    if not isinstance(runner, LikelihoodRunner):
        raise TypeError(f"{type(runner).__name__} reads no given text")
    comments, _ = read_comments(runner, items, Language.EN)
    return [
        (place, round(comment.nll, 4), comment.tokens)
        for place, found in enumerate(comments)
        for comment in found
    ]


def _lines(runner: Runner, items: Sequence[ReviewItem]) -> list[tuple[int, list[float]]]:
    """Each item whose comment can be placed: its place, and 1 - P(ok) of each commentable line."""
    asked = [(place, score_request(item)) for place, item in enumerate(items) if is_placed(item)]
    requests: list[ScoreRequest] = [request for _, request in asked]
    found = dict(runner.score(requests, LABELS, Cancellation()))
    return [
        (place, [round(1 - row[0], 5) for row in found[number].probabilities])
        for number, (place, _) in enumerate(asked)
    ]


def is_placed(item: ReviewItem) -> bool:
    """Tell whether the item shows where its comment goes: the hunk does not end at it."""
    has_comment = any(findings for _, findings in item.anchors())
    return has_comment and bool((item.model_extra or {}).get("localisable"))


def _texts(runner: Runner, items: Sequence[ReviewItem], limit: int) -> list[str]:
    """What is said at each of `given_places`, in their order."""
    pairs, _ = write_given(runner, items, given_places(items, limit), Language.EN)
    return [pair.said for pair in pairs]


def _projects(options: argparse.Namespace, first: str) -> list[str]:
    """All projects, `first` before the next one it is a control of, then the others."""
    train = list(options.train)
    start = train.index(first) if first else 0
    return [*train[start:], *train[:start], *options.measure_only]


def _items(options: argparse.Namespace, project: str) -> list[ReviewItem]:
    return list(read_review_items(options.data / f"{project}.jsonl.gz"))


def _base(options: argparse.Namespace) -> Path:
    base: Path = options.base
    return base if base.is_dir() else gguf_to_hf(base, options.out / "base")


def _open(options: argparse.Namespace, base: Path, adapter: Path | None) -> Runner:
    device = default_device()
    precision: Any = "bfloat16" if device == "cuda" else "float32"
    chosen = TorchOptions(device, precision, adapters=1, rank=64, memory_gib=options.memory_gib)
    return open_torch_directory(base, chosen, adapter, adapter, adapter.name if adapter else "")


def _free() -> None:
    """Give what a training left to the processes beside this one."""
    import torch

    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def _append(options: argparse.Namespace, row: dict[str, Any]) -> None:
    """Add a row with one write, so that rows of processes side by side stay whole."""
    place = os.open(options.raw or options.out / RAW, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    try:
        os.write(place, (json.dumps(row, ensure_ascii=False) + "\n").encode())
    finally:
        os.close(place)


def rows_of(path: Path) -> Iterator[dict[str, Any]]:
    """Yield what a run left; a line that was cut off is left out."""
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            yield json.loads(line)
        except ValueError:
            print(f"{path}: a line was cut off")
