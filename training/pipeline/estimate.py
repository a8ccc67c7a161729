"""How long a run takes, before it begins: by the speeds of the project's last run here, or by usual ones."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from engine.finetune.rows import LabelRow, Row
from engine.finetune.settings import FinetuneSettings
from training.history.stages import write_json

SPEEDS = "speeds.json"
_CHARACTERS = 3.2  # to a token of code and prose, about
_CPU_TOKENS, _GPU_TOKENS = 180.0, 20_000.0
_CPU_ITEM, _GPU_ITEM = 2.5, 0.05


class Speeds(BaseModel):
    """How fast this machine is at this."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    train_tokens_per_second: float = Field(gt=0)
    evaluate_seconds_per_item: float = Field(gt=0)

    @classmethod
    def usual(cls, *, gpu: bool) -> Speeds:
        """Return those of the 270M on two CPU cores, or what any GPU reaches."""
        tokens, item = (_GPU_TOKENS, _GPU_ITEM) if gpu else (_CPU_TOKENS, _CPU_ITEM)
        return cls(train_tokens_per_second=tokens, evaluate_seconds_per_item=item)

    @classmethod
    def load(cls, history: Path, *, gpu: bool) -> Speeds:
        """Return what the last run measured, else the usual ones."""
        try:
            return cls.model_validate_json((history / SPEEDS).read_bytes())
        except (OSError, ValidationError):
            return cls.usual(gpu=gpu)

    def save(self, history: Path) -> None:
        """Keep them for the next run."""
        write_json(history / SPEEDS, self.model_dump())


def training_seconds(rows: Iterable[Row], settings: FinetuneSettings, speeds: Speeds) -> float:
    """Return how long training on `rows` takes, if nothing stops it early."""
    tokens = sum(map(_characters, rows)) / _CHARACTERS * settings.epochs
    if settings.max_steps > 0:
        tokens = min(tokens, settings.max_steps * settings.accumulation * settings.batch_tokens)
    seconds = tokens / speeds.train_tokens_per_second
    return min(seconds, settings.max_seconds) if settings.max_seconds else seconds


def evaluation_seconds(items: int, speeds: Speeds) -> float:
    """Return how long measuring candidate, base and champion takes."""
    return 3 * items * speeds.evaluate_seconds_per_item


def _characters(row: Row) -> int:
    if isinstance(row, LabelRow):
        return len(row.prompt) + sum(len(block.text) for block in row.blocks)
    return len(row.prompt) + len(row.suffix) + len(row.completion)
