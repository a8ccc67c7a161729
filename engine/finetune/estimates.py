"""What a training takes before it begins: memory of a card, tokens a second. Pure arithmetic.

The constants were measured, on one H100 with 80 GB where nothing else is said: the 4B shape with random
weights, rank 8, TRL and PEFT; the real 270M, rank 32, with compiled layers. Formulas go through these points
and lean to the careful side between them; a speed on another card is a guess within a factor of two.
"""

from __future__ import annotations

from dataclasses import dataclass

from engine.finetune.sizes import ModelSize

GIB = 2**30
H100_TFLOPS = 790.0
"""bfloat16 product of two 8192 x 8192 matrices on the card that was measured."""

_CONTEXT_GIB = 0.7  # CUDA and its libraries
_TRAINED_BYTES = 16  # a trained parameter in float32, its gradient, AdamW's two moments
_NF4_BYTES = 0.55  # a weight in 4 bits, with its scales
_HEAD_POSITIONS = 1024  # labelled positions whose logits exist at once, see `loss`
_HEAD_BYTES = 10  # a logit in bfloat16 and float32, and its gradient

# Bytes that a layer keeps of a token until the backward pass, (a + b x width): 22.5 GiB for the 270M with
# 16,384 tokens a step, 56.0 GiB for the 4B shape with 8,192.
_LAYER_BYTES, _WIDTH_BYTES = 31_000.0, 9.23
# With recomputation only the layers' inputs are kept, and one layer's all; measured is more by these factors:
# 4B shape, 2,048 to 8,192 tokens, 8.3 to 10.9 GiB in bfloat16; 2,048 to 16,384, 5.5 to 14.7 GiB in 4 bits.
_RECOMPUTED_BFLOAT16, _RECOMPUTED_NF4 = 1.26, 1.91
_FLOAT32 = 2.0  # a CPU computes in float32, twice the bytes

# Tokens a second with compiled layers in bfloat16: 4B shape, 4 rows of 960: 17,112; the 270M, rows of about
# 300, 16,384 tokens a step: 98,753. Not compiled the 4B shape did 10,525 with 8,192 tokens a step, of these
# 8,144 with recomputation, and of those 6,786 in 4 bits. Unsloth did 17,696 in the run that has the 17,112,
# and 16,694 in 4 bits with recomputation. Compiled layers were not measured in 4 bits: no gain is expected.
_RATE_4B, _RATE_270M = 17_112.0, 98_753.0
_LINEAR_4B, _LINEAR_270M = 3.209e9, 1.003e8
_PLAIN, _RECOMPUTATION, _NF4 = 10_525 / 17_112, 8144 / 10_525, 6786 / 8144
_UNSLOTH, _UNSLOTH_SAVING = 17_696 / 17_112, 16_694 / 17_112
# Seconds that launching a layer's kernels takes, forward and back: the 270M took 0.222 s a step for 16 rows
# of 480, and 0.099 s with compiled layers (Unsloth 0.096 s); the 4B shape, recomputing, 0.571 s for 2,048
# tokens.
_LAUNCHES, _LAUNCHES_AGAIN, _COMPILED = 0.0123, 0.0168, 0.445
_BEST_SHARE = 0.35  # of a card's speed at most; Unsloth's share at the 4B shape
_CPU_GFLOPS = 36.0  # of each core: float32, the 270M reads 320 to 410 tokens a second on two with AVX-512


@dataclass(frozen=True, slots=True)
class Memory:
    """GiB of a card, by what they are for."""

    weights: float
    adapter: float  # with gradients and the optimizer's state
    activations: float
    head: float  # logits of a tile of positions

    @property
    def total(self) -> float:
        """All of it, and what CUDA keeps to itself."""
        return self.weights + self.adapter + self.activations + self.head + _CONTEXT_GIB


@dataclass(frozen=True, slots=True)
class Way:
    """How a step is computed, as far as memory and speed depend on it."""

    rank: int
    tokens: int  # of a micro-batch
    in_4bit: bool = False
    recompute: bool = False  # gradient checkpointing
    unsloth: bool = False
    compiled: bool = False  # Unsloth always is
    float32: bool = False


def memory_of(size: ModelSize, way: Way) -> Memory:
    """Return what a step takes."""
    kept = size.layers * (_LAYER_BYTES + _WIDTH_BYTES * size.width)
    if way.recompute:
        factor = _RECOMPUTED_NF4 if way.in_4bit else _RECOMPUTED_BFLOAT16
        kept = factor * (2 * size.layers * size.hidden + _LAYER_BYTES + _WIDTH_BYTES * size.width)
    weight = 4 if way.float32 else 2
    linear = _NF4_BYTES if way.in_4bit else weight
    return Memory(
        weights=(size.linear * linear + size.embedding * weight) / GIB,
        adapter=size.adapter(way.rank) * _TRAINED_BYTES / GIB,
        activations=kept * way.tokens * (_FLOAT32 if way.float32 else 1) / GIB,
        head=min(way.tokens, _HEAD_POSITIONS) * size.vocabulary * _HEAD_BYTES / GIB,
    )


def gpu_speed(size: ModelSize, way: Way, tflops: float) -> float:
    """Return the tokens a second to expect of a card that multiplies at `tflops`.

    What the H100 did with the nearest sizes, in between by the number of parameters; on a slower card no more
    than a third of its speed allows; for small batches no more than launching kernels does. What compiling
    takes before is not in it.
    """
    rate = _between(size.linear) * min(1.0, tflops / H100_TFLOPS * _headroom(size))
    compiled = way.unsloth or (way.compiled and not way.in_4bit)
    if way.unsloth:
        rate *= _UNSLOTH_SAVING if way.recompute or way.in_4bit else _UNSLOTH
    else:
        rate *= (1 if compiled else _PLAIN) * (_RECOMPUTATION if way.recompute else 1)
        rate *= _NF4 if way.in_4bit else 1
    launches = (
        size.layers * (_LAUNCHES_AGAIN if way.recompute else _LAUNCHES) * (_COMPILED if compiled else 1)
    )
    return min(rate, way.tokens / launches)


def cpu_speed(size: ModelSize, cores: int) -> float:
    """Return the tokens a second to expect of a CPU."""
    return cores * _CPU_GFLOPS * 1e9 / (4.0 * size.linear)


def _between(linear: float) -> float:
    """The H100's rate for a model of so many parameters: on the line through both, on logarithmic scales."""
    from math import log

    slope = log(_RATE_4B / _RATE_270M) / log(_LINEAR_4B / _LINEAR_270M)
    return float(_RATE_270M * (linear / _LINEAR_270M) ** slope)


def _headroom(size: ModelSize) -> float:
    """How many times faster the H100 could have been: a small model leaves it waiting for launches."""
    used = _between(size.linear) * 4.0 * size.linear / (H100_TFLOPS * 1e12)
    return max(1.0, _BEST_SHARE / used)
