"""What a project's history teaches: python -m tests.benchmarks.project_learning prepare|run|report.

`prepare` (CPU) marks the latest merge requests of each project's items as `dev` and draws starter items to
replay. `run` (one GPU, offline, minutes) trains, side by side, an adapter of each project's own comments and
one of the same comments shuffled, then measures them, the base and the starter on what was held out; every
measure is in raw.jsonl as soon as it is taken, so a run that is cut short leaves what it has. `report`
(CPU) adds the retriever, compares by merge request, and writes numbers and tables.

Trained on: the names given to `--train`. Measured on: these, and those given to `--measure-only`.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.benchmarks import project_learning_report, project_learning_work
from training.enrich import enrich
from training.history.settings import SplitSettings
from training.history.split import split
from training.records import ReviewItem, read_review_items, write_review_items

TRAIN, MEASURE_ONLY = ("armeria", "iceberg", "greengrass"), ("openhab", "nova")
_KEPT = {"pr", "date", "localisable"}
_HELD_OUT = 0.18
_POLL_SECONDS = 0.5


def main(argv: Sequence[str] | None = None) -> int:
    """Run a subcommand."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    subcommands = parser.add_subparsers(required=True)
    _prepare_options(subcommands.add_parser("prepare"))
    _run_options(subcommands.add_parser("run"))
    project_learning_work.add_options(subcommands.add_parser("work"))
    project_learning_report.add_options(subcommands.add_parser("report"))
    for subparser in subcommands.choices.values():
        subparser.add_argument("--train", nargs="+", default=list(TRAIN), metavar="NAME")
        subparser.add_argument("--measure-only", nargs="*", default=list(MEASURE_ONLY), metavar="NAME")
    arguments = parser.parse_args(argv)
    return int(arguments.run(arguments))


def _prepare_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--data", type=Path, required=True, help="has project_NAME_early.jsonl.gz, starter.jsonl.gz"
    )
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--replay", type=int, default=1500, help="starter items")
    parser.add_argument(
        "--measure-items", type=int, default=500, help="of a project that is only measured on"
    )
    parser.add_argument("--limit", type=int, help="the first N items of each project only, to try it out")
    parser.set_defaults(run=prepare)


def prepare(arguments: argparse.Namespace) -> int:
    """Write NAME.jsonl.gz for each project and replay.jsonl.gz."""
    arguments.out.mkdir(parents=True, exist_ok=True)
    for name in (*arguments.train, *arguments.measure_only):
        items = list(_split_items(arguments.data / f"project_{name}_early.jsonl.gz", arguments.limit))
        if name in arguments.measure_only:
            items = [item for item in items if item.split == "dev"][-arguments.measure_items :]
        write_review_items(arguments.out / f"{name}.jsonl.gz", items)
        held_out = [item for item in items if item.split == "dev"]
        requests = len({project_learning_report.request_of(item) for item in held_out})
        print(f"{name}: {len(items)} items, {len(held_out)} held out in {requests} merge requests")
    starter = [
        item
        for item in read_review_items(arguments.data / "starter.jsonl.gz")
        if item.split == "train" and item.tier != "human"
    ]
    drawn = random.Random(0).sample(starter, min(arguments.replay, len(starter)))
    write_review_items(arguments.out / "replay.jsonl.gz", enrich(drawn))
    return 0


def _split_items(path: Path, limit: int | None) -> Iterator[ReviewItem]:
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "source.jsonl"
        write_review_items(source, list(read_review_items(path))[:limit])
        split(source, Path(folder) / "split", SplitSettings(dev=_HELD_OUT, test=0))
        for item in read_review_items(Path(folder) / "split" / "items.jsonl"):
            more = {name: value for name, value in (item.model_extra or {}).items() if name in _KEPT}
            findings = tuple(_plain(finding.to_json()) for finding in item.findings)
            known = item.model_dump(include={"id", "diff", "path", "language", "source", "split"})
            yield ReviewItem.model_validate({**known, **more, "findings": findings})


def _plain(finding: dict[str, object]) -> dict[str, object]:
    return {name: finding[name] for name in ("line", "category", "severity", "message")}


def _run_options(parser: argparse.ArgumentParser) -> None:
    project_learning_work.add_shared_options(parser)
    parser.add_argument(
        "--seconds", type=float, default=195, help="for everything; what is not measured then is left out"
    )
    parser.add_argument("--gpus", type=int, default=1, help="the processes are dealt out to so many")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Start a process for what is not trained and for each training, and wait for all."""
    arguments.out.mkdir(parents=True, exist_ok=True)
    started, until = time.time(), time.time() + arguments.seconds
    jobs = ["frozen", *(f"{kind}:{name}" for name in arguments.train for kind in ("own", "shuffled"))]
    running = {job: _start(arguments, job, number, until) for number, job in enumerate(jobs)}
    codes: dict[str, int] = {}
    while running:
        time.sleep(_POLL_SECONDS)
        for job, process in list(running.items()):
            if (code := process.poll()) is not None:
                codes[job] = code
                del running[job]
                print(f"{job}: exit code {code} after {time.time() - started:.0f} s", flush=True)
            elif time.time() > until + 15:
                process.kill()
    print(json.dumps({"seconds": round(time.time() - started, 1), "exit_codes": codes}))
    return int(any(codes.values()))


def _start(arguments: argparse.Namespace, job: str, number: int, until: float) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "tests.benchmarks.project_learning", "work", "--job", job]
    command += ["--until", str(until)]
    for name in project_learning_work.SHARED:
        value = getattr(arguments, name)
        if value is not None:
            command += [f"--{name.replace('_', '-')}", str(value)]
    for name in ("train", "measure_only"):
        command += [f"--{name.replace('_', '-')}", *getattr(arguments, name)]
    environment = dict(os.environ)
    if arguments.gpus > 1:
        environment["CUDA_VISIBLE_DEVICES"] = str(number % arguments.gpus)
    with (arguments.out / f"{job.replace(':', '-')}.log").open("wb") as log:
        return subprocess.Popen(command, env=environment, stdout=log, stderr=subprocess.STDOUT)


if __name__ == "__main__":
    raise SystemExit(main())
