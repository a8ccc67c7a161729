"""The same `tenken-train sft` by several ways, one after the other, on real data and real weights, as JSON.

    python -m tests.benchmarks.sft_ways DATA.jsonl.gz FOLDER --ways trl,trl-compiled,unsloth --out RESULT.json
    python -m tests.benchmarks.sft_ways DATA.jsonl.gz FOLDER --ways trl,trl-2 --batches 2 --out RESULT.json

A way is a backend, `-compiled` for fused layers, `-2` for as many processes (and devices) under `accelerate
launch`. All train the embedded Gemma 3 270M on the same rows with as many tokens a step: what one process
accumulates, two share. Unlike `unsloth_against_trl` this counts what a user waits for, compilation too.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from engine.finetune.cards import card_here
from engine.finetune.record import read_run
from tests.benchmarks.machine import describe_machine

_PACKAGES = ("torch", "transformers", "peft", "trl", "accelerate", "unsloth", "unsloth_zoo", "triton")
_SETTINGS = """\
backend = "{backend}"
compile_layers = {compiled}
rank = 16
learning_rate = 5e-4
warmup_steps = 20
epochs = 100
max_steps = {steps}
batch_tokens = {tokens}
accumulation = {accumulation}
eval_steps = {validate}
log_steps = 5
seed = 0

[examples]
passes = {passes}
"""


def main() -> None:
    """Train by each way, and write down what came of it as soon as it ends."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--ways", default="trl,trl-compiled,unsloth")
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--tokens", type=int, default=16384, help="of a batch, padded")
    parser.add_argument("--batches", type=int, default=1, help="of a step, over all processes")
    parser.add_argument("--passes", type=int, default=2)
    parser.add_argument("--limit", type=float, default=200, help="seconds for each way")
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    card = card_here()
    result: dict[str, Any] = {
        "what": "tenken-train sft of the real Gemma 3 270M; seconds include loading and compilation",
        "machine": describe_machine(_PACKAGES),
        "card": card.name,
        **{name: getattr(arguments, name) for name in ("steps", "tokens", "batches", "passes")},
        "data": arguments.data.name,
        "ways": {},
    }
    for way in arguments.ways.split(","):
        result["ways"][way] = trained(way, arguments)
        arguments.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
        print(f"{way}: {json.dumps(result['ways'][way])}", flush=True)


def trained(way: str, arguments: argparse.Namespace) -> dict[str, Any]:
    """Train by one way; return its figures, or why there are none."""
    backend, *marks = way.split("-")
    processes = next((int(mark) for mark in marks if mark.isdecimal()), 1)
    folder, settings = arguments.folder / way, arguments.folder / f"{way}.toml"
    settings.write_text(
        _SETTINGS.format(
            backend=backend,
            compiled=str("compiled" in marks).lower(),
            steps=arguments.steps,
            tokens=arguments.tokens,
            accumulation=arguments.batches // processes,
            validate=max(arguments.steps // 2, 1),
            passes=arguments.passes,
        )
    )
    launch = ["-m"]
    if processes > 1:
        launch = ["-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", str(processes), "-m"]
    command = [sys.executable, *launch, "training", "sft", "--yes", "--data", str(arguments.data)]
    command += ["--settings", str(settings), "--out", str(folder)]
    log = arguments.folder / f"{way}.log"
    began = time.monotonic()
    with log.open("w") as said:
        try:
            code = subprocess.run(command, stdout=said, stderr=said, timeout=arguments.limit).returncode
        except subprocess.TimeoutExpired:
            code = -1
    seconds = round(time.monotonic() - began, 1)
    run = read_run(folder) if code == 0 else None
    if run is None:
        last = log.read_text(errors="replace").strip().splitlines()[-3:]
        why = "not ready in time" if code == -1 else f"ended with {code}"
        return {"failed": f"{why}: {' | '.join(last)[-600:]}", "seconds": seconds}
    return {
        "seconds": seconds,
        "training_seconds": round(run.seconds, 1),
        "steps": run.steps,
        "tokens": run.tokens,
        "tokens_per_second": round(run.tokens_per_second),
        "backend": run.backend,
        "device": run.device,
        "validation": [(step, round(loss, 4)) for step, _, loss in run.history if loss is not None],
        "training": [(step, round(loss, 4)) for step, loss, _ in run.history if loss is not None],
    }


if __name__ == "__main__":
    main()
