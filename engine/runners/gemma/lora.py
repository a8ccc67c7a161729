"""Resident adapters: LoRA factors in the slots that the weights have room for."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.adapters import CONFIG, WEIGHTS
from engine.errors import AdapterError
from engine.lora_files import check_config, split_name
from engine.runners.gemma.ops import Expansion, Tensor
from engine.runners.gemma.projections import Projection
from engine.runners.gemma.weights import GemmaWeights

_MERGED = {  # projection of a layer -> its parts in order, by the names of PEFT
    "qkv": ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"),
    "out": ("self_attn.o_proj",),
    "gate_up": ("mlp.gate_proj", "mlp.up_proj"),
    "down": ("mlp.down_proj",),
}


@dataclass(frozen=True, slots=True)
class _Stack:
    """The second factors below one merged projection: b is [adapters, rank, width]."""

    projection: Projection
    b: Tensor
    bounds: tuple[int, ...]

    def put(self, slot: int, part: int, a: Tensor, b: Tensor) -> None:
        """Copy a part's factors, a [r, inputs] and b [outputs, r], scaled already, into `slot`."""
        rank, parts = self.b.shape[1], len(self.bounds)
        first = (slot * parts + part) * rank
        start = self.bounds[part - 1] if part else 0
        self.projection.lora_a[first : first + a.shape[0]].copy_(a)
        self.b[slot, : b.shape[1], start : self.bounds[part]].copy_(b.t())

    def clear(self, slot: int) -> None:
        rank, parts = self.b.shape[1], len(self.bounds)
        self.projection.lora_a[slot * parts * rank : (slot + 1) * parts * rank].zero_()
        self.b[slot].zero_()

    def first(self, x: Tensor, slot: int) -> Tensor:
        """Return t = x @ A.T of one adapter, [rows, parts * rank]."""
        height = self.b.shape[1] * len(self.bounds)
        return x @ self.projection.lora_a[slot * height : (slot + 1) * height].t()

    def add(self, product: Tensor, x: Tensor, slot: int) -> None:
        """Add the adapter's part to a product without its columns, in place."""
        rank, t, start = self.b.shape[1], self.first(x, slot), 0
        for part, end in enumerate(self.bounds):
            own = product[:, start:end]
            own.addmm_(t[:, part * rank : (part + 1) * rank], self.b[slot, :, start:end])
            start = end


class LoraStacks:
    """The factors of all resident adapters, a stack for each merged projection of each layer."""

    def __init__(self, weights: GemmaWeights) -> None:
        shape, room = weights.shape, weights.room
        q, kv, f, n = shape.q_width, shape.kv_width, shape.ffn, shape.hidden
        bounds = {"qkv": (q, q + kv, q + 2 * kv), "out": (n,), "gate_up": (f, 2 * f), "down": (n,)}
        self.rank, self.capacity = room.rank, room.adapters
        self._shape = shape
        self._stacks = [
            {
                name: _Stack(
                    getattr(layer, name),
                    weights.embedding.new_zeros(room.adapters, room.rank, ends[-1]),
                    ends,
                )
                for name, ends in bounds.items()
            }
            for layer in weights.layers
        ]

    def load(self, slot: int, directory: Path) -> None:
        """Put the PEFT adapter in `directory` into `slot`; raises AdapterError where it does not fit."""
        rank, scale = _rank_and_scale(directory)
        if rank > self.rank:
            raise AdapterError(f"{directory} has rank {rank}; ENGINE_LORA_RANK allows {self.rank}")
        factors = _read_factors(directory)
        self.clear(slot)
        try:
            for (layer, module), (a, b) in factors.items():
                self._put(directory, slot, layer, module, a, b * scale)
        except AdapterError:
            self.clear(slot)
            raise

    def clear(self, slot: int) -> None:
        """Make `slot` do nothing."""
        for stacks in self._stacks:
            for stack in stacks.values():
                stack.clear(slot)

    def expansion(self, layer: int, name: str, adapters: Tensor) -> Expansion:
        """Return what a fused operation needs to add the adapters of its rows."""
        stack = self._stacks[layer][name]
        return Expansion(stack.b, adapters, stack.bounds)

    def factors(self, layer: int, name: str, x: Tensor, slot: int) -> tuple[Tensor, Tensor]:
        """Return t [rows, parts * rank] and B [rank, width] of one adapter, to be added elsewhere."""
        stack = self._stacks[layer][name]
        return stack.first(x, slot), stack.b[slot]

    def add(self, layer: int, name: str, product: Tensor, x: Tensor, slot: int) -> None:
        """Add one adapter's part to the product `product` of `x`, in place."""
        self._stacks[layer][name].add(product, x, slot)

    def _put(self, directory: Path, slot: int, layer: int, module: str, a: Tensor, b: Tensor) -> None:
        merged = next((name for name, parts in _MERGED.items() if module in parts), None)
        if merged is None or layer >= self._shape.layers:
            raise AdapterError(f"{directory} changes layer {layer} {module}, which the base does not have")
        stack, part = self._stacks[layer][merged], _MERGED[merged].index(module)
        inputs = stack.projection.lora_a.shape[1]
        outputs = stack.bounds[part] - (stack.bounds[part - 1] if part else 0)
        if a.shape[1] != inputs or b.shape[0] != outputs:
            raise AdapterError(
                f"{directory}: layer {layer} {module} takes {a.shape[1]} to {b.shape[0]}, "
                f"where the base takes {inputs} to {outputs}: made for another base model"
            )
        stack.put(slot, part, a, b)


def _rank_and_scale(directory: Path) -> tuple[int, float]:
    check_config(directory)
    config = json.loads((directory / CONFIG).read_text("utf-8"))
    rank, alpha = int(config["r"]), float(config["lora_alpha"])
    return rank, alpha / (math.sqrt(rank) if config.get("use_rslora") else rank)


def _read_factors(directory: Path) -> dict[tuple[int, str], tuple[Any, Any]]:
    """(layer, module) -> its two factors in float32, on the CPU."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        tensors = load_file(directory / WEIGHTS)
    except (OSError, SafetensorError) as error:
        raise AdapterError(f"cannot read {directory / WEIGHTS}: {error}") from error
    sides: dict[tuple[int, str], dict[str, Any]] = {}
    for name, values in tensors.items():
        layer, module, side = split_name(directory, name)
        if not values.isfinite().all():
            raise AdapterError(f"{directory}: {name} has values that are not finite")
        sides.setdefault((layer, module), {})[side] = values.float()
    for (layer, module), pair in sides.items():
        if len(pair) != 2:
            raise AdapterError(f"{directory}: layer {layer} {module} has one factor of two")
    return {place: (pair["A"], pair["B"]) for place, pair in sides.items()}
