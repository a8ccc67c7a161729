"""One training run, top to bottom: rows -> tokens -> training -> adapter directory, manifest last."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.errors import DataError
from engine.finetune import backend as backends
from engine.finetune.rows import EncodedRow, Row, encode_rows
from engine.finetune.settings import Backend, FinetuneSettings


@dataclass(frozen=True, slots=True)
class TrainingRun:
    """What a run did. Losses are nats a label; `history` holds (step, train loss or None, validation loss or None)."""

    adapter: Path
    backend: Backend
    rows: int
    dropped_too_long: int
    tokens: int
    steps: int
    seconds: float
    history: tuple[tuple[int, float | None, float | None], ...]


def finetune(
    base: Path,
    train: Sequence[Row],
    validation: Sequence[Row],
    settings: FinetuneSettings,
    out: Path,
    *,
    resume: bool = False,
    on_log: Callable[[int, dict[str, float]], None] = lambda step, values: None,
) -> TrainingRun:
    """Train a LoRA adapter on `base` and save it to `out`/adapter in PEFT's form, weights in bfloat16.

    With `resume`, goes on from the newest intact checkpoint in `out`. Raises DataError if no row fits, and the
    errors of `backend.load`.
    """
    loaded = backends.load(base, settings)
    rows, held_out, dropped = _encode(loaded.tokenizer, train, validation, settings)
    from engine.finetune import checkpoints, trainer

    history = History(on_log)
    run = trainer.build_trainer(
        loaded.model, loaded.tokenizer, loaded.backend, settings, rows, held_out, out,
        callbacks=checkpoints.callbacks(history.record, settings.patience if held_out else 0, settings.max_seconds),
    )  # fmt: skip
    started = time.monotonic()
    result = run.train(resume_from_checkpoint=checkpoints.newest(out / "checkpoints") if resume else None)
    seconds = time.monotonic() - started
    adapter = checkpoints.save_adapter(loaded.model, out / "adapter")
    tokens = sum(len(row.input_ids) for row in rows)
    return TrainingRun(
        adapter,
        loaded.backend,
        len(rows),
        dropped,
        tokens,
        int(result.global_step),
        seconds,
        tuple(history.points),
    )


class History:
    """Collects the losses that the trainer logs."""

    def __init__(self, on_log: Callable[[int, dict[str, float]], None]) -> None:
        self.points: list[tuple[int, float | None, float | None]] = []
        self._on_log = on_log

    def record(self, step: int, values: dict[str, float]) -> None:
        if "loss" in values or "eval_loss" in values:
            self.points.append((step, values.get("loss"), values.get("eval_loss")))
        self._on_log(step, values)


def _encode(
    tokenizer: Any, train: Sequence[Row], validation: Sequence[Row], settings: FinetuneSettings
) -> tuple[list[EncodedRow], list[EncodedRow], int]:
    from engine.prompts import END_OF_TURN

    def encode(text: str) -> list[int]:
        ids: list[int] = tokenizer(text, add_special_tokens=False)["input_ids"]
        return ids

    end = tokenizer.convert_tokens_to_ids(END_OF_TURN)
    fit = encode_rows(train, encode, tokenizer.bos_token_id, end, settings.max_length)
    held = encode_rows(validation, encode, tokenizer.bos_token_id, end, settings.max_length)
    rows, held_out = fit.rows, held.rows
    if not held_out and settings.validation_share:
        rows, held_out = split_off(rows, settings.validation_share, settings.seed)
    if not rows:
        raise DataError(
            f"no row fits: {fit.too_long} of {fit.too_long} are over {settings.max_length} tokens"
        )
    return rows, held_out, fit.too_long + held.too_long


def split_off(
    rows: Sequence[EncodedRow], share: float, seed: int
) -> tuple[list[EncodedRow], list[EncodedRow]]:
    """Return (rows to train on, rows to validate with), drawn at random under the seed."""
    order = list(range(len(rows)))
    random.Random(seed).shuffle(order)
    held = set(order[: round(len(rows) * share)])
    return [r for i, r in enumerate(rows) if i not in held], [r for i, r in enumerate(rows) if i in held]
