"""`tenken-train convert`: one data format into another."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from engine.errors import InputError

if TYPE_CHECKING:
    from training.formats.conversations import Conversation

REVIEW = "review"
FORMATS = ("alpaca", "sharegpt", "messages", "prompt-completion")


def register(subcommands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the subcommand and its options."""
    parser = subcommands.add_parser(
        "convert",
        help="turn one data format into another",
        description="Reads Alpaca, ShareGPT, messages, prompt/completion and review data, writes all but the "
        "last. A file is JSONL, or one JSON array if its name ends in .json. The first row that does not fit "
        "is an error that names line and field.",
    )
    parser.add_argument("--data", type=Path, required=True, metavar="FILE", help="may be .gz")
    parser.add_argument("--from", choices=[REVIEW, *FORMATS], dest="source", help="default: by its first row")
    parser.add_argument("--to", choices=FORMATS, required=True)
    parser.add_argument("--out", type=Path, required=True, metavar="FILE")
    parser.add_argument(
        "--split", choices=["train", "dev", "test"], help="of review data (default: all of it)"
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Convert, and say how much; return the exit code."""
    from training.formats.dialects import DIALECTS
    from training.formats.files import write_conversations

    try:
        arguments.out.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"--out {arguments.out}: {error.strerror}") from error
    count = write_conversations(arguments.out, _conversations(arguments), DIALECTS[arguments.to])
    print(f"{count} conversations\n{arguments.out}")
    return 0


def _conversations(arguments: argparse.Namespace) -> Iterator[Conversation]:
    from training.examples import ExampleSettings
    from training.formats.dialects import DIALECTS
    from training.formats.files import read_conversations, read_rows
    from training.formats.rows import review_conversations
    from training.records import read_review_items

    _, first = next(read_rows(arguments.data), (0, None))
    is_review = arguments.source == REVIEW or (
        arguments.source is None and isinstance(first, dict) and "diff" in first
    )
    if not is_review:
        return read_conversations(arguments.data, DIALECTS[arguments.source] if arguments.source else None)
    items = (item for item in read_review_items(arguments.data) if arguments.split in (None, item.split))
    return review_conversations(items, ExampleSettings())
