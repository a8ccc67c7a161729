"""Whether preference tuning carries over to texts that it has not seen, with the real model, as JSON.

    python -m tests.benchmarks.preference_carries_over DATA FOLDER --out RESULT.json

DATA is review JSONL with the splits train and dev. A team is made up that accepts what is said of bugs and of
security, and rejects what is said of anything else: short items of both kinds, some to train on and some to
try it on. Its peer is the starter adapter as it was.
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from engine.findings import Category
from engine.finetune.record import read_run
from tests.benchmarks.machine import describe_machine, load_average
from training.records import ReviewItem, read_review_items, write_review_items

STARTER = Path(__file__).parents[2] / "engine" / "starter"
ACCEPTED = frozenset({Category.BUG, Category.SECURITY})
_PACKAGES = ("torch", "transformers", "peft", "trl")
_SETTINGS = """\
epochs = {epochs}
learning_rate = {rate}
warmup_steps = 2
batch_rows = 8
replay_tokens = 512
save_steps = 50
log_steps = 2
"""


def main() -> None:
    """Make the data, tune, and write down what became of it."""
    parser = argparse.ArgumentParser(description="Measure whether preference tuning carries over.")
    parser.add_argument("data", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--train", type=int, default=24, help="texts of each kind to train on")
    parser.add_argument("--dev", type=int, default=16, help="texts of each kind to try it on")
    parser.add_argument("--longest", type=int, default=500, help="characters of a diff")
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--rate", type=float, default=2e-4)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    machine = describe_machine(_PACKAGES)
    data = arguments.folder / "judged.jsonl"
    write_review_items(data, judged(read_review_items(arguments.data), arguments))
    settings = arguments.folder / "prefer.toml"
    settings.write_text(_SETTINGS.format(epochs=arguments.epochs, rate=arguments.rate), encoding="utf-8")
    started = time.monotonic()
    subprocess.run(
        [sys.executable, "-m", "training", "prefer", "--data", data, "--adapter", STARTER,
         "--out", arguments.folder / "run", "--settings", settings], check=True,
    )  # fmt: skip
    run = read_run(arguments.folder / "run")
    assert run is not None
    assert run.preference is not None
    found = {
        "what": "nats a token of held-out messages, before and after; scores: nats a label of line scores",
        "team": f"accepts {', '.join(sorted(ACCEPTED))}; rejects the rest",
        "held_out_of_each": arguments.dev,
        "longest_diff": arguments.longest,
        **run.preference.model_dump(mode="json", exclude={"run"}),
        "seconds": round(time.monotonic() - started),
        "peak_mib": resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024,
        "machine": {**machine, "load_average_at_end": load_average()},
    }
    text = f"{json.dumps(found, indent=2)}\n"
    print(text, end="")
    if arguments.out:
        arguments.out.write_text(text, encoding="utf-8")


def judged(items: Iterator[ReviewItem], arguments: argparse.Namespace) -> Iterator[ReviewItem]:
    """Yield items with one finding each, which is accepted or rejected by its category."""
    shown = [item for item in items if len(item.findings) == 1 and len(item.diff) < arguments.longest]
    drawn = random.Random(7).sample(shown, len(shown))
    left = {(split, good): getattr(arguments, split) for split in ("train", "dev") for good in (True, False)}
    for item in drawn:
        (finding,) = item.findings
        kind = (item.split or "", finding.category in ACCEPTED)
        if left.get(kind, 0):
            left[kind] -= 1
            yield item.model_copy(
                update={"findings": (finding.model_copy(update={"label": "accepted"}),)}
                if kind[1]
                else {"findings": (), "rejected": [finding.to_json()]}
            )


if __name__ == "__main__":
    main()
