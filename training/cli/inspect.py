"""`tenken-train inspect`: what is in a file of review items."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from engine.errors import DataError, InputError
from engine.wire import Language

if TYPE_CHECKING:
    from training.history.stages import Broken
    from training.records import ReviewItem


def register(subcommands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the subcommand and its options."""
    parser = subcommands.add_parser(
        "inspect",
        help="report what is in a data file",
        description="Writes dataset.json, dataset.md and dataset.html: counts, lengths in tokens of the base "
        "model, languages, authors, duplicates, diversity, and words that look planted. Lines that cannot be "
        "read are counted.",
    )
    parser.add_argument("--data", type=Path, required=True, metavar="FILE", help="review JSONL, may be .gz")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="created if it is not there")
    parser.add_argument("--lang", type=Language, choices=list(Language), default=Language.EN)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Count and write the report; return the exit code."""
    from training.dataset import describe
    from training.dataset_report import write_report
    from training.history.stages import Broken

    broken = Broken()
    try:
        arguments.out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"--out {arguments.out}: {error.strerror}") from error
    dataset = describe(_items(arguments.data, broken), _token_counter())
    if not dataset.items:
        raise DataError(broken.errors[0] if broken.errors else f"{arguments.data}: no items")
    write_report(dataset, arguments.out, arguments.data.name, arguments.lang, broken.count)
    for reason in broken.errors[:3]:
        print(f"not read: {reason}")
    print(f"{dataset.items} items, {dataset.findings} findings, {broken.count} lines not read")
    print(arguments.out / "dataset.html")
    return 0


def _items(path: Path, broken: Broken) -> Iterator[ReviewItem]:
    from pydantic import ValidationError

    from training.jsonl import read_lines
    from training.records import ReviewItem, line_error

    for number, raw in read_lines(path):
        try:
            yield ReviewItem.model_validate_json(raw)
        except ValidationError as error:
            broken.add(line_error(path, number, error))


def _token_counter() -> Callable[[str], int]:
    from engine.finetune.base import hf_tokenizer
    from engine.models import base_model
    from engine.settings import load_settings

    settings = load_settings()
    directory = hf_tokenizer(base_model(settings.cache_dir, settings.model_path), settings.cache_dir)
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(directory / "tokenizer.json"))
    return lambda text: len(tokenizer.encode(text, add_special_tokens=False).ids)
