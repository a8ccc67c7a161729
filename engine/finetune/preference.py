"""Preference tuning, top to bottom: an adapter and judged texts -> an adapter that prefers what was wanted.

KTO on top of a trained adapter: texts that people accepted become more probable, rejected ones less, and
leaving the given adapter is paid for. Comment training alone makes a model forget where findings go, so line
scores are trained along (`replay`), and what became of them is measured before and after.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.errors import DataError, EngineError
from engine.finetune import backend as backends
from engine.finetune import checkpoints, logs, record
from engine.finetune.backend import Loaded
from engine.finetune.batches import cut_batches, training_batches
from engine.finetune.callbacks import OnLog, OnStep, callbacks
from engine.finetune.curve import draw_losses
from engine.finetune.encoding import EncodedRow, encode_rows, fingerprint
from engine.finetune.judged import JudgedRow, JudgedTokens, judged_order, judged_tokens
from engine.finetune.loss import label_nll
from engine.finetune.preference_trainer import build_preference_trainer
from engine.finetune.processes import processes
from engine.finetune.record import Likelihoods, PreferenceRecord, TrainingRun
from engine.finetune.routine import ADAPTER, CHECKPOINTS, CURVE, clear, counts, encoder, given, special_tokens
from engine.finetune.rows import Row
from engine.finetune.saving import save_adapter
from engine.finetune.settings import FinetuneSettings, PreferenceSettings
from engine.finetune.shortage import told_of_shortage
from engine.finetune.trainer import collate

_MEASURED_TOKENS = 8192  # of a batch while measuring

OnPhase = Callable[[str], None]
"""Called with what begins, before and after the steps: on a CPU each takes minutes."""


@dataclass(frozen=True, slots=True)
class Judged:
    """What is tuned on, or measured with: judged texts, and line scores that are to stay as they are."""

    texts: Sequence[JudgedRow]
    scores: Sequence[Row] = ()


@dataclass(frozen=True, slots=True)
class _Tokens:
    accepted: list[EncodedRow]
    rejected: list[EncodedRow]
    scores: list[EncodedRow]
    too_long: int

    @property
    def judged(self) -> list[JudgedTokens]:
        pairs = [(row, True) for row in self.accepted] + [(row, False) for row in self.rejected]
        return [judged_tokens(row, accepted) for row, accepted in pairs]


@told_of_shortage("lower batch_rows and replay_tokens, or set gradient_checkpointing")
def prefer(
    base: Path,
    adapter: Path,
    train: Judged,
    held_out: Judged,
    settings: PreferenceSettings,
    out: Path,
    *,
    resume: bool = False,
    on_log: OnLog = lambda step, values: None,
    on_step: OnStep = lambda step: None,
    on_phase: OnPhase = lambda phase: None,
) -> TrainingRun:
    """Tune `adapter` of `base` on what was judged and save it to `out`/adapter, in the form of `finetune`.

    Likelihoods before and after are measured on what is held out, or where nothing is, on what was trained.
    `resume` as in `finetune`. Raises DataError if there is too little of either side.
    """
    if processes().count > 1:
        raise EngineError("preference tuning runs in one process")
    logs.prepare(settings.log_to, out)
    loaded = backends.load_adapter(base, adapter, settings.seed)
    data, held = (_encode(loaded.tokenizer, part, settings) for part in (train, held_out))
    _require_both(data, settings)
    measured = held if held.accepted and held.rejected else data
    origin = record.base_sha256(base)
    data_fingerprint = fingerprint(data.accepted, data.rejected, data.scores)
    run = record.preference_id(settings, data_fingerprint, origin, adapter)
    if resume and (done := record.read_run(out)) and done.preference and done.preference.run == run:
        return done
    clear(out, keep_checkpoints=resume)
    start = checkpoints.newest(out / CHECKPOINTS, run) if resume else None

    on_phase("measuring the adapter as it is")
    before = _likelihoods(loaded, measured)
    judged, replay = data.judged, _replay(data.scores, settings)
    order = judged_order(
        [row.accepted for row in judged], settings.batch_rows, settings.epochs, settings.seed
    )
    sizes = _step_sizes([judged[index] for index in order], data.scores, replay, settings)
    limits = FinetuneSettings(max_seconds=settings.max_seconds)
    watchers = callbacks(on_log, limits, False, run, settings.epochs, on_step, sizes)
    on_phase("reading all texts with it")
    trainer = build_preference_trainer(loaded, settings, judged, order, data.scores, replay, out, watchers)
    started = time.monotonic()
    trainer.train(resume_from_checkpoint=str(start) if start else None)
    seconds = time.monotonic() - started

    save_adapter(loaded.model, out / ADAPTER)
    on_phase("measuring the tuned adapter")
    done = TrainingRun(
        adapter=out / ADAPTER,
        settings=record.adapter_settings(adapter),
        preference=PreferenceRecord(
            run=run,
            settings=settings,
            accepted=len(data.accepted),
            rejected=len(data.rejected),
            held_out=measured is held,
            before=before,
            after=_likelihoods(loaded, measured),
        ),
        rows=len(judged) + len(data.scores),
        validation_rows=len(held.accepted) + len(held.rejected),
        dropped_too_long=data.too_long + held.too_long,
        data_fingerprint=data_fingerprint,
        best_step=None,
        **given(base, origin, loaded),
        **counts(trainer.state, sizes, start, seconds),
    )
    draw_losses(done.history, out / CURVE)
    record.write_run(out, done)
    return done


def _encode(tokenizer: Any, part: Judged, settings: PreferenceSettings) -> _Tokens:
    encode, (bos, end) = encoder(tokenizer), special_tokens(tokenizer)
    sides = [[one.row for one in part.texts if one.accepted is side] for side in (True, False)]
    accepted, rejected, scores = (
        encode_rows(rows, encode, bos, end, settings.max_length) for rows in (*sides, part.scores)
    )
    too_long = accepted.too_long + rejected.too_long + scores.too_long
    return _Tokens(accepted.rows, rejected.rows, scores.rows, too_long)


def _require_both(data: _Tokens, settings: PreferenceSettings) -> None:
    found = {"accepted": len(data.accepted), "rejected": len(data.rejected)}
    if min(found.values()) < settings.min_each:
        raise DataError(
            f"{found['accepted']} accepted and {found['rejected']} rejected texts fit; preference tuning "
            f"needs {settings.min_each} of each (min_each)"
        )


def _replay(scores: Sequence[EncodedRow], settings: PreferenceSettings) -> list[list[int]]:
    """Return a batch of line scores for each step, until they begin anew."""
    if not settings.replay_weight:
        return []
    lengths = [len(row.input_ids) for row in scores]
    return training_batches(lengths, settings.replay_tokens, settings.seed)


def _step_sizes(
    judged: Sequence[JudgedTokens],
    scores: Sequence[EncodedRow],
    replay: Sequence[Sequence[int]],
    settings: PreferenceSettings,
) -> list[int]:
    """Return the tokens that each step is trained on."""
    rows = settings.batch_rows
    texts = [
        sum(len(row.prompt) + len(row.completion) for row in judged[start : start + rows])
        for start in range(0, len(judged), rows)
    ]
    again = [sum(len(scores[index].input_ids) for index in batch) for batch in replay] or [0]
    sizes = [size + again[step % len(again)] for step, size in enumerate(texts)]
    return sizes[: settings.max_steps] if settings.max_steps > 0 else sizes


def _likelihoods(loaded: Loaded, data: _Tokens) -> Likelihoods:
    return Likelihoods(
        accepted=_nll(loaded, data.accepted),
        rejected=_nll(loaded, data.rejected),
        scores=_nll(loaded, data.scores) if data.scores else None,
    )


def _nll(loaded: Loaded, rows: Sequence[EncodedRow]) -> float:
    """Return the mean negative log-likelihood of a label, in nats."""
    import torch

    base = loaded.model.get_base_model()
    body, head = getattr(base, base.base_model_prefix), base.get_output_embeddings()
    softcap = getattr(base.config, "final_logit_softcapping", None)
    lengths = [len(row.input_ids) for row in rows]
    order = sorted(range(len(rows)), key=lengths.__getitem__)
    loaded.model.eval()
    total = weight = 0.0
    with torch.no_grad():
        for batch in cut_batches(order, lengths, _MEASURED_TOKENS):
            inputs = {k: v.to(head.weight.device) for k, v in collate([rows[i] for i in batch]).items()}
            hidden = body(input_ids=inputs["input_ids"], use_cache=False).last_hidden_state
            part, share = label_nll(
                hidden, inputs["labels"], torch.ones_like(inputs["weight"]), head.weight, softcap
            )
            total, weight = total + part.item(), weight + share.item()
    loaded.model.train()
    return round(total / weight, 5)
