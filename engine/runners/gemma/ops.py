"""What the forward passes compute between matrix products, in plain torch: right on every device.

`triton_ops` computes the same on CUDA, fused. Both work in float32 inside and round to the tensors' type
where transformers does, so that adapters meet the numbers they were trained with.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

Tensor = Any


@dataclass(frozen=True, slots=True)
class Expansion:
    """LoRA of a projection whose product carries the first factors' columns: `y[:, :n] += t @ B`.

    `product` is [rows, n + adapters * parts * rank]; the columns from `n` on are t, for each adapter `parts`
    groups of `rank`. `b` is [adapters, rank, n]; column c uses the group of its part, which `bounds` ends.
    A row uses adapter `adapters[row]`, none where that is -1.
    """

    b: Tensor
    adapters: Tensor  # int32 [rows]
    bounds: tuple[int, ...]  # end column of each part; the last is n

    @property
    def width(self) -> int:
        """Columns of the projection itself."""
        return self.bounds[-1]


@dataclass(frozen=True, slots=True)
class Packed:
    """Rows of different lengths, one after the other, each with keys that may begin before its queries.

    `queries` and `keys` are int32 [rows + 1]: where each row begins, and the end.
    """

    queries: Tensor
    keys: Tensor
    longest_query: int
    longest_key: int
    lengths: tuple[tuple[int, int], ...]  # (queries, keys) of each row, on the host


class Ops(Protocol):
    """Everything between matrix products. Shapes: T tokens, H heads of D, G key heads, N hidden, F ffn."""

    def norm(self, x: Tensor, weight: Tensor, eps: float) -> Tensor:
        """Return RMS-normalised `x` times (1 + weight); [T, N]."""

    def add_norm(self, h: Tensor, x: Tensor, after: Tensor, before: Tensor, eps: float) -> Tensor:
        """Add norm(x, after) to `h` in place and return norm(h, before); `x` is a projection's product."""

    def qkv(
        self,
        product: Tensor,
        norms: tuple[Tensor, Tensor],
        rope: tuple[Tensor, Tensor],
        positions: Tensor,
        keys: Tensor,
        values: Tensor,
        places: Tensor,
        eps: float,
    ) -> Tensor:
        """Return the queries [T, H, D], normalised and turned; put keys and values in rows `places`.

        `keys` and `values` are [any, G, D]; `rope` is cosine and sine, [positions, D / 2] in float32.
        """

    def expand(self, product: Tensor, lora: Expansion) -> Tensor:
        """Add the rows' adapters to `product` in place and return its own columns, a view."""

    def geglu(self, product: Tensor, width: int) -> Tensor:
        """Return gelu(gate) * up, [T, F], of the product [T, 2F]."""

    def geglu_run(self, product: Tensor, width: int, t: Tensor, b: Tensor, out: Tensor) -> None:
        """Write `geglu` of rows with one adapter to `out`, [T, F]; t is [T, 2 * rank], b [rank, 2F]."""

    def attend(
        self, queries: Tensor, keys: Tensor, values: Tensor, packed: Packed, window: int, scale: float
    ) -> Tensor:
        """Return causal attention, [T, H * D]; a query sees the last `window` keys, all where that is 0."""

    def attend_cached(
        self, queries: Tensor, keys: Tensor, values: Tensor, slots: Tensor, positions: Tensor, scale: float
    ) -> Tensor:
        """Return attention of one query a row to its slot of a ring, [T, H * D].

        `keys` and `values` are [slots, ring, G, D]; what position p brought stands at p modulo the ring.
        """

    def choose(self, logits: Tensor, allowed: Tensor) -> Tensor:
        """Return each row's most probable allowed token; `allowed` is a bit a token, int32 [T, V / 32]."""


class PlainOps:
    """Ops in plain torch."""

    def norm(self, x: Tensor, weight: Tensor, eps: float) -> Tensor:
        """See Ops."""
        wide = x.float()
        scaled = wide * (wide.pow(2).mean(-1, keepdim=True) + eps).rsqrt()
        return (scaled * (1 + weight.float())).to(x.dtype)

    def add_norm(self, h: Tensor, x: Tensor, after: Tensor, before: Tensor, eps: float) -> Tensor:
        """See Ops."""
        h += self.norm(x, after, eps)
        return self.norm(h, before, eps)

    def qkv(
        self,
        product: Tensor,
        norms: tuple[Tensor, Tensor],
        rope: tuple[Tensor, Tensor],
        positions: Tensor,
        keys: Tensor,
        values: Tensor,
        places: Tensor,
        eps: float,
    ) -> Tensor:
        """See Ops."""
        kv_heads, dim = keys.shape[-2:]
        parts = product.unflatten(1, (-1, dim))
        heads = parts.shape[1]
        q, k, v = parts.split([heads - 2 * kv_heads, kv_heads, kv_heads], dim=1)
        keys[places] = _turned(self.norm(k, norms[1], eps), rope, positions)
        values[places] = v
        return _turned(self.norm(q, norms[0], eps), rope, positions)

    def expand(self, product: Tensor, lora: Expansion) -> Tensor:
        """See Ops."""
        rank, parts, width = lora.b.shape[1], len(lora.bounds), lora.width
        for row, adapter in enumerate(lora.adapters.tolist()):
            first = width + adapter * parts * rank
            for number, (start, end) in enumerate(_spans(lora.bounds) if adapter >= 0 else ()):
                t = product[row, first + number * rank : first + (number + 1) * rank].float()
                added = t @ lora.b[adapter, :, start:end].float()
                product[row, start:end] = (product[row, start:end].float() + added).to(product.dtype)
        return product[:, :width]

    def geglu(self, product: Tensor, width: int) -> Tensor:
        """See Ops."""
        return _gated(product, width)

    def geglu_run(self, product: Tensor, width: int, t: Tensor, b: Tensor, out: Tensor) -> None:
        """See Ops."""
        rank = b.shape[0]
        adapted = product[:, : 2 * width].float()
        adapted[:, :width] += t[:, :rank].float() @ b[:, :width].float()
        adapted[:, width:] += t[:, rank:].float() @ b[:, width:].float()
        out.copy_(_gated(adapted.to(product.dtype), width))

    def attend(
        self, queries: Tensor, keys: Tensor, values: Tensor, packed: Packed, window: int, scale: float
    ) -> Tensor:
        """See Ops."""
        import torch

        rows, query, key = [], 0, 0
        for n_queries, n_keys in packed.lengths:
            seen = torch.ones(n_queries, n_keys, dtype=torch.bool, device=queries.device)
            seen = seen.tril(n_keys - n_queries)
            if window:
                seen = seen.triu(n_keys - n_queries - window + 1)
            own = slice(query, query + n_queries), slice(key, key + n_keys)
            rows.append(_attention(queries[own[0]], keys[own[1]], values[own[1]], seen, scale))
            query, key = query + n_queries, key + n_keys
        return torch.cat(rows)

    def attend_cached(
        self, queries: Tensor, keys: Tensor, values: Tensor, slots: Tensor, positions: Tensor, scale: float
    ) -> Tensor:
        """See Ops."""
        import torch

        ring = torch.arange(keys.shape[1], device=keys.device)
        rows = [
            _attention(query[None], keys[slot], values[slot], (ring <= position)[None], scale)
            for query, slot, position in zip(queries, slots, positions, strict=True)
        ]
        return torch.cat(rows)

    def choose(self, logits: Tensor, allowed: Tensor) -> Tensor:
        """See Ops."""
        import torch

        bits = (allowed.unsqueeze(-1) >> torch.arange(32, dtype=torch.int32, device=allowed.device)) & 1
        open_ = bits.bool().flatten(1)[:, : logits.shape[-1]]
        return logits.float().masked_fill(~open_, float("-inf")).argmax(-1)


def _gated(product: Tensor, width: int) -> Tensor:
    import torch.nn.functional as nn

    gate, up = product.split(width, dim=-1)
    return nn.gelu(gate.float(), approximate="tanh").to(gate.dtype) * up


def _spans(bounds: Sequence[int]) -> list[tuple[int, int]]:
    return list(zip((0, *bounds[:-1]), bounds, strict=True))


def _turned(x: Tensor, rope: tuple[Tensor, Tensor], positions: Tensor) -> Tensor:
    import torch

    cos, sin = (table[positions].unsqueeze(1) for table in rope)
    first, second = x.float().chunk(2, dim=-1)
    return torch.cat((first * cos - second * sin, second * cos + first * sin), dim=-1).to(x.dtype)


def _attention(queries: Tensor, keys: Tensor, values: Tensor, seen: Tensor, scale: float) -> Tensor:
    import torch.nn.functional as nn

    q, k, v = (x.transpose(0, 1)[None] for x in (queries, keys, values))
    out = nn.scaled_dot_product_attention(q, k, v, attn_mask=seen, scale=scale, enable_gqa=True)
    return out[0].transpose(0, 1).flatten(1)
