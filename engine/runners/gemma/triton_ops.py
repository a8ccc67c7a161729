"""`Ops` on CUDA: Triton kernels, and torch's own flash attention for prompts.

Every launch can be captured in a CUDA graph: grids depend on shapes alone, lengths are read on the device.
"""

from __future__ import annotations

from typing import Any

import torch  # noqa: TID253 - imported on CUDA alone
import triton

from engine.runners.gemma import kernels
from engine.runners.gemma.ops import Expansion, Packed, Tensor

_COLUMNS = 1024  # of a geglu program
_TILE_COLUMNS, _LARGEST_TILE = 128, 64  # columns and rows of an expand program
_RUN_TILE = 64, 128  # rows and columns of a geglu program over a run
_VOCABULARY = 4096  # tokens of a choose program
_KEYS = 32  # of a step of cached attention
_PROGRAMS = 264  # of cached attention at least, where the keys suffice: two for each unit of an H100
_MOST_SPLITS = 16
_SMALLEST_DOT = 16  # rows


class TritonOps:
    """Ops as Triton kernels, for CUDA devices with bfloat16."""

    def norm(self, x: Tensor, weight: Tensor, eps: float) -> Tensor:
        """See Ops."""
        rows, n = x.shape
        y = torch.empty_like(x)
        kernels.norm_kernel[(rows,)](x, weight, y, n, eps, BLOCK=_power(n))
        return y

    def add_norm(self, h: Tensor, x: Tensor, after: Tensor, before: Tensor, eps: float) -> Tensor:
        """See Ops."""
        rows, n = h.shape
        y = torch.empty_like(h)
        kernels.add_norm_kernel[(rows,)](
            h, x, after, before, y, n, x.stride(0), eps, BLOCK=_power(n), num_warps=8 if n > 1024 else 4
        )
        return y

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
        rows, width = product.shape
        kv_heads, dim = keys.shape[-2:]
        heads = width // dim - 2 * kv_heads
        queries = product.new_empty(rows, heads, dim)
        kernels.qkv_kernel[(rows, heads + 2 * kv_heads)](
            product, *norms, *rope, positions, queries, keys, values, places, product.stride(0), eps,
            HEADS=heads, KV_HEADS=kv_heads, DIM=dim, num_warps=2,
        )  # fmt: skip
        return queries

    def expand(self, product: Tensor, lora: Expansion) -> Tensor:
        """See Ops."""
        rows, slots, rank, parts = len(product), len(lora.b), lora.b.shape[1], len(lora.bounds)
        ends = (*lora.bounds, *[lora.width] * (3 - parts))
        sizes = [end - start for start, end in zip((0, *ends), ends, strict=False)]
        tile = min(_LARGEST_TILE, max(_SMALLEST_DOT, _power(rows)))
        tiles = sum(triton.cdiv(size, _TILE_COLUMNS) for size in sizes), triton.cdiv(rows, tile)
        kernels.expand_kernel[tiles](
            product, lora.b, lora.adapters, rows, product.stride(0), *ends, ROWS=tile, COLUMNS=_TILE_COLUMNS,
            PARTS=parts, RANK=rank, SLOTS=slots, DEPTH=max(_SMALLEST_DOT, _power(slots * rank)),
        )  # fmt: skip
        return product[:, : lora.width]

    def geglu(self, product: Tensor, width: int) -> Tensor:
        """See Ops."""
        rows = product.shape[0]
        y = product.new_empty(rows, width)
        kernels.geglu_kernel[(rows, triton.cdiv(width, _COLUMNS))](
            product, y, width, product.stride(0), BLOCK=_COLUMNS
        )
        return y

    def geglu_run(self, product: Tensor, width: int, t: Tensor, b: Tensor, out: Tensor) -> None:
        """See Ops."""
        rows, (tile_rows, tile_columns) = product.shape[0], _RUN_TILE
        rank = b.shape[0]
        kernels.geglu_run_kernel[(triton.cdiv(rows, tile_rows), triton.cdiv(width, tile_columns))](
            product, t, b, out, rows, width, product.stride(0), ROWS=tile_rows, COLUMNS=tile_columns,
            RANK=rank, DEPTH=max(_SMALLEST_DOT, _power(rank)), num_warps=8,
        )  # fmt: skip

    def attend(
        self, queries: Tensor, keys: Tensor, values: Tensor, packed: Packed, window: int, scale: float
    ) -> Tensor:
        """See Ops."""
        sees = {"window_size_left": window - 1, "window_size_right": 0} if window else {}
        out = torch.ops.aten._flash_attention_forward(
            queries, keys, values, packed.queries, packed.keys, packed.longest_query, packed.longest_key,
            0.0, True, False, scale=scale, **sees,
        )[0]  # fmt: skip
        return out.flatten(1)

    def attend_cached(
        self, queries: Tensor, keys: Tensor, values: Tensor, slots: Tensor, positions: Tensor, scale: float
    ) -> Tensor:
        """See Ops."""
        rows, heads, dim = queries.shape
        ring, kv_heads = keys.shape[1:3]
        splits = _splits(rows * kv_heads, ring)
        partial = queries.new_empty(rows, heads, splits, dim, dtype=torch.float32)
        peaks, sums = (queries.new_empty(rows, heads, splits, dtype=torch.float32) for _ in range(2))
        kernels.attend_split_kernel[(rows, kv_heads, splits)](
            queries, keys, values, slots, positions, partial, peaks, sums, ring, scale,
            HEADS=heads, KV_HEADS=kv_heads, DIM=dim, SPLITS=splits,
            GROUP=max(_SMALLEST_DOT, _power(heads // kv_heads)), BLOCK=_KEYS, num_warps=4, num_stages=3,
        )  # fmt: skip
        y = queries.new_empty(rows, heads * dim)
        kernels.attend_join_kernel[(rows * heads,)](partial, peaks, sums, y, DIM=dim, SPLITS=splits)
        return y

    def choose(self, logits: Tensor, allowed: Tensor) -> Tensor:
        """See Ops."""
        rows, vocab = logits.shape
        parts = triton.cdiv(vocab, _VOCABULARY)
        best = logits.new_empty(rows, parts, dtype=torch.float32)
        where = logits.new_empty(rows, parts, dtype=torch.int32)
        chosen = logits.new_empty(rows, dtype=torch.int64)
        kernels.choose_part_kernel[(rows, parts)](
            logits, allowed, best, where, vocab, allowed.shape[1], parts, BLOCK=_VOCABULARY, num_warps=8
        )
        kernels.choose_kernel[(rows,)](best, where, chosen, parts, BLOCK=_power(parts))
        return chosen


def _splits(programs: int, ring: int) -> int:
    wanted = min(_MOST_SPLITS, max(1, _PROGRAMS // programs), max(1, ring // _KEYS))
    return int(triton.next_power_of_2(wanted))


def _power(n: int) -> Any:
    return triton.next_power_of_2(n)
