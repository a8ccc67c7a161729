"""`tenken-train plan`: what a training would do, and what it would take."""

from __future__ import annotations

import argparse
import json

from engine.wire import Language
from training.cli.sft import add_data_options, add_plan_options, read_plan


def register(subcommands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the subcommand and its options."""
    parser = subcommands.add_parser(
        "plan",
        help="say what training would take",
        description="Counts the data and prints the settings that fit it and the card, each with its reason, "
        "and memory and time to expect. Trains nothing.",
    )
    add_data_options(parser)
    add_plan_options(parser)
    parser.add_argument(
        "--processes",
        type=int,
        choices=range(1, 65),
        metavar="N",
        default=1,
        help="that `accelerate launch` is to start, one for each card (default: 1)",
    )
    parser.add_argument("--json", action="store_true", help="for another program")
    parser.set_defaults(run=run, preset=True)


def run(arguments: argparse.Namespace) -> int:
    """Print the plan; return the exit code."""
    from training.cli.plans import show_plan

    plan = read_plan(arguments, arguments.processes).outlook
    if arguments.json:
        print(json.dumps(plan.to_json(), indent=1))
    else:
        show_plan(plan, Language(arguments.lang))
    return 0
