"""`tenken-train prefer`: tune an adapter on what people accepted and rejected."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from training.cli.sft import add_base_option, embedded_base

if TYPE_CHECKING:
    from engine.finetune.record import Likelihoods


def register(subcommands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the subcommand and its options."""
    parser = subcommands.add_parser(
        "prefer",
        help="tune an adapter on accepted and rejected findings",
        description="KTO on top of an adapter: what the team accepted becomes more probable, what it "
        "rejected less. Line scores are trained along, so that the adapter does not forget where findings "
        "go. Reads review items as `label` writes them. Runs on TRL and PEFT.",
    )
    parser.add_argument(
        "--data", type=Path, action="append", required=True, metavar="FILE", help="review JSONL; repeatable"
    )
    parser.add_argument(
        "--adapter", type=Path, required=True, metavar="DIR", help="what it begins with: adapter/ of sft"
    )
    parser.add_argument(
        "--out", type=Path, required=True, metavar="DIR", help="adapter, checkpoints, run.json"
    )
    parser.add_argument(
        "--settings", type=Path, metavar="FILE", help="TOML: beta, learning_rate, epochs, replay_weight, ..."
    )
    add_base_option(parser)
    parser.add_argument(
        "--resume", action="store_true", help="go on from the newest intact checkpoint in --out"
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Tune, and say what came of it; return the exit code."""
    from engine.finetune.preference import prefer
    from engine.finetune.settings import PreferenceSettings
    from training.cli.live import watching
    from training.examples import ExampleSettings
    from training.preferences import read_judged
    from training.toml_settings import load_settings

    settings = load_settings(arguments.settings, PreferenceSettings)
    train, held_out = read_judged(arguments.data, ExampleSettings())
    with watching() as watch:
        done = prefer(
            arguments.base_dir or embedded_base(),
            arguments.adapter,
            train,
            held_out,
            settings,
            arguments.out,
            resume=arguments.resume,
            on_log=watch.on_log,
            on_step=watch.on_step,
            on_phase=lambda phase: print(f"{phase} ...", flush=True),
        )
    found = done.preference
    assert found is not None
    texts = f"{found.accepted} accepted and {found.rejected} rejected texts"
    print(f"{texts}, {done.steps} steps, {done.seconds:.0f} s")
    print(f"nats a token on {'held-out' if found.held_out else 'the training'} texts, before -> after:")
    for name in ("accepted", "rejected", "scores"):
        print(f"  {name:<9} {_change(found.before, found.after, name)}")
    print(done.adapter)
    return 0


def _change(before: Likelihoods, after: Likelihoods, name: str) -> str:
    old, new = getattr(before, name), getattr(after, name)
    return "-" if old is None else f"{old:.4f} -> {new:.4f}"
