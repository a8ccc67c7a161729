"""`tenken-train benchmark`: make a benchmark of a project's history, or run one."""

from __future__ import annotations

import argparse
import json
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from engine.errors import InputError
from engine.runners import Runner
from engine.wire import Language
from training.cli.arguments import count
from training.cli.runners import add_runner_options, open_chosen

if TYPE_CHECKING:
    from training.benchmark.score import Result


def register(subcommands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the subcommand and its options."""
    parser = subcommands.add_parser(
        "benchmark",
        help="make a benchmark of the project's history, or run one",
        description="Without --run: makes tasks of held-out reviews (--data) and of a clone's bug fixes and "
        "documented functions (--clone), and writes them to --out. With --run DIR: has a model do them and "
        "writes benchmark.json, benchmark.md and answers.jsonl to --out. A benchmark that was changed is "
        "refused, so results of different days can be compared.",
    )
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="created if it is not there")
    make = parser.add_argument_group("to make one")
    make.add_argument("--data", type=Path, metavar="FILE", help="review JSONL with a held-out split")
    make.add_argument("--split", choices=["dev", "test"], default="test", help="of the data (default: test)")
    make.add_argument("--clone", type=Path, metavar="DIR", help="git repository of the project")
    make.add_argument("--since", default="", metavar="DATE", help="only fixes from then on, as git reads it")
    make.add_argument("--reviews", type=int, default=300, metavar="N", help="at most")
    make.add_argument("--fixes", type=int, default=100, metavar="N", help="at most")
    make.add_argument("--functions", type=int, default=100, metavar="N", help="at most")
    do = parser.add_argument_group("to run one")
    do.add_argument("--run", type=Path, metavar="DIR", dest="benchmark", help="--out of the making")
    do.add_argument("--adapter", metavar="NAME|DIR|none", help="starter, a directory, or the base model")
    do.add_argument(
        "--write", action=argparse.BooleanOptionalAction, default=True, help="write messages and code, too"
    )
    do.add_argument("--lang", type=Language, choices=list(Language), default=Language.EN)
    do.add_argument("--samples", type=count, default=1000, help="of the bootstrap (default: 1000)")
    do.add_argument("--fresh", action="store_true", help="score again, whatever is known")
    add_runner_options(do)  # type: ignore[arg-type]
    parser.add_argument("--seed", type=int, default=0)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Make or run the benchmark; return the exit code."""
    try:
        arguments.out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"--out {arguments.out}: {error.strerror}") from error
    return _make(arguments) if arguments.benchmark is None else _run(arguments)


def _make(arguments: argparse.Namespace) -> int:
    from training.benchmark.build import Sources, build

    if arguments.data is None and arguments.clone is None:
        raise InputError("a benchmark is made of --data, of --clone or of both; --run runs one")
    for name in ("reviews", "fixes", "functions"):
        if getattr(arguments, name) < 0:
            raise InputError(f"--{name}: a number from 0 on")
    sources = Sources(
        data=arguments.data,
        split=arguments.split,
        clone=arguments.clone,
        since=arguments.since,
        reviews=arguments.reviews,
        fixes=arguments.fixes,
        functions=arguments.functions,
        seed=arguments.seed,
    )
    manifest = build(sources, arguments.out)
    print(", ".join(f"{number} {kind}" for kind, number in manifest.counts.items()))
    print(arguments.out)
    return 0


def _run(arguments: argparse.Namespace) -> int:
    from training.benchmark.score import Attempt, run_benchmark
    from training.benchmark.tasks import read_manifest
    from training.evaluate import find_subject, scorer_of
    from training.jsonl import JsonlWriter

    if arguments.adapter is None:
        raise InputError("--run needs --adapter: starter, a directory, or none for the base model")
    manifest = read_manifest(arguments.benchmark)
    subject = find_subject(arguments.adapter)
    with closing(_open(arguments, subject.directory)) as runner:
        attempt = Attempt(
            arguments.benchmark,
            arguments.out,
            scorer_of(runner, subject),
            subject.calibration,
            arguments.lang,
            arguments.write,
            arguments.samples,
            arguments.seed,
            arguments.fresh,
        )
        result = run_benchmark(attempt, runner)
        base = runner.base_model
    about = {
        "system": subject.name,
        "base": base,
        "runner": arguments.runner,
        "language": arguments.lang.value,
    }
    document = {
        "format": 1,
        **about,
        "benchmark": manifest.model_dump(mode="json", exclude={"counts"}),
        "counts": result.counts,
        "measures": {kind: {name: asdict(value) for name, value in found.items()}
                     for kind, found in result.measures.items()},
    }  # fmt: skip
    (arguments.out / "benchmark.json").write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    (arguments.out / "benchmark.md").write_text(_report(about, result), encoding="utf-8")
    with JsonlWriter(arguments.out / "answers.jsonl") as writer:
        for answer in result.answers:
            writer.write(answer)
    print(arguments.out / "benchmark.md")
    return 0


def _open(arguments: argparse.Namespace, adapter: Path | None) -> Runner:
    return open_chosen(arguments, adapter)


def _report(about: dict[str, str], result: Result) -> str:
    from training.report import MEASURES
    from training.tables import estimate_table

    names = MEASURES | _NAMES
    parts = [
        f"# Benchmark of {about['system']}",
        "\n".join(f"- {name}: {value}" for name, value in about.items()),
    ]
    for kind, found in result.measures.items():
        parts += [f"## {result.counts[kind]} {kind}", estimate_table(found, names)]
    return "\n\n".join(parts) + "\n"


_NAMES = {
    "told_apart": "bug more suspicious than its fix (at random 0.5)",
    "repair_given": "bugs of one line for which something is suggested",
    "repair_exact": "suggestions that are the fix",
    "repair_chrf": "chrF of suggestion and fix",
    "code_nll": "NLL a token of documented functions, nats",
    "code_chrf": "chrF of written functions",
    "code_valid": "written functions as well-formed as the project's",
}
