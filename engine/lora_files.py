"""A PEFT adapter directory -> LoRA in GGUF, as llama.cpp loads it. Refuses what the form cannot carry."""

from __future__ import annotations

import hashlib
import json
import math
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.cache import build_once
from engine.errors import AdapterError, unimportable
from engine.tensor_files import read_safetensors

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

_CONFIG, _WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
_PROJECTIONS = {
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}
_TENSOR = re.compile(
    r"base_model\.model\.(?:model\.)?(?:language_model\.)?(?:model\.)?"
    r"layers\.(?P<layer>\d+)\.(?P<module>\w+\.\w+)\.lora_(?P<side>[AB])\.weight"
)
_REFUSED = {  # setting -> what it is called; each changes the model in a way that a LoRA in GGUF does not
    "use_dora": "DoRA",
    "rank_pattern": "ranks that differ by module",
    "alpha_pattern": "scales that differ by module",
    "modules_to_save": "fully trained modules",
    "lora_bias": "trained biases",
    "fan_in_fan_out": "transposed weights",
    "layer_replication": "replicated layers",
    "alora_invocation_tokens": "activated LoRA",
    "trainable_token_indices": "trained tokens",
    "target_parameters": "trained parameters outside of modules",
}

Tensors = dict[str, "npt.NDArray[np.float32]"]
Pair = tuple["npt.NDArray[np.float32]", "npt.NDArray[np.float32]"]
"""What comes first and what comes second: the change is their product, second by first."""


def cached_lora(adapter: Path, cache: Path) -> Path:
    """Return the GGUF of the PEFT directory `adapter`, converted in `cache` once for each content."""
    digest = hashlib.sha256(_read(adapter / _CONFIG) + b"\0" + _read(adapter / _WEIGHTS)).hexdigest()
    target = cache / "lora" / f"{digest[:32]}.gguf"
    return build_once(target, lambda made: lora_to_gguf(adapter, made), error=AdapterError)


def lora_to_gguf(adapter: Path, out: Path) -> None:
    """Write the LoRA in the PEFT directory `adapter` to `out`; AdapterError says what does not fit."""
    rank, alpha = _scaling(adapter)
    _write(out, alpha, _renamed(adapter, _tensors(adapter), rank))


def read_factors(adapter: Path) -> tuple[Tensors, float]:
    """Return the weights of the PEFT directory `adapter`, and what their products are scaled by."""
    rank, alpha = _scaling(adapter)
    return _tensors(adapter), alpha / rank


def read_pairs(adapter: Path) -> tuple[dict[str, Pair], float]:
    """Return both factors of each weight by its name in GGUF, and what their products are scaled by.

    Raises AdapterError for what `lora_to_gguf` refuses.
    """
    rank, alpha = _scaling(adapter)
    tensors = _renamed(adapter, _tensors(adapter), rank)
    firsts = {name.removesuffix(".lora_a"): values for name, values in tensors.items() if name[-1] == "a"}
    return {name: (first, tensors[f"{name}.lora_b"]) for name, first in firsts.items()}, alpha / rank


def check_config(adapter: Path) -> None:
    """Raise AdapterError unless the configuration in `adapter` is of a plain LoRA."""
    _scaling(adapter)


def _tensors(adapter: Path) -> Tensors:
    try:
        return read_safetensors(adapter / _WEIGHTS)
    except (OSError, ValueError) as failure:
        raise AdapterError(f"cannot read {adapter / _WEIGHTS}: {failure}") from failure


def _scaling(adapter: Path) -> tuple[int, float]:
    """The rank, and the alpha that llama.cpp divides by it."""
    try:
        config = json.loads(_read(adapter / _CONFIG))
        rank, alpha = int(config["r"]), float(config["lora_alpha"])
    except (ValueError, KeyError, TypeError) as failure:
        raise AdapterError(f"{adapter / _CONFIG} is no LoRA configuration: {failure!r}") from failure
    _refuse(adapter, config)
    return rank, alpha * math.sqrt(rank) if config.get("use_rslora") else alpha


def _refuse(adapter: Path, config: dict[str, Any]) -> None:
    if config.get("peft_type") != "LORA":
        raise AdapterError(f"{adapter} is of type {config.get('peft_type')}; only LORA can be used")
    if config.get("bias", "none") != "none":
        raise AdapterError(f"{adapter} has trained biases, which cannot be used")
    for setting, meaning in _REFUSED.items():
        if config.get(setting):
            raise AdapterError(f"{adapter} has {meaning} ({setting}), which cannot be used")


def _renamed(adapter: Path, tensors: Tensors, rank: int) -> Tensors:
    """The tensors by their names in GGUF, checked to be whole pairs that do something."""
    renamed = {_gguf_name(adapter, name): values for name, values in tensors.items()}
    for name, values in renamed.items():
        partner = f"{name[:-1]}{'b' if name.endswith('a') else 'a'}"
        if partner not in renamed:
            raise AdapterError(f"{adapter} has {name} without {partner}")
        _check(adapter, name, values, rank)
    if not any(values.any() for name, values in renamed.items() if name.endswith("b")):
        raise AdapterError(f"{adapter} has no effect: its second factors are all zero")
    return renamed


def split_name(adapter: Path, name: str) -> tuple[int, str, str]:
    """Return layer, module (as PEFT calls it) and side (A or B) of the tensor `name`; or AdapterError."""
    match = _TENSOR.fullmatch(name)
    if match is None or match["module"] not in _PROJECTIONS:
        known = ", ".join(module.partition(".")[2] for module in _PROJECTIONS)
        raise AdapterError(f"{adapter} has a tensor {name}; only LoRA on {known} can be used")
    return int(match["layer"]), match["module"], match["side"]


def _gguf_name(adapter: Path, name: str) -> str:
    layer, module, side = split_name(adapter, name)
    return f"blk.{layer}.{_PROJECTIONS[module]}.weight.lora_{side.lower()}"


def _check(adapter: Path, name: str, values: npt.NDArray[np.float32], rank: int) -> None:
    import numpy as np

    if values.ndim != 2 or values.shape[0 if name.endswith("a") else 1] != rank:
        raise AdapterError(f"{adapter}: {name} has shape {values.shape}, which is not of rank {rank}")
    if not np.isfinite(values).all():
        raise AdapterError(f"{adapter}: {name} has values that are not finite")


def _write(out: Path, alpha: float, tensors: Tensors) -> None:
    try:
        import gguf
    except ImportError as missing:
        raise unimportable(missing, "gguf", "cpu") from missing

    writer = gguf.GGUFWriter(out, "gemma3")
    writer.add_string("general.type", "adapter")
    writer.add_string("adapter.type", "lora")
    writer.add_float32("adapter.lora.alpha", alpha)
    for name, values in sorted(tensors.items()):
        writer.add_tensor(name, values)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as failure:
        raise AdapterError(f"cannot read {path}: {failure.strerror}") from failure
