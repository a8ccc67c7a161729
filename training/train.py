"""Data files -> a trained adapter, by `engine.finetune`. Decides what trains and what only validates."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from enum import Enum
from pathlib import Path
from typing import TypeVar

from pydantic import TypeAdapter, ValidationError

from engine.errors import ConfigError, DataError
from engine.finetune.callbacks import OnLog, OnStep
from engine.finetune.routine import TrainingRun, finetune
from engine.finetune.rows import Row, read_rows
from engine.finetune.settings import FinetuneSettings
from training.examples import ExampleSettings, example_rows
from training.formats.dialects import DIALECTS, detect
from training.formats.files import read_conversations
from training.formats.files import read_rows as read_json_rows
from training.formats.rows import text_rows
from training.records import read_review_items
from training.toml_settings import key_error, read_toml

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Plan:
    """One training: the settings file's two tables, the data, and where things are."""

    data: Sequence[Path]
    base: Path  # Hugging Face directory
    out: Path
    settings: FinetuneSettings
    examples: ExampleSettings
    validation: Path | None = None
    weights: Sequence[float] = ()  # of the files, in their order; none: each is used once


def train(
    plan: Plan,
    *,
    resume: bool = False,
    on_log: OnLog = lambda step, values: None,
    on_step: OnStep = lambda step: None,
) -> TrainingRun:
    """Train on all data files and return the run. Raises DataError naming file, line and field."""
    rows, held_out = read_plan_rows(plan.data, plan.examples, plan.weights, plan.validation)
    plan.out.mkdir(parents=True, exist_ok=True)
    return finetune(
        plan.base, rows, held_out, plan.settings, plan.out, resume=resume, on_log=on_log, on_step=on_step
    )


def read_plan_rows(
    data: Sequence[Path], examples: ExampleSettings, weights: Sequence[float], validation: Path | None
) -> tuple[list[Row], list[Row]]:
    """Return (rows to train on, rows to validate with), the latter out of `validation` if it is given."""
    rows, held_out = read_training_rows(data, examples, weights)
    if validation is not None:
        held_out = [row for part in read_training_rows([validation], examples) for row in part]
    return rows, held_out


def read_training_rows(
    paths: Sequence[Path], examples: ExampleSettings, weights: Sequence[float] = ()
) -> tuple[list[Row], list[Row]]:
    """Return (rows to train on, rows to validate with) of all files.

    Prompt/completion rows and conversations of other formats (`training.formats`) all train. Review items
    train unless they are marked `dev`, whose line scores validate, or `test`, which are left alone.
    `weights` are how often a file's items or rows are used (see `weighted`); what validates is used once.
    """
    rows: list[Row] = []
    held_out: list[Row] = []
    for number, (path, weight) in enumerate(zip(paths, weights or [1.0] * len(paths), strict=True)):
        rng = random.Random(f"{examples.seed} {number}")
        kind = kind_of_data(path)
        if kind is not DataKind.REVIEW:
            found = read_rows(path) if kind is DataKind.ROWS else conversation_rows(path)
            rows += _used(path, list(found), weight, rng)
            continue
        items = list(read_review_items(path))
        training = [item for item in items if item.split in (None, "train")]
        rows += example_rows(_used(path, training, weight, rng), examples)
        only_scores = replace(examples, tasks=frozenset({"score"}), passes=1)
        held_out += example_rows([item for item in items if item.split == "dev"], only_scores)
    return rows, held_out


def weighted(values: list[T], weight: float, rng: random.Random) -> list[T]:
    """Return each value as often as the whole part of `weight` says, and a drawn share of them once more."""
    drawn = round((weight - int(weight)) * len(values))
    places = sorted(rng.sample(range(len(values)), drawn))
    return values * int(weight) + [values[place] for place in places]


def _used(path: Path, values: list[T], weight: float, rng: random.Random) -> list[T]:
    used = weighted(values, weight, rng)
    if values and not used:
        raise DataError(f"{path}: a weight of {weight:g} draws none of its {len(values)} items or rows")
    return used


class DataKind(Enum):
    """What a data file holds."""

    REVIEW = "review items"
    ROWS = "training rows"
    CONVERSATIONS = "conversations"


def kind_of_data(path: Path) -> DataKind:
    """Tell by its first row what a file holds; raises DataError if that is nothing known."""
    _, first = next(read_json_rows(path), (1, None))
    if isinstance(first, dict):
        if "diff" in first:
            return DataKind.REVIEW
        if isinstance(first.get("prompt"), str) and path.suffix != ".json":
            return DataKind.ROWS
        if detect(first) is not None:
            return DataKind.CONVERSATIONS
    raise DataError(
        f"{path}, line 1: neither a review item (`diff`) nor a training row (`prompt`), and of no format of "
        f"conversations ({', '.join(DIALECTS)})"
    )


def conversation_rows(path: Path) -> Iterator[Row]:
    """Yield the rows of a file in a format of conversations."""
    for conversation in read_conversations(path):
        yield from text_rows(conversation)


def load_plan_settings(path: Path) -> tuple[FinetuneSettings, ExampleSettings]:
    """Return the settings of a TOML file: FinetuneSettings, and its table `examples` for review data.

    Raises ConfigError naming the file and the key.
    """
    table = read_toml(path)
    examples = table.pop("examples", {})
    try:
        unknown = set(examples) - {field.name for field in fields(ExampleSettings)}
        if unknown:
            raise ConfigError(f"{path}: examples.{min(unknown)}: unknown key")
        return FinetuneSettings.model_validate(table), TypeAdapter(ExampleSettings).validate_python(examples)
    except ValidationError as error:
        raise key_error(path, error) from error
