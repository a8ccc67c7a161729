"""A merged projection as it lies in memory: bfloat16, or 4 bits by bitsandbytes (nf4).

The first LoRA factors of all resident adapters stand below a projection's own rows, so that one product
brings both: `with_lora` returns [rows, width + lora_rows].
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol, Self

from engine.errors import unimportable
from engine.runners.gemma.ops import Tensor

NF4_BLOCK = 64
_FUSED_ROWS = 64  # above, writing the weight out costs less than reading it 4 bits at a time


class Projection(Protocol):
    """Weights [width, inputs] of a product x @ W.T, and those of its adapters."""

    @property
    def width(self) -> int:
        """Outputs."""

    @property
    def lora_a(self) -> Tensor:
        """First factors of all adapters, [lora_rows, inputs], in the type of activations."""

    def alone(self, x: Tensor) -> Tensor:
        """Return the product without the adapters' columns, [rows, width]."""

    def with_lora(self, x: Tensor) -> Tensor:
        """Return the product and the adapters' columns, [rows, width + lora_rows]."""


@dataclass(frozen=True, slots=True)
class Dense:
    """A projection in the type of activations."""

    weight: Tensor  # [width + lora_rows, inputs]
    width: int

    @classmethod
    def of(cls, weight: Tensor, lora_rows: int) -> Self:
        """Return the projection with room for `lora_rows` rows of adapters, all zero."""
        import torch

        width = weight.shape[0]
        return cls(torch.cat([weight, weight.new_zeros(lora_rows, weight.shape[1])]), width)

    @property
    def lora_a(self) -> Tensor:
        """See Projection."""
        return self.weight[self.width :]

    def alone(self, x: Tensor) -> Tensor:
        """See Projection."""
        return x @ self.weight[: self.width].t()

    def with_lora(self, x: Tensor) -> Tensor:
        """See Projection."""
        return x @ self.weight.t()


@dataclass(frozen=True, slots=True)
class Nf4:
    """A projection in 4 bits; its adapters are not."""

    packed: Tensor  # uint8 [width * inputs / 2, 1]
    state: Any  # bitsandbytes' QuantState
    width: int
    lora_a: Tensor

    @classmethod
    def of(cls, weight: Tensor, lora_rows: int) -> Self:
        """Return the quantised projection with room for `lora_rows` rows of adapters, all zero."""
        functional = _bitsandbytes().functional
        packed, state = functional.quantize_4bit(
            weight, blocksize=NF4_BLOCK, quant_type="nf4", compress_statistics=False
        )
        return cls(packed, state, weight.shape[0], weight.new_zeros(lora_rows, weight.shape[1]))

    def alone(self, x: Tensor) -> Tensor:
        """See Projection."""
        if len(x) <= _FUSED_ROWS:
            return _bitsandbytes().matmul_4bit(x, self.packed, self.state)
        return x @ _bitsandbytes().functional.dequantize_4bit(self.packed, self.state).t()

    def with_lora(self, x: Tensor) -> Tensor:
        """See Projection."""
        import torch

        product = x.new_empty(x.shape[0], self.width + self.lora_a.shape[0])
        torch.mm(x, self.lora_a.t(), out=product[:, self.width :])
        product[:, : self.width] = self.alone(x)
        return product


def _bitsandbytes() -> Any:
    try:
        import bitsandbytes
    except ImportError as missing:
        raise unimportable(missing, "bitsandbytes", "gpu") from missing
    return bitsandbytes
