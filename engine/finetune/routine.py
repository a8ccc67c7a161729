"""One training run, top to bottom: rows -> tokens -> training -> adapter, curve, and `run.json` last."""

from __future__ import annotations

import random
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.errors import DataError, ModelError
from engine.finetune import backend as backends
from engine.finetune import checkpoints, logs, record
from engine.finetune.backend import Loaded
from engine.finetune.callbacks import OnLog, OnStep, callbacks
from engine.finetune.curve import draw_losses
from engine.finetune.encoding import Encode, EncodedRow, encode_rows, fingerprint
from engine.finetune.processes import processes
from engine.finetune.record import TrainingRun
from engine.finetune.rows import Row
from engine.finetune.saving import save_adapter
from engine.finetune.settings import FinetuneSettings
from engine.finetune.shortage import told_of_shortage
from engine.finetune.trainer import build_trainer, plan_batches
from engine.prompts import END_OF_TURN

__all__ = ["TrainingRun", "finetune"]

CHECKPOINTS, ADAPTER, CURVE = "checkpoints", "adapter", "loss.png"


@told_of_shortage("lower batch_tokens, or set gradient_checkpointing or load_in_4bit")
def finetune(
    base: Path,
    train: Sequence[Row],
    validation: Sequence[Row],
    settings: FinetuneSettings,
    out: Path,
    *,
    resume: bool = False,
    on_log: OnLog = lambda step, values: None,
    on_step: OnStep = lambda step: None,
) -> TrainingRun:
    """Train a LoRA adapter on `base` and save it to `out`/adapter in PEFT's form, weights in bfloat16.

    With `patience`, the best step by validation loss is saved, else the last. With `resume`, a run that is
    finished is returned as it is, and another goes on from the newest intact checkpoint that the same rows
    and settings left in `out`; without, what an earlier run left there is deleted. Of several processes that
    call this with the same, the first writes. Raises DataError if no row fits, EngineError if a loss is no
    number or memory runs out, and the errors of `backend.load`.
    """
    among = processes()
    logs.prepare(settings.log_to, out)
    loaded = backends.load(base, settings)
    data = _encode(loaded.tokenizer, train, validation, settings)
    origin = record.base_sha256(base)
    if resume and (done := _finished(out, settings, data, origin)):
        return done
    if among.is_first:
        clear(out, keep_checkpoints=resume)
    run = record.run_id(settings, data.fingerprint, origin, among.count)
    start = checkpoints.newest(out / CHECKPOINTS, run) if resume else None

    batches = plan_batches(data.rows, settings, among)
    sizes = _step_sizes(data.rows, batches, settings.accumulation * among.count)
    epochs = sum(map(len, batches)) / len(data.rows)
    watchers = callbacks(on_log, settings, bool(data.validation), run, epochs, on_step, sizes)
    trainer = build_trainer(loaded, settings, data.rows, batches, data.validation, out, watchers, among)
    started = time.monotonic()
    trainer.train(resume_from_checkpoint=str(start) if start else None)
    seconds = time.monotonic() - started

    best = trainer.state.best_global_step if data.validation and settings.patience else None
    done = TrainingRun(
        adapter=out / ADAPTER,
        settings=settings,
        rows=len(data.rows),
        validation_rows=len(data.validation),
        dropped_too_long=data.too_long,
        data_fingerprint=data.fingerprint,
        best_step=best if best != trainer.state.global_step else None,
        **given(base, origin, loaded),
        **counts(trainer.state, sizes, start, seconds),
    )
    if among.is_first:
        save_adapter(loaded.model, out / ADAPTER)
        draw_losses(done.history, out / CURVE)
        record.write_run(out, done)
    return done


@dataclass(frozen=True, slots=True)
class _Data:
    rows: list[EncodedRow]
    validation: list[EncodedRow]
    too_long: int
    fingerprint: str


def split_off(rows: Sequence[Row], share: float, seed: int) -> tuple[list[Row], list[Row]]:
    """Return (rows to train on, rows to validate with), drawn at random under the seed.

    Rows with one prompt stay together: the one would give the other away.
    """
    prompts = list(dict.fromkeys(row.prompt for row in rows))
    random.Random(seed).shuffle(prompts)
    held = set(prompts[: round(len(prompts) * share)])
    return [row for row in rows if row.prompt not in held], [row for row in rows if row.prompt in held]


def _encode(
    tokenizer: Any, train: Sequence[Row], validation: Sequence[Row], settings: FinetuneSettings
) -> _Data:
    if not validation and settings.validation_share:
        train, validation = split_off(train, settings.validation_share, settings.seed)

    encode, (bos, end) = encoder(tokenizer), special_tokens(tokenizer)
    fit, held = (encode_rows(rows, encode, bos, end, settings.max_length) for rows in (train, validation))
    if not fit.rows:
        raise DataError(
            f"no row to train on: {fit.too_long} of {len(train)} are over {settings.max_length} tokens"
        )
    return _Data(fit.rows, held.rows, fit.too_long + held.too_long, fingerprint(fit.rows, held.rows))


def encoder(tokenizer: Any) -> Encode:
    """Return what makes tokens of texts."""

    def encode(texts: Sequence[str]) -> Sequence[Sequence[int]]:
        ids: list[list[int]] = tokenizer(list(texts), add_special_tokens=False, return_attention_mask=False)[
            "input_ids"
        ]
        return ids

    return encode


def special_tokens(tokenizer: Any) -> tuple[int, int]:
    """Return the tokens that begin a text and end a turn; raises ModelError for a vocabulary without them."""
    bos, end = tokenizer.bos_token_id, tokenizer.convert_tokens_to_ids(END_OF_TURN)
    if bos is None or end in (None, tokenizer.unk_token_id):
        raise ModelError(f"the model's vocabulary lacks a token that begins texts, or {END_OF_TURN}")
    return int(bos), int(end)


def _finished(out: Path, settings: FinetuneSettings, data: _Data, origin: str | None) -> TrainingRun | None:
    done = record.read_run(out)
    wanted = (settings, data.fingerprint, origin)
    return done if done and (done.settings, done.data_fingerprint, done.base_sha256) == wanted else None


def clear(out: Path, keep_checkpoints: bool) -> None:
    """Make `out` ready for a run: what an earlier one left there is not taken for its own."""
    (out / record.RUN).unlink(missing_ok=True)
    if not keep_checkpoints:
        shutil.rmtree(out / CHECKPOINTS, ignore_errors=True)
    out.mkdir(parents=True, exist_ok=True)


def given(base: Path, origin: str | None, loaded: Loaded) -> dict[str, Any]:
    """Return what a record says of the base and of what trained it."""
    return {
        "backend": loaded.backend,
        "base": base.name,
        "base_sha256": origin,
        "dtype": str(loaded.model.get_base_model().dtype).removeprefix("torch."),
        "versions": record.versions(loaded.backend),
        "device": record.device_name(),
    }


def _step_sizes(
    rows: Sequence[EncodedRow], batches: Sequence[Sequence[int]], batches_a_step: int
) -> list[int]:
    """Return the tokens of each step."""
    sizes = [sum(len(rows[index].input_ids) for index in batch) for batch in batches]
    return [sum(sizes[start : start + batches_a_step]) for start in range(0, len(sizes), batches_a_step)]


def counts(state: Any, sizes: Sequence[int], start: Path | None, seconds: float) -> dict[str, Any]:
    """Return what a record says of the steps. `sizes` are their tokens, `start` is the checkpoint before."""
    first, last = int(start.name.rpartition("-")[2]) if start else 0, int(state.global_step)
    return {
        "steps": last,
        "tokens": sum(sizes[:last]),
        "seconds": round(seconds, 3),
        "tokens_per_second": round(sum(sizes[first:last]) / max(seconds, 1e-9), 1),
        "history": record.history(state.log_history),
    }
