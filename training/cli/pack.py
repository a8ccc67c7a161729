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
        "checks that the result loads. With --adapter it does so for a finished one, such as a merged one.",
    )
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--run", type=Path, metavar="DIR", help="--out of sft", dest="training")
    source.add_argument(
        "--adapter", type=Path, metavar="DIR", help="an adapter, to be given new measurements"
    )
    parser.add_argument("--evaluation", type=Path, required=True, metavar="DIR", help="--out of evaluate")
    parser.add_argument(
        "--card", type=Path, metavar="FILE", help="model card, Markdown (default: made of the manifest)"
    )
    parser.add_argument("--name", required=True, help="of the adapter; its hash is added to it")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR")
    parser.add_argument("--lang", type=Language, action="append", choices=list(Language), help="repeatable")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Pack and print the adapter's version; return the exit code."""
    from training.pack import pack, repack

    evaluation, card, out, name = arguments.evaluation, arguments.card, arguments.out, arguments.name
    if arguments.adapter is not None:
        adapter = repack(arguments.adapter, evaluation, card, out, name=name)
    else:
        languages = arguments.lang or [Language.EN]
        adapter = pack(arguments.training, evaluation, card, out, name=name, languages=languages)
    print(f"{adapter.version}\n{adapter.path}")
    return 0
