"""TRL's SFTTrainer with our loss and token-budget batches. Built in a function: Unsloth is imported first."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.finetune.backend import Loaded, has_bf16
from engine.finetune.batches import cut_batches, training_batches
from engine.finetune.encoding import IGNORED, EncodedRow
from engine.finetune.loss import label_loss, label_nll
from engine.finetune.processes import ALONE, Processes, average_gradients
from engine.finetune.settings import Backend, FinetuneSettings

if TYPE_CHECKING:
    import torch

PAD_MULTIPLE = 32
"""Fewer lengths to compile for; and `engine.runners.torch_reference.PAD_MULTIPLE` says why at least 8."""


def collate(rows: Sequence[EncodedRow]) -> dict[str, torch.Tensor]:
    """Pad rows on the right into input_ids and labels [batch, length] and weight [batch].

    No attention mask: under causal attention nothing looks at what stands to its right, and a mask would take
    the fast attention kernels away.
    """
    import torch

    length = max(len(row.input_ids) for row in rows)
    length += -length % PAD_MULTIPLE
    input_ids = torch.zeros(len(rows), length, dtype=torch.long)
    labels = torch.full((len(rows), length), IGNORED)
    for index, row in enumerate(rows):
        input_ids[index, : len(row.input_ids)] = torch.frombuffer(row.input_ids, dtype=torch.int32)
        labels[index, : len(row.labels)] = torch.frombuffer(row.labels, dtype=torch.int32)
    return {"input_ids": input_ids, "labels": labels, "weight": torch.tensor([row.weight for row in rows])}


def plan_batches(
    rows: Sequence[EncodedRow], settings: FinetuneSettings, among: Processes = ALONE
) -> list[list[int]]:
    """Return the batches of the whole run, in order: those of each step follow one another."""
    lengths = [len(row.input_ids) for row in rows]
    batches = training_batches(lengths, settings.batch_tokens, settings.seed, settings.epochs)
    step = settings.accumulation * among.count
    return batches[: settings.max_steps * step] if settings.max_steps > 0 else batches


def build_trainer(
    loaded: Loaded,
    settings: FinetuneSettings,
    rows: Sequence[EncodedRow],
    batches: Sequence[list[int]],
    validation: Sequence[EncodedRow],
    out: Path,
    callbacks: Sequence[Any] = (),
    among: Processes = ALONE,
) -> Any:
    """Return an SFTTrainer that is ready to `train()`; checkpoints go to `out`/checkpoints.

    It trains on the mean loss of each step's micro-batches, each the weighted mean over its labels. The
    validation loss is the weighted mean over all labels of all rows, in the same batches each time. Of
    several processes each takes its share of both.
    """
    from transformers import PrinterCallback
    from trl import SFTTrainer

    base = loaded.model.get_base_model()
    body, head = getattr(base, base.base_model_prefix), base.get_output_embeddings()
    softcap = getattr(base.config, "final_logit_softcapping", None)
    lengths = [len(row.input_ids) for row in validation]
    by_length = sorted(range(len(lengths)), key=lengths.__getitem__)
    validation_batches = cut_batches(by_length, lengths, settings.batch_tokens)[among.rank :: among.count]

    class LabelTrainer(SFTTrainer):  # type: ignore[misc]
        """Computes `label_loss`, and draws batches by tokens instead of by rows."""

        control: Any
        _validation: Any = None

        def compute_loss(self, model: Any, inputs: dict[str, Any], *_: Any, **__: Any) -> Any:
            return label_loss(*self._labelled(inputs))

        def evaluate(self, *_: Any, **__: Any) -> dict[str, float]:
            metrics = {"eval_loss": self._validation_loss()}
            self.log(metrics)
            self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, metrics)
            return metrics

        def training_step(self, *args: Any, **kwargs: Any) -> Any:
            loss = super().training_step(*args, **kwargs)
            # DDP averages for those who call its forward; our loss calls the model's parts itself.
            if among.count > 1 and self.accelerator.sync_gradients:
                average_gradients(self.model.parameters())
            return loss

        def get_train_dataloader(self) -> Any:
            return self._loader(rows, among.share(batches))

        def _validation_loss(self) -> float:
            import torch

            self._validation = self._validation or self._loader(validation, validation_batches)
            self.model.eval()
            total = weight = 0.0
            with torch.no_grad():
                for inputs in self._validation:
                    part, share = label_nll(*self._labelled(self._prepare_inputs(inputs)))
                    total, weight = total + part.item(), weight + share.item()
            self.model.train()
            if among.count > 1:
                sums = torch.tensor([total, weight], device=self.args.device)
                total, weight = self.accelerator.reduce(sums, "sum").tolist()
            return total / weight if weight else 0.0

        def _labelled(self, inputs: dict[str, Any]) -> tuple[Any, Any, Any, Any, float | None]:
            with self.compute_loss_context_manager():
                hidden = body(input_ids=inputs["input_ids"], use_cache=False).last_hidden_state
            return hidden, inputs["labels"], inputs["weight"], head.weight, softcap

        def _loader(self, items: Sequence[EncodedRow], order: Sequence[list[int]]) -> Any:
            from torch.utils.data import DataLoader

            loader = DataLoader(items, batch_sampler=order, collate_fn=collate)
            # Among several, `order` is this process's share already; preparing it would share it out again.
            return self.accelerator.prepare(loader) if among.count == 1 else loader

    steps = math.ceil(len(batches) / (settings.accumulation * among.count))
    trainer = LabelTrainer(
        model=loaded.model,
        args=_arguments(settings, loaded.backend, out, steps, bool(validation)),
        train_dataset=_placeholder(rows),
        eval_dataset=_placeholder(validation) if validation else None,
        processing_class=loaded.tokenizer,
        data_collator=collate,
        callbacks=list(callbacks),
    )
    trainer.remove_callback(PrinterCallback)
    trainer.model_accepts_loss_kwargs = False  # our loss is a mean: let it average over micro-batches
    return trainer


def _placeholder(rows: Sequence[EncodedRow]) -> Any:
    """SFTTrainer wants a dataset; only its length and column names are looked at."""
    from datasets import Dataset

    return Dataset.from_dict({"input_ids": [[0]] * len(rows), "labels": [[0]] * len(rows)})


def _arguments(settings: FinetuneSettings, backend: Backend, out: Path, steps: int, validates: bool) -> Any:
    import torch
    from trl import SFTConfig

    cuda = torch.cuda.is_available()
    # On a CPU, Unsloth chooses device, precision and optimizer itself.
    device: dict[str, Any] = (
        {}
        if backend is Backend.UNSLOTH and not cuda
        else {"use_cpu": not cuda, "bf16": has_bf16(), "optim": "adamw_torch"}
    )
    return SFTConfig(
        output_dir=str(out / "checkpoints"),
        max_steps=steps,
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
        restore_callback_states_from_checkpoint=True,
        logging_steps=settings.log_steps,
        logging_nan_inf_filter=False,
        report_to=settings.log_to.value,
        disable_tqdm=True,
        seed=settings.seed,
        dataloader_pin_memory=cuda,
        **device,
    )
