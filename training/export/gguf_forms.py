"""An adapter for llama.cpp and what is built on it: a LoRA in GGUF, or one GGUF with the base in it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from engine.errors import AdapterError
from engine.gguf_files import copy_changed, read_gguf
from engine.lora_files import read_pairs

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Values = npt.NDArray[np.float32]

_ARCHITECTURE = "gemma3"


def merge_gguf(base: Path, adapter: Path, out: Path) -> None:
    """Write the GGUF model `base` to `out`, changed as the adapter changes it.

    What is changed is kept in 8 bits, everything else as the base has it.
    """
    model = read_gguf(base)
    if (kind := model.fields.get("general.architecture")) != _ARCHITECTURE:
        # Others keep some of their weights in another order than the adapter knows them by.
        raise AdapterError(f"{base.name} holds {kind}; only {_ARCHITECTURE} can be merged in GGUF")
    pairs, scale = read_pairs(adapter)
    shapes = {tensor.name: tensor.shape for tensor in model.tensors}
    for name, (first, second) in pairs.items():
        if shapes.get(name) != (second.shape[0], first.shape[1]):
            raise AdapterError(f"{adapter} does not fit {base.name}: {name}")
    copy_changed(model, {name: _adding(*pair, scale) for name, pair in pairs.items()}, out)


def _adding(first: Values, second: Values, scale: float) -> Callable[[Values], Values]:
    return lambda values: values + scale * (second @ first)
