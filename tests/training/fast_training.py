"""`tenken-train retrain` without a model: training takes a moment a step, and what it makes finds every flaw.

All else is real: GitLab is read, files are made, measurements decide, adapters are packed, uploaded and
promoted. Run as a script it is the command itself, for tests that kill it.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "engine" / "store")]

from tiny_adapters import tiny_weights  # noqa: E402

from engine.adapters import CONFIG, WEIGHTS  # noqa: E402
from engine.finetune.callbacks import OnLog, OnStep, Step  # noqa: E402
from engine.finetune.record import ORIGIN, TrainingRun, read_run, write_run  # noqa: E402
from engine.finetune.rows import Row  # noqa: E402
from engine.finetune.settings import Backend, FinetuneSettings  # noqa: E402
from engine.runners import Runner  # noqa: E402
from engine.testing import FakeRunner, by_keyword, lora_config  # noqa: E402
from training.pipeline.learning import Lesson  # noqa: E402

BASE_SHA = "0" * 64
STEP_SECONDS = "FAST_TRAINING_STEP_SECONDS"
STEPS = 20
FLAW = "flaw"
SETTINGS = """\
[retrain]
min_new = 3
[curate]
author_free = 1000
author_share = 1.0
[split]
dev = 0.2
test = 0.4
similarity = 1.0
[train]
max_steps = 20
[measure]
samples = 50
write = false
probe_words = 2
probe_items = 2
[gate]
min_items = 1
"""


def fake_base(folder: Path) -> Path:
    """Return a directory that says of which base model it is."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / ORIGIN).write_text(json.dumps({"gguf_sha256": BASE_SHA}))
    return folder


def settle(
    base: Path, rows: Sequence[Row], validation: Sequence[Row], given: FinetuneSettings
) -> tuple[FinetuneSettings, float]:
    """Take the settings as they are."""
    return given, 1.0


def fast_train(lesson: Lesson, out: Path, on_log: OnLog, on_step: OnStep) -> TrainingRun:
    """Count to twenty, going on from the last count that was kept, and write an adapter."""
    if (done := read_run(out)) is not None:
        return done
    checkpoints = out / "checkpoints"
    checkpoints.mkdir(parents=True, exist_ok=True)
    first = max((int(path.name) for path in checkpoints.iterdir()), default=0)
    for step in range(first + 1, STEPS + 1):
        time.sleep(float(os.environ.get(STEP_SECONDS, "0")))
        on_log(step, {"loss": 2.0 / step, "epoch": step / STEPS})
        on_step(Step(step, STEPS, 1000.0, 0.0))
        if step % 5 == 0:
            (checkpoints / str(step)).touch()
            on_log(step, {"eval_loss": 2.1 / step})
    adapter = out / "adapter"
    adapter.mkdir(exist_ok=True)
    (adapter / CONFIG).write_text(json.dumps(lora_config(1)))
    (adapter / WEIGHTS).write_bytes(tiny_weights(2))
    run = TrainingRun(
        adapter=adapter, settings=lesson.settings, backend=Backend.TRL, base="fake", base_sha256=BASE_SHA,
        dtype="float32", data_fingerprint="f" * 64, rows=len(lesson.rows),
        validation_rows=0, dropped_too_long=0,
        steps=STEPS, best_step=None,
        tokens=1000, seconds=1.0, tokens_per_second=1000.0, history=((1, 2.0, None),),
        versions={}, device="cpu",
    )  # fmt: skip
    write_run(out, run)
    return run


def open_fast(adapter: Path | None) -> Runner:
    """Return a runner that finds every flaw if it has an adapter, and nothing without one."""
    found = by_keyword({FLAW: (" bug", 0.9)} if adapter else {})
    return FakeRunner(found, adapter=adapter.name if adapter else "")


def retrain_fast(words: Sequence[str], base_sha256: str = BASE_SHA) -> int:
    """Run the command with these words, for a base model with this hash; return its exit code."""
    from training.__main__ import main
    from training.cli import retrain
    from training.pipeline import learning

    global BASE_SHA
    BASE_SHA = base_sha256
    learning.train_here, learning.settle_here = fast_train, settle
    retrain.open_chosen = lambda chosen, adapter: open_fast(adapter)
    out = Path(words[words.index("--out") + 1])
    return main(["retrain", *words, "--base-dir", str(fake_base(out / "base"))])


if __name__ == "__main__":
    sys.exit(retrain_fast(sys.argv[1:]))
