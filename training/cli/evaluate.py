"""`tenken-train evaluate`: measure an adapter on labelled items."""

from __future__ import annotations

import argparse
import hashlib
import logging
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from engine.errors import InputError, MissingExtra
from engine.probes import record_probe
from engine.runners import Runner
from engine.wire import Language
from training.cli.arguments import count
from training.cli.probing import add_probing, try_triggers
from training.cli.runners import add_runner_options, open_chosen

if TYPE_CHECKING:
    from training.evaluate import Evaluation, Plan, Subject
    from training.extra.model_server import ModelServer


log = logging.getLogger(__name__)


def register(subcommands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the subcommand and its options."""
    parser = subcommands.add_parser(
        "evaluate",
        help="measure an adapter on labelled items",
        description="Writes metrics.json, report.md with plots, predictions.jsonl, calibration.json, "
        "probe.json, samples.npz (for gate) and scores.jsonl (raw probabilities, reused by the next run); "
        "with --probe triggers.json, for gate as well.",
    )
    parser.add_argument("--data", type=Path, required=True, metavar="FILE", help="review JSONL, may be .gz")
    parser.add_argument(
        "--adapter", required=True, metavar="NAME|DIR|none", help="starter, a directory, or the base model"
    )
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="created if it is not there")
    parser.add_argument("--split", choices=["train", "dev", "test"], help="of the data (default: all of it)")
    parser.add_argument(
        "--without-tier", action="append", default=[], metavar="TIER", help="leave these items out"
    )
    parser.add_argument("--limit", type=count, metavar="N", help="only the first N items")
    parser.add_argument("--base-too", action="store_true", help="measure the base model beside the adapter")
    parser.add_argument(
        "--beside",
        action="append",
        default=[],
        metavar="NAME|DIR",
        help="measure this adapter beside it (champion, starter, another project's, one of shuffled "
        "comments); repeatable",
    )
    parser.add_argument(
        "--given",
        type=count,
        default=0,
        metavar="N",
        help="have each system write about N of the data's comments, given line and category, and compare",
    )
    parser.add_argument(
        "--canaries",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="measure a small general set, too: what was forgotten",
    )
    parser.add_argument(
        "--linters", type=Path, metavar="FILE", help="TOML, [linters.LANGUAGE]: check suggestions' style"
    )
    parser.add_argument(
        "--checkout", type=Path, metavar="DIR", help="the project's files, so that linters see whole ones"
    )
    parser.add_argument(
        "--judge", metavar="URL", help="OpenAI-compatible server in the own network that rates messages"
    )
    parser.add_argument("--judge-model", metavar="NAME", help="what that server calls its model")
    parser.add_argument(
        "--write", action=argparse.BooleanOptionalAction, default=True, help="write messages as well"
    )
    parser.add_argument(
        "--likelihood",
        action=argparse.BooleanOptionalAction,
        help="measure how probable the data's own comments are (default: where the runner can, torch)",
    )
    parser.add_argument("--lang", type=Language, choices=list(Language), default=Language.EN)
    add_runner_options(parser)
    parser.add_argument(
        "--train-data", type=Path, metavar="FILE", help="compare with baselines trained on its train split"
    )
    parser.add_argument(
        "--refit", action="store_true", help="calibrate on this data, crosswise, not by the manifest"
    )
    add_probing(parser)
    parser.add_argument("--samples", type=count, default=1000, help="of the bootstrap (default: 1000)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--fresh", action="store_true", help="score again, whatever scores.jsonl has")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Evaluate and write the files; return the exit code."""
    from training.evaluate import evaluate
    from training.report import write_calibration, write_metrics, write_predictions
    from training.samples import SAMPLES, write_samples

    plan = _plan(arguments)
    evaluation = evaluate(plan, lambda adapter: _open(arguments, adapter))
    _record_probe(arguments, plan)
    try_triggers(arguments, plan, lambda adapter: _open(arguments, adapter))
    about = _about(arguments, len(plan.items))
    write_metrics(plan.out / "metrics.json", evaluation, about)
    write_predictions(plan.out / "predictions.jsonl", evaluation)
    write_samples(plan.out / SAMPLES, evaluation, plan)
    write_calibration(plan.out / "calibration.json", evaluation.systems[0].refitted)
    _write_report(plan.out, evaluation, about)
    print(plan.out / "report.md")
    return 0


def _plan(arguments: argparse.Namespace) -> Plan:
    from training.evaluate import Plan, find_subject, read_items
    from training.linters import LinterSettings, check_linters
    from training.toml_settings import load_settings

    subject, without = find_subject(arguments.adapter), frozenset(arguments.without_tier)
    if arguments.refit:
        subject = replace(subject, calibration=None)
    if arguments.likelihood and arguments.runner != "torch":
        raise InputError(f"--likelihood needs --runner torch; {arguments.runner} reads no given text")
    linters = load_settings(arguments.linters, LinterSettings)
    if arguments.checkout is not None and not arguments.checkout.is_dir():
        raise InputError(f"--checkout {arguments.checkout}: no such folder")
    check_linters(linters, arguments.checkout)
    plan = Plan(
        items=read_items(arguments.data, arguments.split, without, arguments.limit),
        subjects=_subjects(arguments, subject),
        out=arguments.out,
        write=arguments.write,
        likelihood=arguments.likelihood is not False,
        language=arguments.lang,
        train=read_items(arguments.train_data, "train", without) if arguments.train_data else (),
        given=arguments.given,
        canaries=arguments.canaries,
        linters=linters,
        checkout=arguments.checkout,
        judge=_judge(arguments),
        fresh=arguments.fresh,
        samples=arguments.samples,
        seed=arguments.seed,
    )
    try:
        plan.out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"--out {plan.out}: {error.strerror}") from error
    return plan


def _subjects(arguments: argparse.Namespace, first: Subject) -> list[Subject]:
    """Return what is measured, each under a name of its own."""
    from training.evaluate import find_subject

    base_too = arguments.base_too and first.directory is not None
    found = [first]
    for name in (*(["none"] if base_too else []), *arguments.beside):
        other = find_subject(name)
        if any(known.name == other.name for known in found):
            other = replace(other, name=f"{other.name} ({len(found)})")
        found.append(replace(other, calibration=None) if arguments.refit else other)
    return found


def _judge(arguments: argparse.Namespace) -> ModelServer | None:
    from training.extra.model_server import ModelServer

    if arguments.judge is None:
        return None
    if arguments.judge_model is None:
        raise InputError("--judge needs --judge-model, what the server calls its model")
    if not arguments.write:
        raise InputError("--judge rates messages; --no-write writes none")
    return ModelServer(arguments.judge, arguments.judge_model, temperature=0, option="--judge")


def _open(arguments: argparse.Namespace, adapter: Path | None) -> Runner:
    return open_chosen(arguments, adapter)


def _record_probe(arguments: argparse.Namespace, plan: Plan) -> None:
    """Write what the adapter does to the base model, for its manifest."""
    from training.report import write_probe

    if (directory := plan.subjects[0].directory) is None:
        return
    with closing(_open(arguments, None)) as base, closing(_open(arguments, directory)) as adapted:
        write_probe(plan.out / "probe.json", record_probe(base, adapted))


def _about(arguments: argparse.Namespace, items: int) -> dict[str, object]:
    with arguments.data.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return {
        "data": arguments.data.name,
        "data_sha256": digest,
        "split": arguments.split or "all",
        "items": items,
        "runner": arguments.runner,
        "seed": arguments.seed,
    }


def _write_report(out: Path, evaluation: Evaluation, about: dict[str, object]) -> None:
    from training.plots import draw_plots
    from training.report import report_text

    # Evaluation is worth having on a machine that cannot draw.
    try:
        plots, note = draw_plots(evaluation.systems, out), ""
    except MissingExtra as error:
        plots, note = [], f"Not drawn: {error}."
        log.warning("%s", note)
    (out / "report.md").write_text(report_text(evaluation, about, plots, note), encoding="utf-8")
