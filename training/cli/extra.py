"""`tenken-train extra`: more supervised data out of a project's rules and code."""

from __future__ import annotations

import argparse
from pathlib import Path

from engine.errors import InputError
from training.cli.arguments import count

KINDS = ("prose", "functions", "flaws")


def register(subcommands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the subcommand and its options."""
    parser = subcommands.add_parser(
        "extra",
        help="make more data of a project's rules and code",
        description="prose: questions about the wiki and the rules; functions: documentation -> code; flaws: "
        "items whose flaw a model of the own network made up. Writes conversations.jsonl (messages) and "
        "flaws.jsonl (review items).",
    )
    parser.add_argument("--data", type=Path, required=True, metavar="DIR", help="--out of redact or curate")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="created if it is not there")
    parser.add_argument("--kind", choices=KINDS, action="append", required=True, help="repeatable")
    parser.add_argument(
        "--server", default="", metavar="URL", help="for flaws: OpenAI-compatible, ends in /v1"
    )
    parser.add_argument("--model", default="", help="for flaws: its name there")
    parser.add_argument("--flaws", type=count, default=200, metavar="N", help="at most (default: 200)")
    parser.add_argument("--seed", type=int, default=0)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Make the data; return the exit code."""
    from training.cli.history import show
    from training.extra.model_server import ModelServer
    from training.extra.stage import ExtraSettings, Kind, make_extra
    from training.history.stages import RECORDS

    kinds = tuple(Kind(kind) for kind in dict.fromkeys(arguments.kind))
    if Kind.FLAWS in kinds and not (arguments.server and arguments.model):
        raise InputError("--kind flaws needs --server and --model")
    settings = ExtraSettings(
        kinds=kinds,
        flaws=arguments.flaws,
        seed=arguments.seed,
        server=arguments.server,
        model=arguments.model,
    )
    server = ModelServer(arguments.server, arguments.model) if Kind.FLAWS in kinds else None
    show(make_extra(arguments.data / RECORDS, arguments.out, settings, server), arguments.out)
    return 0
