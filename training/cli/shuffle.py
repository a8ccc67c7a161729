"""`tenken-train shuffle`: a data file with its comments shuffled over its hunks, to train a control on."""

from __future__ import annotations

import argparse
from pathlib import Path

from engine.errors import InputError


def register(subcommands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the subcommand and its options."""
    parser = subcommands.add_parser(
        "shuffle",
        help="shuffle comments over hunks, for a control",
        description="Gives each comment of training items the place of another. An adapter trained on the "
        "result knows how a team talks but not about what; a gain over it is more than style.",
    )
    parser.add_argument("--data", type=Path, required=True, metavar="FILE", help="review JSONL, may be .gz")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="the same, shuffled")
    parser.add_argument("--seed", type=int, default=0)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Shuffle and write; return the exit code."""
    from training.controls import shuffle_comments
    from training.records import read_review_items, write_review_items

    items = shuffle_comments(list(read_review_items(arguments.data)), arguments.seed)
    try:
        write_review_items(arguments.out, items)
    except OSError as error:
        raise InputError(f"--out {arguments.out}: {error.strerror}") from error
    moved = sum(len(item.findings) for item in items if item.split in (None, "train"))
    print(f"{moved} comments shuffled\n{arguments.out}")
    return 0
