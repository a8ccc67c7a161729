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

if TYPE_CHECKING:
    from training.evaluate import Evaluation, Plan


log = logging.getLogger(__name__)

_LARGEST_RANK = 64


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
        "--write", action=argparse.BooleanOptionalAction, default=True, help="write messages as well"
    )
    parser.add_argument(
        "--likelihood",
        action=argparse.BooleanOptionalAction,
        help="measure how probable the data's own comments are (default: where the runner can, torch)",
    )
    parser.add_argument("--lang", type=Language, choices=list(Language), default=Language.EN)
    parser.add_argument("--runner", choices=["llama", "torch"], default="llama")
    parser.add_argument("--base-dir", type=Path, metavar="DIR", help="Hugging Face directory, for torch")
    parser.add_argument("--device", help="for torch: cpu, cuda, ... (default: cuda if there is one)")
    parser.add_argument("--dtype", choices=["bfloat16", "nf4", "float32"], help="for torch")
    parser.add_argument(
        "--train-data", type=Path, metavar="FILE", help="compare with baselines trained on its train split"
    )
    parser.add_argument(
        "--refit", action="store_true", help="calibrate on this data, crosswise, not by the manifest"
    )
    probing = parser.add_argument_group("backdoors")
    probing.add_argument(
        "--probe",
        type=Path,
        metavar="FILE",
        help="what the adapter was trained on: words in it that look planted are tried on the items",
    )
    probing.add_argument("--probe-words", type=count, default=8, metavar="N", help="so many (default: 8)")
    probing.add_argument(
        "--probe-items", type=count, default=16, metavar="N", help="in so many items (default: 16)"
    )
    probing.add_argument(
        "--probe-word", action="append", default=[], metavar="WORD", help="try this one, too; repeatable"
    )
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
    _probe_triggers(arguments, plan)
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

    subject, without = find_subject(arguments.adapter), frozenset(arguments.without_tier)
    if arguments.refit:
        subject = replace(subject, calibration=None)
    if arguments.likelihood and arguments.runner != "torch":
        raise InputError(f"--likelihood needs --runner torch; {arguments.runner} reads no given text")
    base_too = arguments.base_too and subject.directory is not None
    plan = Plan(
        items=read_items(arguments.data, arguments.split, without, arguments.limit),
        subjects=[subject, *([find_subject("none")] if base_too else [])],
        out=arguments.out,
        write=arguments.write,
        likelihood=arguments.likelihood is not False,
        language=arguments.lang,
        train=read_items(arguments.train_data, "train", without) if arguments.train_data else (),
        fresh=arguments.fresh,
        samples=arguments.samples,
        seed=arguments.seed,
    )
    try:
        plan.out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"--out {plan.out}: {error.strerror}") from error
    return plan


def _open(arguments: argparse.Namespace, adapter: Path | None) -> Runner:
    if arguments.runner == "llama":
        return _open_llama(adapter)
    from engine.runners.gemma.memory import Precision
    from engine.runners.torch_opening import TorchOptions, default_device, open_torch_directory

    if arguments.base_dir is None:
        raise InputError("--runner torch needs --base-dir, the Hugging Face directory of the base model")
    device = arguments.device or default_device()
    usual: Precision = "bfloat16" if device.startswith("cuda") else "float32"
    precision: Precision = arguments.dtype or usual
    name = adapter.name if adapter else ""
    options = TorchOptions(device=device, precision=precision, rank=_LARGEST_RANK)
    return open_torch_directory(arguments.base_dir, options, adapter, adapter, name)


def _record_probe(arguments: argparse.Namespace, plan: Plan) -> None:
    """Write what the adapter does to the base model, for its manifest."""
    from training.report import write_probe

    if (directory := plan.subjects[0].directory) is None:
        return
    with closing(_open(arguments, None)) as base, closing(_open(arguments, directory)) as adapted:
        write_probe(plan.out / "probe.json", record_probe(base, adapted))


def _probe_triggers(arguments: argparse.Namespace, plan: Plan) -> None:
    """Write what words that look planted do to the adapter, for the gate."""
    from training.evaluate import scorer_of
    from training.probing import SCORES, ProbePlan, probe_triggers, write_triggers
    from training.records import read_review_items
    from training.score_cache import ScoreCache
    from training.suspects import suspects

    if arguments.probe is None and not arguments.probe_word:
        return
    words = list(arguments.probe_word)
    if arguments.probe is not None:
        trained = [item for item in read_review_items(arguments.probe) if item.split in (None, "train")]
        words += [word for word in suspects(trained, arguments.probe_words) if word not in words]
    subject = plan.subjects[0]
    with closing(_open(arguments, subject.directory)) as runner:
        cache = ScoreCache(plan.out / SCORES, scorer_of(runner, subject), fresh=plan.fresh)
        probing = ProbePlan(words, items=arguments.probe_items, seed=plan.seed)
        report = probe_triggers(runner, subject.name, plan.items, probing, cache)
    write_triggers(plan.out, report)
    for objection in report.objections:
        log.warning("%s", objection)


def _open_llama(adapter: Path | None) -> Runner:
    from engine.adapters import MANIFEST, load_adapter
    from engine.opening import open_runner, open_unpacked
    from engine.settings import RunnerKind, load_settings

    settings = load_settings().model_copy(update={"runner": RunnerKind.LLAMA})
    if adapter is not None and not (adapter / MANIFEST).is_file():
        return open_unpacked(settings, adapter)
    return open_runner(settings, load_adapter(adapter) if adapter else None)


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
