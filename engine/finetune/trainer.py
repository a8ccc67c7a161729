"""TRL's SFTTrainer with our loss and token-budget batches. Built in a function: Unsloth must be imported first."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.finetune.batches import TokenBatches
from engine.finetune.loss import label_loss
from engine.finetune.rows import IGNORED, EncodedRow
from engine.finetune.settings import Backend, FinetuneSettings

if TYPE_CHECKING:
    from collections.abc import Sequence

    import torch

_PAD_MULTIPLE = 32


def collate(rows: Sequence[dict[str, Any]]) -> dict[str, torch.Tensor]:
    """Pad rows on the right into input_ids and labels [batch, length] and weight [batch].

    No attention mask: under causal attention nothing looks at what stands to its right, and a mask would take
    the fast attention kernels away.
    """
    import torch

    length = max(len(row["input_ids"]) for row in rows)
    length += -length % _PAD_MULTIPLE
    input_ids = torch.zeros(len(rows), length, dtype=torch.long)
    labels = torch.full((len(rows), length), IGNORED)
    for index, row in enumerate(rows):
        input_ids[index, : len(row["input_ids"])] = torch.tensor(row["input_ids"])
        labels[index, : len(row["labels"])] = torch.tensor(row["labels"])
    return {"input_ids": input_ids, "labels": labels, "weight": torch.tensor([row["weight"] for row in rows])}


def build_trainer(
    model: Any,
    tokenizer: Any,
    backend: Backend,
    settings: FinetuneSettings,
    train: Sequence[EncodedRow],
    validation: Sequence[EncodedRow],
    out: Path,
    callbacks: Sequence[Any] = (),
) -> Any:
    """Return an SFTTrainer that is ready to `train()`; checkpoints go to `out`/checkpoints."""
    import torch
    from torch.utils.data import DataLoader
    from trl import SFTTrainer

    head_of = model.get_base_model()

    class LabelTrainer(SFTTrainer):  # type: ignore[misc]
        """Computes `label_loss`, and draws batches by tokens instead of by rows."""

        def compute_loss(
            self,
            model: Any,
            inputs: dict[str, Any],
            return_outputs: bool = False,
            num_items_in_batch: Any = None,
        ) -> Any:
            weight, labels = inputs["weight"], inputs["labels"]
            body = getattr(head_of, head_of.base_model_prefix)
            with self.compute_loss_context_manager():
                hidden = body(input_ids=inputs["input_ids"], use_cache=False).last_hidden_state
            softcap = getattr(head_of.config, "final_logit_softcapping", None)
            return label_loss(hidden, labels, weight, head_of.get_output_embeddings().weight, softcap)

        def get_train_dataloader(self) -> Any:
            return self._loader(train, settings.seed)

        def get_eval_dataloader(self, eval_dataset: Any = None) -> Any:
            return self._loader(validation, settings.seed)

        def _loader(self, rows: Sequence[EncodedRow], seed: int) -> Any:
            lengths = [len(row.input_ids) for row in rows]
            batches = TokenBatches(lengths, settings.batch_tokens, seed)
            items = [{"input_ids": r.input_ids, "labels": r.labels, "weight": r.weight} for r in rows]
            return self.accelerator.prepare(DataLoader(items, batch_sampler=batches, collate_fn=collate))

        def prediction_step(
            self, model: Any, inputs: Any, prediction_loss_only: bool, ignore_keys: Any = None
        ) -> Any:
            with torch.no_grad():
                return self.compute_loss(model, self._prepare_inputs(inputs)).detach(), None, None

    trainer = LabelTrainer(
        model=model,
        args=_arguments(settings, backend, out, bool(validation)),
        train_dataset=_placeholder(train),
        eval_dataset=_placeholder(validation) if validation else None,
        processing_class=tokenizer,
        data_collator=collate,
        callbacks=list(callbacks),
    )
    trainer.model_accepts_loss_kwargs = (
        False  # our loss is a mean, so the trainer averages over micro-batches
    )
    return trainer


def _placeholder(rows: Sequence[EncodedRow]) -> Any:
    """SFTTrainer wants a dataset; only its length and column names are looked at."""
    from datasets import Dataset

    return Dataset.from_dict({"input_ids": [[0]] * len(rows), "labels": [[0]] * len(rows)})


def _arguments(settings: FinetuneSettings, backend: Backend, out: Path, validates: bool) -> Any:
    import torch
    from trl import SFTConfig

    cuda = torch.cuda.is_available()
    # On a CPU, Unsloth chooses device, precision and optimizer itself.
    device: dict[str, Any] = (
        {}
        if backend is Backend.UNSLOTH and not cuda
        else {"use_cpu": not cuda, "bf16": cuda, "optim": "adamw_torch"}
    )
    return SFTConfig(
        output_dir=str(out / "checkpoints"),
        num_train_epochs=settings.epochs,
        max_steps=settings.max_steps,
        per_device_train_batch_size=1,  # the loader decides; see get_train_dataloader
        gradient_accumulation_steps=settings.accumulation,
        learning_rate=settings.learning_rate,
        lr_scheduler_type="linear",
        warmup_steps=settings.warmup_steps,
        weight_decay=settings.weight_decay,
        adam_beta2=0.99,
        max_grad_norm=1.0,
        max_length=None,
        dataset_kwargs={"skip_prepare_dataset": True},
        remove_unused_columns=False,
        gradient_checkpointing=settings.gradient_checkpointing,
        eval_strategy="steps" if validates else "no",
        eval_steps=settings.eval_steps,
        save_strategy="steps",
        save_steps=settings.eval_steps,
        save_total_limit=2,
        load_best_model_at_end=validates and settings.patience > 0,
        metric_for_best_model="eval_loss" if validates else None,
        logging_steps=10,
        report_to="none",
        disable_tqdm=True,
        seed=settings.seed,
        dataloader_pin_memory=cuda,
        **device,
    )
