"""What a model takes of a card, known before it is loaded. Arithmetic on a shape, no torch.

Weights and adapters are fixed; what is left decides how many rows are written at once, how many tokens one
pass reads and how many are kept for later. Sizes are bytes, tested against what a card reports.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from engine.errors import ModelError
from engine.runners.gemma.shape import GemmaShape

GIB = 2**30
_RESERVED = 0.9 * GIB  # CUDA's context, kernels, cuBLAS workspaces, the desktop's picture
_FRAGMENTED = 0.03  # of the card: what an allocator cannot use
_BF16 = 2
_NF4 = 0.5 + 4 / 64  # a weight, and a float32 scale for each 64
_PARTS = {"qkv": 3, "out": 1, "gate_up": 2, "down": 1}  # LoRAs of a merged projection

Precision = Literal["bfloat16", "nf4", "float32"]


@dataclass(frozen=True, slots=True)
class MemoryPlan:
    """How a model is run on a card, and what that takes, in bytes."""

    precision: Precision
    context: int  # tokens of one prompt with its reply
    slots: int  # rows written at once
    pass_tokens: int  # read in one pass
    kept_tokens: int  # of prompts that others go on from
    adapters: int
    rank: int
    weights: int = 0
    lora: int = 0
    rings: int = 0
    store: int = 0
    workspace: int = 0

    @property
    def total(self) -> int:
        """All of it, without what is reserved."""
        return self.weights + self.lora + self.rings + self.store + self.workspace


def largest_plan(
    shape: GemmaShape,
    card: float,
    *,
    precision: Precision = "bfloat16",
    context: int = 4096,
    adapters: int = 2,
    rank: int = 32,
) -> MemoryPlan:
    """Return the largest plan that fits a card of `card` bytes; raises ModelError where none does."""
    room = card * (1 - _FRAGMENTED) - _RESERVED
    plan = MemoryPlan(precision, context, 64, max(16_384, context), 32_768, adapters, rank)
    while (plan := measured(shape, plan)).total > room:
        if plan.kept_tokens > 4096:
            plan = replace(plan, kept_tokens=plan.kept_tokens // 2)
        elif plan.pass_tokens > context:
            plan = replace(plan, pass_tokens=max(context, plan.pass_tokens // 2))
        elif plan.slots > 1:
            plan = replace(plan, slots=plan.slots // 2)
        else:
            raise ModelError(
                f"the model needs {(plan.total + _RESERVED) / GIB / (1 - _FRAGMENTED):.1f} GiB of GPU memory "
                f"in {precision}, and {card / GIB:.1f} are there; take a smaller model, "
                "ENGINE_PRECISION=nf4 or a smaller ENGINE_CONTEXT"
            )
    return plan


def measured(shape: GemmaShape, plan: MemoryPlan) -> MemoryPlan:
    """Return `plan` with its sizes."""
    number = 4 if plan.precision == "float32" else _BF16
    linear = _NF4 if plan.precision == "nf4" else number
    weights = shape.linear_parameters * linear + shape.vocab * shape.hidden * number
    return replace(
        plan,
        weights=int(weights),
        lora=int(_lora_numbers(shape, plan) * number),
        rings=int(_ring_numbers(shape, plan) * number),
        store=2 * shape.layers * shape.kv_width * plan.kept_tokens * number,
        workspace=int(_workspace(shape, plan, number)),
    )


def _lora_numbers(shape: GemmaShape, plan: MemoryPlan) -> int:
    inputs = {"qkv": shape.hidden, "out": shape.q_width, "gate_up": shape.hidden, "down": shape.ffn}
    outputs = shape.q_width + 2 * shape.kv_width + shape.hidden + 2 * shape.ffn + shape.hidden
    first = sum(parts * inputs[name] for name, parts in _PARTS.items())
    return shape.layers * plan.adapters * plan.rank * (first + outputs)


def _ring_numbers(shape: GemmaShape, plan: MemoryPlan) -> int:
    tokens = sum(min(shape.window, plan.context) if sliding else plan.context for sliding in shape.sliding)
    return 2 * (plan.slots + 1) * tokens * shape.kv_width


def _workspace(shape: GemmaShape, plan: MemoryPlan, number: int) -> float:
    """The widest moment of a pass (the feed-forward product and its input), or of a step (the logits)."""
    wide = 4 * shape.hidden + 3 * shape.ffn + 2 * shape.q_width + 4 * shape.kv_width
    scratch = shape.hidden * 2 * shape.ffn * number if plan.precision == "nf4" else 0
    step = plan.slots * (shape.vocab * (number + 1 / 8) + 16 * (shape.q_width + 2) * 4)
    return plan.pass_tokens * wide * number + scratch + step
