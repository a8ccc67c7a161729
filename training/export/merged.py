"""A base model with an adapter in its weights: a Hugging Face directory, in the base's precision."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from engine.errors import AdapterError, ModelError
from engine.lora_files import read_factors
from engine.tensor_files import add_in_place, read_table

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

_KEPT = ("config.json", "generation_config.json", "model.safetensors.index.json")
_TOKENIZER = ("tokenizer", "special_tokens_map", "added_tokens", "chat_template", "vocab", "merges")
_PREFIX, _FIRST, _SECOND = "base_model.model.", ".lora_A.weight", ".lora_B.weight"


def merge_model(base: Path, adapter: Path, out: Path) -> None:
    """Fill the directory `out` with the model of `base`, changed as the adapter changes it.

    Only the weights that it changes are rounded anew; all others are the base's to the bit. Raises ModelError
    for a base without safetensors, AdapterError for an adapter that does not fit it.
    """
    shards = sorted(base.glob("*.safetensors"))
    if not shards:
        raise ModelError(f"{base} has no weights in safetensors")
    for path in (*_small_files(base), *shards):
        shutil.copyfile(path, out / path.name)
    try:
        places = {name: out / shard.name for shard in shards for name in read_table(shard)}
        for module, delta in _changes(adapter):
            name = _tensor_of(adapter, f"{module}.weight", places)
            add_in_place(places[name], name, delta)
    except ValueError as error:
        raise AdapterError(f"{adapter} does not fit {base.name}: {error}") from error


def _small_files(base: Path) -> Iterator[Path]:
    """Configuration and tokenizer. The note of the base's origin stays: the merged model is another one."""
    for path in sorted(base.iterdir()):
        if path.name in _KEPT or path.name.startswith(_TOKENIZER):
            yield path


def _changes(adapter: Path) -> Iterator[tuple[str, npt.NDArray[np.float32]]]:
    """Yield each changed module with what is added to its weight."""
    tensors, scale = read_factors(adapter)
    firsts = {name.removesuffix(_FIRST): name for name in tensors if name.endswith(_FIRST)}
    seconds = {name.removesuffix(_SECOND): name for name in tensors if name.endswith(_SECOND)}
    if not firsts or firsts.keys() != seconds.keys() or len(tensors) != 2 * len(firsts):
        raise AdapterError(f"{adapter} holds more, or less, than pairs of factors of linear layers")
    for module, first in sorted(firsts.items()):
        yield module.removeprefix(_PREFIX), scale * (tensors[seconds[module]] @ tensors[first])


def _tensor_of(adapter: Path, wanted: str, places: Mapping[str, Path]) -> str:
    """Return what the file calls a weight: a model with eyes keeps its language part under another name."""
    if wanted in places:
        return wanted
    tail = wanted.partition("layers.")[2]
    found = [name for name in places if tail and name.endswith(f".layers.{tail}") and "vision" not in name]
    if len(found) != 1:
        raise AdapterError(f"{adapter} changes {wanted}, of which the base has {len(found) or 'none'}")
    return found[0]
