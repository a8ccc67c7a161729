"""Loads a base model with a fresh LoRA adapter on it: Unsloth, or transformers and PEFT.

Unsloth patches transformers, PEFT and TRL when it is imported, so it comes first and a process that trained
with it should end afterwards. Only local directories are loaded; the hub is switched off for the process.
"""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.adapters import CONFIG, WEIGHTS
from engine.cache import default_cache
from engine.errors import AdapterError, EngineError, MissingExtra, ModelError, unimportable
from engine.finetune.processes import processes
from engine.finetune.settings import Backend, FinetuneSettings
from engine.offline import go_offline

LINEAR = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
"""Gemma's seven projections of a layer, all trained."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """A PEFT model ready to train, and its tokenizer."""

    model: Any
    tokenizer: Any
    backend: Backend


def choose_backend(wanted: Backend) -> Backend:
    """Return Unsloth or TRL. AUTO takes Unsloth where it imports on this machine and one process trains.

    Raises MissingExtra if Unsloth was asked for and is not installed, EngineError if it cannot run here.
    """
    several = processes().count > 1
    if several and wanted is Backend.UNSLOTH:
        raise EngineError("unsloth trains in one process; set backend to trl for several")
    if wanted is Backend.TRL or several:
        return Backend.TRL
    go_offline()
    _without_advice()
    # Else Unsloth leaves the code that it generates in the working directory.
    os.environ.setdefault("UNSLOTH_COMPILE_LOCATION", str(default_cache() / "unsloth"))
    try:
        import unsloth  # noqa: F401 - must come before trl, transformers and peft
    except (ImportError, NotImplementedError, RuntimeError) as error:
        if wanted is Backend.AUTO:
            return Backend.TRL
        if isinstance(error, ModuleNotFoundError) and error.name:
            raise MissingExtra(error.name, "unsloth") from error
        raise EngineError(f"unsloth cannot run here ({error}); set backend to trl") from error
    return Backend.UNSLOTH


def load(base: Path, settings: FinetuneSettings) -> Loaded:
    """Load `base`, a local Hugging Face directory, and put a LoRA adapter on all its projections.

    Raises ModelError if the directory holds no whole model, MissingExtra if a library is not installed.
    """
    go_offline()
    _without_advice()
    if not (base / "config.json").is_file():
        raise ModelError(f"{base} is no model directory: config.json is missing")
    backend = choose_backend(settings.backend)
    try:
        return _load_unsloth(base, settings) if backend is Backend.UNSLOTH else _load_peft(base, settings)
    except (OSError, ValueError) as error:
        raise ModelError(f"{base} cannot be loaded: {error}") from error


def _load_unsloth(base: Path, settings: FinetuneSettings) -> Loaded:
    from unsloth import FastLanguageModel

    model, tokenizer = FastLanguageModel.from_pretrained(
        str(base),
        max_seq_length=settings.max_length,
        load_in_4bit=settings.load_in_4bit,
        local_files_only=True,
    )
    model = FastLanguageModel.get_peft_model(
        model,
        r=settings.rank,
        lora_alpha=settings.alpha or 2 * settings.rank,
        lora_dropout=settings.dropout,
        bias="none",
        target_modules=list(LINEAR),
        use_gradient_checkpointing="unsloth" if settings.gradient_checkpointing else False,
        random_state=settings.seed,
    )
    return Loaded(model, tokenizer, Backend.UNSLOTH)


def load_adapter(base: Path, adapter: Path, seed: int) -> Loaded:
    """Load `base` with the adapter that is in `adapter`, to be trained further with TRL and PEFT.

    Raises ModelError or AdapterError naming the directory, MissingExtra if a library is not installed.
    """
    go_offline()
    _without_advice()
    if not (base / "config.json").is_file():
        raise ModelError(f"{base} is no model directory: config.json is missing")
    for name in (CONFIG, WEIGHTS):
        if not (adapter / name).is_file():
            raise AdapterError(f"{adapter} is no adapter directory: {name} is missing")
    try:
        model, tokenizer = _load_base(base, seed)
    except (OSError, ValueError) as error:
        raise ModelError(f"{base} cannot be loaded: {error}") from error
    import torch
    from peft import PeftModel

    try:
        adapted = PeftModel.from_pretrained(model, str(adapter), is_trainable=True)
    except (OSError, ValueError, RuntimeError) as error:
        raise AdapterError(f"{adapter} cannot be loaded: {error}") from error
    return Loaded(adapted.to("cuda" if torch.cuda.is_available() else "cpu"), tokenizer, Backend.TRL)


def _without_advice() -> None:
    """Silence bitsandbytes, which on some CPUs advises to install what downloads kernels; none is needed."""
    logging.getLogger("bitsandbytes.backends.cpu.ops").setLevel(logging.ERROR)


def _load_base(base: Path, seed: int, **options: Any) -> tuple[Any, Any]:
    try:
        import torch
        from transformers import AutoModelForCausalLM, AutoTokenizer, set_seed
        from transformers.utils.logging import disable_progress_bar
    except ImportError as error:
        raise unimportable(error, "transformers", "train") from error

    disable_progress_bar()
    set_seed(seed)
    model = AutoModelForCausalLM.from_pretrained(
        base,
        dtype=torch.bfloat16 if has_bf16() else torch.float32,
        attn_implementation="sdpa",
        **options,
    )
    # The warning about a regex of other tokenizers is silenced by answering it.
    return model, AutoTokenizer.from_pretrained(base, fix_mistral_regex=False)


def _load_peft(base: Path, settings: FinetuneSettings) -> Loaded:
    try:
        from peft import LoraConfig, get_peft_model
    except ImportError as error:
        raise unimportable(error, "peft", "train") from error

    model, tokenizer = _load_base(base, settings.seed, **_quantized(settings))
    config = LoraConfig(
        r=settings.rank,
        lora_alpha=settings.alpha or 2 * settings.rank,
        lora_dropout=settings.dropout,
        target_modules=list(LINEAR),
        task_type="CAUSAL_LM",
    )
    trained = get_peft_model(model, config)
    if settings.compile_layers:
        _compile_layers(trained)
    return Loaded(trained, tokenizer, Backend.TRL)


def _compile_layers(model: Any) -> None:
    """Compile layer by layer: all layers share two graphs, so it takes as long as compiling two of them."""
    model.enable_input_require_grads()  # else the first layer's input differs, and is compiled again
    base = model.get_base_model()
    for layer in getattr(base, base.base_model_prefix).layers:
        layer.compile(dynamic=True)


def has_bf16() -> bool:
    """Tell whether there is a GPU, and one that computes in bfloat16."""
    import torch

    return bool(torch.cuda.is_available() and torch.cuda.is_bf16_supported())


def _quantized(settings: FinetuneSettings) -> dict[str, object]:
    if not settings.load_in_4bit:
        return {}
    import torch
    from transformers import BitsAndBytesConfig

    return {
        "device_map": {"": processes().local_rank},
        "quantization_config": BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_use_double_quant=True,
            bnb_4bit_compute_dtype=torch.bfloat16,
        ),
    }
