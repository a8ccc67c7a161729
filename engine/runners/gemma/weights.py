"""A Hugging Face directory of Gemma 3 -> weights on the device, merged as the forward passes use them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.errors import ModelError
from engine.runners.gemma.memory import Precision
from engine.runners.gemma.ops import Tensor
from engine.runners.gemma.projections import Dense, Nf4, Projection
from engine.runners.gemma.shape import GemmaShape

Read = Callable[[str], Tensor]
"""Returns the tensor of a name such as `layers.0.mlp.up_proj.weight`, on the device."""

_EMBEDDING = "embed_tokens.weight"


@dataclass(frozen=True, slots=True)
class LoraRoom:
    """How many adapters may be resident, of what rank at most."""

    adapters: int = 0
    rank: int = 16

    def rows(self, parts: int) -> int:
        """Rows below a projection of `parts` merged ones."""
        return self.adapters * parts * self.rank


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer; norms are kept as stored, without the 1 that the model adds."""

    qkv: Projection
    out: Projection
    gate_up: Projection
    down: Projection
    before_attention: Tensor
    after_attention: Tensor
    before_ffn: Tensor
    after_ffn: Tensor
    q_norm: Tensor
    k_norm: Tensor


@dataclass(frozen=True, slots=True)
class GemmaWeights:
    """Everything the model multiplies with."""

    shape: GemmaShape
    precision: Precision
    room: LoraRoom
    embedding: Tensor  # [vocab, hidden]; the head too
    norm: Tensor
    layers: tuple[Layer, ...]


def load_weights(shape: GemmaShape, read: Read, precision: Precision, room: LoraRoom) -> GemmaWeights:
    """Return the weights that `read` gives, a layer at a time: the peak is one layer above the result."""
    pack: Callable[[Tensor, int], Projection] = Nf4.of if precision == "nf4" else Dense.of

    def merged(layer: int, *names: str) -> Projection:
        import torch

        parts = [read(f"layers.{layer}.{name}_proj.weight") for name in names]
        joined = torch.cat(parts) if len(parts) > 1 else parts[0]
        return pack(joined, room.rows(len(parts)))

    def norm(layer: int, name: str) -> Tensor:
        return read(f"layers.{layer}.{name}.weight")

    layers = tuple(
        Layer(
            qkv=merged(i, "self_attn.q", "self_attn.k", "self_attn.v"),
            out=merged(i, "self_attn.o"),
            gate_up=merged(i, "mlp.gate", "mlp.up"),
            down=merged(i, "mlp.down"),
            before_attention=norm(i, "input_layernorm"),
            after_attention=norm(i, "post_attention_layernorm"),
            before_ffn=norm(i, "pre_feedforward_layernorm"),
            after_ffn=norm(i, "post_feedforward_layernorm"),
            q_norm=norm(i, "self_attn.q_norm"),
            k_norm=norm(i, "self_attn.k_norm"),
        )
        for i in range(shape.layers)
    )
    embedding = read(_EMBEDDING)
    if embedding.shape != (shape.vocab, shape.hidden):
        raise ModelError(f"the embedding is {tuple(embedding.shape)}; config.json says otherwise")
    return GemmaWeights(shape, precision, room, embedding, read("norm.weight"), layers)


@contextmanager
def reading(directory: Path, device: str, precision: Precision) -> Iterator[Read]:
    """Give a `Read` of the safetensors files in `directory`; raises ModelError naming what is missing."""
    import torch
    from safetensors import SafetensorError, safe_open

    files = sorted(directory.glob("*.safetensors"))
    dtype = torch.float32 if precision == "float32" else torch.bfloat16
    with ExitStack() as stack:
        places: dict[str, Any] = {}
        try:
            for file in files:
                opened = stack.enter_context(safe_open(file, framework="pt", device=device))
                places |= dict.fromkeys(opened.keys(), opened)
        except (OSError, SafetensorError) as error:
            raise ModelError(f"{directory} cannot be loaded: {error}") from error
        prefix = _prefix(directory, places)

        def read(name: str) -> Tensor:
            if (file := places.get(f"{prefix}{name}")) is None:
                raise ModelError(f"{directory} has no tensor {prefix}{name}")
            return file.get_tensor(f"{prefix}{name}").to(dtype)

        yield read


def _prefix(directory: Path, names: dict[str, Any]) -> str:
    """What stands before a text model's names: `model.`, `language_model.model.` and the like."""
    found = [name.removesuffix(_EMBEDDING) for name in names if name.endswith(_EMBEDDING)]
    if len(found) != 1:
        raise ModelError(f"{directory} holds no Gemma 3 in safetensors: {len(found)} embeddings of tokens")
    return found[0]
