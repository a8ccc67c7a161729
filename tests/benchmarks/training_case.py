"""One case of `unsloth_against_trl`, in a process of its own: CASE(JSON). Says each stage as a line of JSON.

Libraries are imported at once. A line on standard input lets it load and take its first steps, which
compile; another lets it take the steps that are measured. So imports and compilation of several cases run
side by side, and measurements do not.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.finetune.backend import LINEAR, go_offline


@dataclass(frozen=True, slots=True)
class Case:
    """What is trained, by what, and how."""

    name: str
    stack: str  # trl, trl-compiled, unsloth or unsloth-eager
    base: str
    rows: int
    length: int
    checkpoints: bool
    warm: int
    steps: int
    rank: int
    folder: str
    dry: bool = False


def main(text: str) -> None:
    """Run a case."""
    case = Case(**json.loads(text))
    # Libraries talk on standard output; what is said to the parent goes to what it was.
    said = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)

    def say(**values: object) -> None:
        said.write(json.dumps(values) + "\n")
        said.flush()

    started = time.monotonic()
    go_offline()
    Path(case.folder).mkdir(parents=True, exist_ok=True)
    os.chdir(case.folder)
    if case.stack.startswith("unsloth"):
        import unsloth  # noqa: F401 - must come before trl, transformers and peft
    import torch
    import trl  # noqa: F401

    say(stage="imported", seconds=round(time.monotonic() - started, 1))
    sys.stdin.readline()
    started = time.monotonic()
    model, tokenizer = _load_unsloth(case) if case.stack.startswith("unsloth") else _load_peft(case)
    clock = _clock(case, say)
    trainer = _trainer(case, model, tokenizer, clock)
    say(
        stage="loaded",
        seconds=round(time.monotonic() - started, 1),
        attention=str(model.config._attn_implementation),
        trained=sum(p.numel() for p in model.parameters() if p.requires_grad),
        dtypes=sorted({str(p.dtype).removeprefix("torch.") for p in model.parameters()}),
    )
    trainer.train()
    measured = clock.seconds[case.warm :]
    cuda = torch.cuda.is_available()
    say(
        stage="measured",
        step_ms=round(statistics.median(measured) * 1e3, 1),
        fastest_ms=round(min(measured) * 1e3, 1),
        slowest_ms=round(max(measured) * 1e3, 1),
        peak_gib=round(torch.cuda.max_memory_allocated() / 2**30, 2) if cuda else None,
        reserved_gib=round(torch.cuda.max_memory_reserved() / 2**30, 2) if cuda else None,
        losses=[round(entry["loss"], 3) for entry in trainer.state.log_history if "loss" in entry],
    )
    said.close()
    os._exit(0)  # an orderly exit saves compile caches, which takes seconds that others wait for


def _load_unsloth(case: Case) -> tuple[Any, Any]:
    import torch
    from unsloth import FastLanguageModel

    model, tokenizer = FastLanguageModel.from_pretrained(
        case.base,
        max_seq_length=case.length,
        load_in_4bit=False,
        dtype=None if case.dry else torch.bfloat16,
        local_files_only=True,
    )
    model = FastLanguageModel.get_peft_model(
        model,
        r=case.rank,
        lora_alpha=2 * case.rank,
        lora_dropout=0,
        bias="none",
        target_modules=list(LINEAR),
        use_gradient_checkpointing="unsloth" if case.checkpoints else False,
        random_state=0,
    )
    return model, tokenizer


def _load_peft(case: Case) -> tuple[Any, Any]:
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM, AutoTokenizer, set_seed

    set_seed(0)
    model = AutoModelForCausalLM.from_pretrained(
        case.base,
        dtype=torch.float32 if case.dry else torch.bfloat16,
        attn_implementation="sdpa",
        device_map="cpu" if case.dry else {"": 0},
    )
    config = LoraConfig(
        r=case.rank, lora_alpha=2 * case.rank, target_modules=list(LINEAR), task_type="CAUSAL_LM"
    )
    model = get_peft_model(model, config)
    if case.checkpoints or case.stack == "trl-compiled":
        model.enable_input_require_grads()
    if case.stack == "trl-compiled":
        base = model.get_base_model()
        for layer in getattr(base, base.base_model_prefix).layers:
            layer.compile()
    return model, AutoTokenizer.from_pretrained(case.base, fix_mistral_regex=False)


def _trainer(case: Case, model: Any, tokenizer: Any, clock: Any) -> Any:
    import torch
    from datasets import Dataset
    from trl import SFTConfig, SFTTrainer

    tokens = json.loads((Path(case.folder).parent / "rows.json").read_text())
    wanted = case.rows * (case.warm + case.steps)
    rows = [
        [2, *(tokens[(number * (case.length - 1) + i) % len(tokens)] for i in range(case.length - 1))]
        for number in range(wanted)
    ]
    arguments = SFTConfig(
        output_dir=str(Path(case.folder) / "out"),
        max_steps=case.warm + case.steps,
        per_device_train_batch_size=case.rows,
        gradient_accumulation_steps=1,
        learning_rate=1e-4,
        lr_scheduler_type="constant",
        max_length=case.length,
        packing=False,  # rows are cut to one length beforehand: no stack pads, none needs a mask
        padding_free=False,
        optim="adamw_torch" if case.dry else "adamw_torch_fused",
        bf16=not case.dry,
        use_cpu=case.dry,
        gradient_checkpointing=case.checkpoints,
        gradient_checkpointing_kwargs={"use_reentrant": False} if case.checkpoints else None,
        logging_steps=1,
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
        dataloader_pin_memory=not case.dry,
        seed=0,
    )
    trainer = SFTTrainer(
        model=model,
        args=arguments,
        processing_class=tokenizer,
        train_dataset=Dataset.from_dict({"input_ids": rows}),
        callbacks=[clock],
    )
    if case.dry and not torch.cuda.is_available() and not case.stack.startswith("unsloth"):
        # TRL's own loss is a Triton kernel, which no CPU runs; a dry run is about all the rest.
        trainer.compute_loss = lambda model, inputs, *_, **__: (
            model(input_ids=inputs["input_ids"], labels=inputs["labels"]).loss
        )
    return trainer


def _clock(case: Case, say: Any) -> Any:
    import torch
    from transformers import TrainerCallback

    def now() -> float:
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        return time.monotonic()

    class Clock(TrainerCallback):  # type: ignore[misc]
        """Times steps with the device in step; between warm and measured ones it waits for the parent."""

        def __init__(self) -> None:
            self.seconds: list[float] = []

        def on_step_begin(self, *_: Any, **__: Any) -> None:
            if len(self.seconds) == case.warm:
                say(stage="warm", step_seconds=[round(seconds, 2) for seconds in self.seconds])
                sys.stdin.readline()
                if torch.cuda.is_available():
                    torch.cuda.reset_peak_memory_stats()
            self._began = now()

        def on_step_end(self, *_: Any, **__: Any) -> None:
            self.seconds.append(now() - self._began)

    return Clock()


if __name__ == "__main__":
    main(sys.argv[1])
