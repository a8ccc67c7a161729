"""`tenken-train sft`: fine-tune the base model on data files."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from engine.errors import InputError
from training.cli.arguments import weight

if TYPE_CHECKING:
    from training.train import Plan

_SHOWN = ("loss", "eval_loss", "learning_rate", "epoch")


def register(subcommands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the subcommand and its options."""
    parser = subcommands.add_parser(
        "sft",
        help="train an adapter",
        description="Trains a LoRA adapter on prompt/completion rows or review items (JSONL, told apart by "
        "their first row). Uses Unsloth where it is installed, else TRL and PEFT, on a GPU or a CPU.",
    )
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
    parser.add_argument(
        "--out", type=Path, required=True, metavar="DIR", help="adapter, checkpoints, run.json"
    )
    parser.add_argument("--settings", type=Path, metavar="FILE", help="TOML; see training/starter.toml")
    parser.add_argument("--validation", type=Path, metavar="FILE", help="instead of review items marked dev")
    parser.add_argument(
        "--base-dir",
        type=Path,
        metavar="DIR",
        help="Hugging Face directory (default: the embedded Gemma 3 270M)",
    )
    parser.add_argument(
        "--resume", action="store_true", help="go on from the newest intact checkpoint in --out"
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Train and say where the adapter is; return the exit code."""
    from engine.finetune.backend import choose_backend
    from training.train import train

    plan = _plan(arguments)
    choose_backend(plan.settings.backend)  # Unsloth, if it is to be used, must be the first to be imported
    result = train(plan, resume=arguments.resume, on_log=_print_log)
    print(f"{result.rows} rows ({result.dropped_too_long} too long, left out), {result.steps} steps, "
          f"{result.seconds:.0f} s with {result.backend.value}")  # fmt: skip
    print(result.adapter)
    return 0


def _plan(arguments: argparse.Namespace) -> Plan:
    from engine.finetune.settings import FinetuneSettings
    from training.examples import ExampleSettings
    from training.train import Plan, load_plan_settings

    if arguments.settings is None:
        settings, examples = FinetuneSettings(), ExampleSettings()
    else:
        settings, examples = load_plan_settings(arguments.settings)
    if arguments.weight and len(arguments.weight) != len(arguments.data):
        raise InputError(
            f"--weight is given {len(arguments.weight)} times, --data {len(arguments.data)} times: each file "
            "needs its own, or none has one"
        )
    base = arguments.base_dir or embedded_base()
    return Plan(
        arguments.data, base, arguments.out, settings, examples, arguments.validation, arguments.weight
    )


def embedded_base() -> Path:
    from engine.finetune.base import hf_base
    from engine.models import base_model
    from engine.settings import load_settings

    settings = load_settings()
    return hf_base(base_model(settings.cache_dir, settings.model_path), settings.cache_dir)


def _print_log(step: int, values: dict[str, float]) -> None:
    shown = [f"{name} {values[name]:.4g}" for name in _SHOWN if name in values]
    if shown:
        print(f"step {step}: {', '.join(shown)}", flush=True)
