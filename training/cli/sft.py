"""`tenken-train sft`: fine-tune the base model on data files."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from engine.errors import InputError
from engine.exits import ExitCode
from engine.wire import Language
from training.cli.arguments import weight

if TYPE_CHECKING:
    from engine.finetune.cards import Card
    from engine.finetune.rows import Row
    from engine.finetune.settings import FinetuneSettings
    from training.examples import ExampleSettings
    from training.plan import TrainingPlan

HERE, CPU = "here", "cpu"
_GB = ("12", "16", "24", "40", "80")


@dataclass(frozen=True, slots=True)
class Outlook:
    """Everything that a training needs, read and planned."""

    base: Path
    rows: Sequence[Row]
    validation: Sequence[Row]
    outlook: TrainingPlan


def register(subcommands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the subcommand and its options."""
    parser = subcommands.add_parser(
        "sft",
        help="train an adapter",
        description="Trains a LoRA adapter on prompt/completion rows or review items (JSONL, told apart by "
        "their first row). Uses Unsloth where it is installed, else TRL and PEFT, on a GPU or a CPU. Without "
        "--settings they are chosen by card and data, see `plan`. On a terminal it asks before it trains.",
    )
    add_data_options(parser)
    parser.add_argument(
        "--out", type=Path, required=True, metavar="DIR", help="adapter, checkpoints, run.json"
    )
    add_plan_options(parser)
    parser.add_argument(
        "--preset",
        action="store_true",
        help="choose also what --settings leaves open, instead of the defaults",
    )
    parser.add_argument("--yes", action="store_true", help="do not ask")
    parser.add_argument(
        "--resume", action="store_true", help="go on from the newest intact checkpoint in --out"
    )
    parser.set_defaults(run=run)


def add_data_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that say what is trained on."""
    parser.add_argument(
        "--data", type=Path, action="append", required=True, metavar="FILE", help="repeatable"
    )
    parser.add_argument(
        "--weight",
        type=weight,
        action="append",
        default=[],
        metavar="X",
        help="how often the --data file at the same place is used: 2 twice, 0.3 a drawn part (default: 1)",
    )
    parser.add_argument("--validation", type=Path, metavar="FILE", help="instead of review items marked dev")
    parser.add_argument("--settings", type=Path, metavar="FILE", help="TOML; see training/starter.toml")
    add_base_option(parser)


def add_base_option(parser: argparse.ArgumentParser) -> None:
    """Add the option that says what is trained."""
    parser.add_argument(
        "--base-dir",
        type=Path,
        metavar="DIR",
        help="Hugging Face directory (default: the embedded Gemma 3 270M)",
    )


def add_plan_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of planning."""
    parser.add_argument(
        "--card",
        choices=[HERE, CPU, *_GB],
        default=HERE,
        help="what it is planned for: this machine, a CPU, or a card of so many GB (default: here)",
    )
    parser.add_argument("--lang", type=Language, choices=list(Language), default=Language.EN)


def run(arguments: argparse.Namespace) -> int:
    """Train and say where the adapter is; return the exit code."""
    from engine.finetune.backend import choose_backend
    from engine.finetune.processes import leave_the_others, processes
    from engine.finetune.routine import finetune
    from training.cli.live import watching
    from training.cli.plans import agreed, show_plan

    among = processes()
    first, read = among.is_first, read_plan(arguments, among.count)
    if first:
        show_plan(read.outlook, arguments.lang, to_error=True)
        if not (arguments.yes or agreed(arguments.lang)):
            return _declined(arguments.lang)
    settings = read.outlook.settings
    choose_backend(settings.backend)  # Unsloth, if it is to be used, must be the first to be imported
    with watching(quiet=not first) as watch:
        result = finetune(
            read.base,
            read.rows,
            read.validation,
            settings,
            arguments.out,
            resume=arguments.resume,
            on_log=watch.on_log,
            on_step=watch.on_step,
        )
    leave_the_others()
    if first:
        print(f"{result.rows} rows ({result.dropped_too_long} too long, left out), {result.steps} steps, "
              f"{result.seconds:.0f} s with {result.backend.value}")  # fmt: skip
        print(result.adapter)
    return 0


def read_plan(arguments: argparse.Namespace, processes: int) -> Outlook:
    """Read the data and plan its training in so many processes.

    Raises InputError or EngineError saying what is wrong.
    """
    from training.plan import make_plan
    from training.train import read_plan_rows

    given, examples = read_settings(arguments.settings)
    if arguments.weight and len(arguments.weight) != len(arguments.data):
        raise InputError(
            f"--weight is given {len(arguments.weight)} times, --data {len(arguments.data)} times: each file "
            "needs its own, or none has one"
        )
    base = arguments.base_dir or embedded_base()
    rows, validation = read_plan_rows(arguments.data, examples, arguments.weight, arguments.validation)
    preset = arguments.preset or arguments.settings is None
    card = _card(arguments.card)
    plan = make_plan(base, rows, validation, card, given, preset=preset, processes=processes)
    return Outlook(base, rows, validation, plan)


def read_settings(path: Path | None) -> tuple[FinetuneSettings | None, ExampleSettings]:
    """Return the settings of a file, and those of examples; none and the usual ones without a file."""
    from training.examples import ExampleSettings
    from training.train import load_plan_settings

    return load_plan_settings(path) if path is not None else (None, ExampleSettings())


def embedded_base() -> Path:
    """Return the directory of the embedded base model, converted if need be."""
    from engine.finetune.base import hf_base
    from engine.models import base_model
    from engine.settings import load_settings

    settings = load_settings()
    return hf_base(base_model(settings.cache_dir, settings.model_path), settings.cache_dir)


def _card(name: str) -> Card:
    from engine.finetune.cards import card_here, cpu, usual_card

    if name == HERE:
        return card_here()
    return cpu() if name == CPU else usual_card(int(name))


def _declined(language: Language) -> int:
    from training.plan_texts import TEXTS

    print(TEXTS[language].declined, file=sys.stderr)
    return ExitCode.INTERRUPTED
