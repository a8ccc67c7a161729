"""TRL's KTOTrainer with log-probabilities in plain torch, and line scores trained along.

TRL computes the loss; its own projection onto the vocabulary is a Triton kernel, which no machine without a
GPU can run. Built in a function, as TRL is a heavy import.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from engine.finetune.backend import Loaded, has_bf16
from engine.finetune.encoding import EncodedRow
from engine.finetune.judged import JudgedTokens, balance
from engine.finetune.loss import label_log_probs, label_loss
from engine.finetune.settings import PreferenceSettings
from engine.finetune.trainer import PAD_MULTIPLE, collate

_NOT_COMPUTED = ("entropy", "logits/chosen", "logits/rejected")


def build_preference_trainer(
    loaded: Loaded,
    settings: PreferenceSettings,
    rows: Sequence[JudgedTokens],
    order: Sequence[int],
    replay: Sequence[EncodedRow],
    replay_batches: Sequence[Sequence[int]],
    out: Path,
    callbacks: Sequence[Any] = (),
) -> Any:
    """Return a KTOTrainer that is ready to `train()`; checkpoints go to `out`/checkpoints.

    It goes through `rows` in `order` once. The reference is the adapter as it is now: every row is scored
    with it here. In each step the loss of one of `replay_batches` is added, if there are any, so that what
    is not judged is not forgotten.
    """
    from datasets import Dataset, disable_progress_bars
    from transformers import PrinterCallback
    from trl import KTOTrainer

    os.environ["TQDM_DISABLE"] = "1"
    disable_progress_bars()
    base = loaded.model.get_base_model()
    body, head = getattr(base, base.base_model_prefix), base.get_output_embeddings()
    softcap = getattr(base.config, "final_logit_softcapping", None)

    def log_probs(*, input_ids: Any, labels: Any, **_: Any) -> SimpleNamespace:
        # Rows are padded on the right, where nothing looks at under causal attention: no mask is needed.
        hidden = body(input_ids=input_ids, use_cache=False).last_hidden_state
        found = label_log_probs(hidden, labels, head.weight, softcap)
        return SimpleNamespace(log_probs=found, entropy=found * 0, mean_logits=found * 0)

    class PreferenceTrainer(KTOTrainer):  # type: ignore[misc]
        """Takes rows that are tokens already, and adds the loss of line scores."""

        def _prepare_dataset(self, dataset: Any, *_: Any) -> Any:
            return dataset

        def _precompute_ref_logps(self, *args: Any) -> Any:
            base.forward = log_probs
            return super()._precompute_ref_logps(*args)

        def compute_loss(self, model: Any, inputs: Any, *args: Any, **kwargs: Any) -> Any:
            loss = super().compute_loss(model, inputs, *args, **kwargs)
            if not replay_batches:
                return loss
            batch = replay_batches[self.state.global_step % len(replay_batches)]
            scores = self._prepare_inputs(collate([replay[index] for index in batch]))
            hidden = body(input_ids=scores["input_ids"], use_cache=False).last_hidden_state
            kept = label_loss(hidden, scores["labels"], scores["weight"], head.weight, softcap)
            self._metrics["train"]["placement"].append(kept.item())
            return loss + settings.replay_weight * kept

        def log(self, logs: dict[str, float], *args: Any) -> None:
            for name in _NOT_COMPUTED:
                self._metrics["train"].pop(name, None)
            super().log(logs, *args)

    trainer = PreferenceTrainer(
        model=loaded.model,
        args=_arguments(settings, rows, len(order) // settings.batch_rows, out),
        train_dataset=Dataset.from_list(_columns([rows[index] for index in order], settings.batch_rows)),
        processing_class=loaded.tokenizer,
        callbacks=list(callbacks),
    )
    # TRL's copy of the adapter has done its work. In a checkpoint it would be a second adapter, and resuming
    # would then load it alone.
    loaded.model.delete_adapter("ref")
    trainer.remove_callback(PrinterCallback)
    return trainer


def _columns(rows: Sequence[JudgedTokens], batch: int) -> list[dict[str, Any]]:
    """Each row with the completion before it in its batch, from which KTO estimates the divergence."""
    return [
        {
            "prompt_ids": row.prompt,
            "completion_ids": row.completion,
            "KL_completion_ids": rows[index - 1 if index % batch else index + batch - 1].completion,
            "label": row.accepted,
        }
        for index, row in enumerate(rows)
    ]


def _arguments(settings: PreferenceSettings, rows: Sequence[JudgedTokens], steps: int, out: Path) -> Any:
    import torch
    from trl import KTOConfig

    cuda = torch.cuda.is_available()
    accepted = sum(row.accepted for row in rows)
    desirable, undesirable = balance(accepted, len(rows) - accepted)
    arguments = KTOConfig(
        output_dir=str(out / "checkpoints"),
        max_steps=min(steps, settings.max_steps) if settings.max_steps > 0 else steps,
        per_device_train_batch_size=settings.batch_rows,
        gradient_accumulation_steps=1,
        beta=settings.beta,
        desirable_weight=desirable,
        undesirable_weight=undesirable,
        precompute_ref_log_probs=True,
        max_length=None,
        pad_to_multiple_of=PAD_MULTIPLE,
        learning_rate=settings.learning_rate,
        lr_scheduler_type="linear",
        warmup_steps=settings.warmup_steps,
        weight_decay=settings.weight_decay,
        adam_beta2=0.99,
        max_grad_norm=1.0,
        optim="adamw_torch",
        use_cpu=not cuda,
        bf16=has_bf16(),
        gradient_checkpointing=settings.gradient_checkpointing,
        eval_strategy="no",
        save_strategy="steps",
        save_steps=settings.save_steps,
        save_total_limit=2,
        restore_callback_states_from_checkpoint=True,
        logging_steps=settings.log_steps,
        logging_nan_inf_filter=False,
        report_to=settings.log_to.value,
        disable_tqdm=True,
        dataloader_pin_memory=cuda,
        seed=settings.seed,
    )
    arguments._n_gpu = min(arguments.n_gpu, 1)  # else several visible cards are refused; one is used
    return arguments
