"""`tenken-train pack`: make an adapter directory of a training run and its evaluation."""

from __future__ import annotations

import argparse
from pathlib import Path

from engine.wire import Language


def register(subcommands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the subcommand and its options."""
    parser = subcommands.add_parser(
        "pack",
        help="make an adapter of a run and its evaluation",
        description="Copies the weights, writes calibration, threshold and scores into the manifest, and "
        "checks that the result loads.",
    )
    parser.add_argument(
        "--run", type=Path, required=True, metavar="DIR", help="--out of sft", dest="training"
    )
    parser.add_argument("--evaluation", type=Path, required=True, metavar="DIR", help="--out of evaluate")
    parser.add_argument("--card", type=Path, required=True, metavar="FILE", help="model card, Markdown")
    parser.add_argument("--name", required=True, help="of the adapter; its hash is added to it")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR")
    parser.add_argument("--lang", type=Language, action="append", choices=list(Language), help="repeatable")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Pack and print the adapter's version; return the exit code."""
    from training.pack import pack

    languages = arguments.lang or [Language.EN]
    adapter = pack(
        arguments.training,
        arguments.evaluation,
        arguments.card,
        arguments.out,
        name=arguments.name,
        languages=languages,
    )
    print(f"{adapter.version}\n{adapter.path}")
    return 0
