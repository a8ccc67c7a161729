"""The Triton kernels that `triton_ops` launches. Each computes in float32 what `ops.PlainOps` does."""

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def expand_kernel(
    product, b, adapters, rows, stride, end_0, end_1, end_2,
    ROWS: tl.constexpr, COLUMNS: tl.constexpr, PARTS: tl.constexpr, RANK: tl.constexpr,
    SLOTS: tl.constexpr, DEPTH: tl.constexpr,
):  # fmt: skip
    """Columns of one part of all rows: product += t @ B, t being zero but for the row's own adapter.

    t stands in the product behind the projection's columns, for each adapter PARTS groups of RANK; B is
    [SLOTS, RANK, end of the last part]. DEPTH is SLOTS * RANK, or what a matrix unit needs at least.
    """
    tile = tl.program_id(0)
    tiles_0 = tl.cdiv(end_0, COLUMNS)
    tiles_1 = tiles_0 + tl.cdiv(end_1 - end_0, COLUMNS)
    part = (tile >= tiles_0).to(tl.int32) + (tile >= tiles_1).to(tl.int32)
    begin = tl.where(part == 0, 0, tl.where(part == 1, end_0, end_1))
    end = tl.where(part == 0, end_0, tl.where(part == 1, end_1, end_2))
    before = tl.where(part == 0, 0, tl.where(part == 1, tiles_0, tiles_1))
    c = begin + (tile - before) * COLUMNS + tl.arange(0, COLUMNS)
    r = tl.program_id(1) * ROWS + tl.arange(0, ROWS)
    d = tl.arange(0, DEPTH)
    slot = d // RANK
    adapter = tl.load(adapters + r, mask=r < rows, other=-1)
    own = (adapter[:, None] == slot[None, :]) & (slot < SLOTS)[None, :]
    line = product + r.to(tl.int64)[:, None] * stride
    place = end_2 + (slot * PARTS + part) * RANK + d % RANK
    t = tl.load(line + place[None, :], mask=own, other=0.0)
    there = (slot < SLOTS)[:, None] & (c < end)[None, :]
    second = tl.load(b + d[:, None] * end_2 + c[None, :], mask=there, other=0.0)
    mask = (r < rows)[:, None] & (c < end)[None, :]
    value = tl.load(line + c[None, :], mask=mask, other=0.0).to(tl.float32) + tl.dot(t, second)
    tl.store(line + c[None, :], value.to(product.dtype.element_ty), mask=mask)


@triton.jit
def norm_kernel(x, weight, y, n, eps, BLOCK: tl.constexpr):
    """One row each: y = rms(x) * (1 + weight)."""
    row = tl.program_id(0).to(tl.int64)
    c = tl.arange(0, BLOCK)
    mask = c < n
    value = tl.load(x + row * n + c, mask=mask, other=0.0).to(tl.float32)
    w = tl.load(weight + c, mask=mask, other=0.0).to(tl.float32)
    value = value * tl.math.rsqrt(tl.sum(value * value, 0) / n + eps) * (1.0 + w)
    tl.store(y + row * n + c, value.to(y.dtype.element_ty), mask=mask)


@triton.jit
def add_norm_kernel(h, x, after, before, y, n, stride, eps, BLOCK: tl.constexpr):
    """One row each: h += rms(x) * (1 + after); y = rms(h) * (1 + before)."""
    row = tl.program_id(0).to(tl.int64)
    c = tl.arange(0, BLOCK)
    mask = c < n
    kind = h.dtype.element_ty
    value = tl.load(x + row * stride + c, mask=mask, other=0.0).to(tl.float32)
    w = tl.load(after + c, mask=mask, other=0.0).to(tl.float32)
    value = (value * tl.math.rsqrt(tl.sum(value * value, 0) / n + eps) * (1.0 + w)).to(kind)
    total = (tl.load(h + row * n + c, mask=mask, other=0.0).to(tl.float32) + value.to(tl.float32)).to(kind)
    tl.store(h + row * n + c, total, mask=mask)
    value = total.to(tl.float32)
    w = tl.load(before + c, mask=mask, other=0.0).to(tl.float32)
    value = value * tl.math.rsqrt(tl.sum(value * value, 0) / n + eps) * (1.0 + w)
    tl.store(y + row * n + c, value.to(kind), mask=mask)


@triton.jit
def qkv_kernel(
    product, q_norm, k_norm, cos, sin, positions, queries, keys, values, places, stride, eps,
    HEADS: tl.constexpr, KV_HEADS: tl.constexpr, DIM: tl.constexpr,
):  # fmt: skip
    """One head of one row each: queries and keys normalised and turned; keys and values put in place."""
    row = tl.program_id(0).to(tl.int64)
    head = tl.program_id(1)
    HALF: tl.constexpr = DIM // 2
    c = tl.arange(0, HALF)
    kind = queries.dtype.element_ty
    line = product + row * stride
    first = tl.load(line + head * DIM + c).to(tl.float32)
    second = tl.load(line + head * DIM + HALF + c).to(tl.float32)
    if head < HEADS + KV_HEADS:
        weight = q_norm if head < HEADS else k_norm
        scale = tl.math.rsqrt((tl.sum(first * first, 0) + tl.sum(second * second, 0)) / DIM + eps)
        first = first * scale * (1.0 + tl.load(weight + c).to(tl.float32))
        second = second * scale * (1.0 + tl.load(weight + HALF + c).to(tl.float32))
        first = first.to(kind).to(tl.float32)
        second = second.to(kind).to(tl.float32)
        position = tl.load(positions + row).to(tl.int64)
        co = tl.load(cos + position * HALF + c)
        si = tl.load(sin + position * HALF + c)
        first, second = first * co - second * si, second * co + first * si
    place = tl.load(places + row).to(tl.int64)
    if head < HEADS:
        out = queries + (row * HEADS + head) * DIM
    elif head < HEADS + KV_HEADS:
        out = keys + (place * KV_HEADS + head - HEADS) * DIM
    else:
        out = values + (place * KV_HEADS + head - HEADS - KV_HEADS) * DIM
    tl.store(out + c, first.to(kind))
    tl.store(out + HALF + c, second.to(kind))


@triton.jit
def geglu_kernel(product, y, width, stride, BLOCK: tl.constexpr):
    """A block of columns of one row each: y = gelu(gate) * up."""
    row = tl.program_id(0).to(tl.int64)
    c = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    mask = c < width
    kind = y.dtype.element_ty
    line = product + row * stride
    gate = tl.load(line + c, mask=mask, other=0.0).to(tl.float32)
    up = tl.load(line + width + c, mask=mask, other=0.0).to(tl.float32)
    inner = 0.7978845608028654 * (gate + 0.044715 * gate * gate * gate)
    gelu = 0.5 * gate * (2.0 - 2.0 / (1.0 + tl.exp(2.0 * inner)))
    tl.store(y + row * width + c, (gelu.to(kind).to(tl.float32) * up).to(kind), mask=mask)


@triton.jit
def geglu_run_kernel(
    product, t, b, y, rows, width, stride,
    ROWS: tl.constexpr, COLUMNS: tl.constexpr, RANK: tl.constexpr, DEPTH: tl.constexpr,
):  # fmt: skip
    """A tile of many rows with one adapter: gate and up with t @ B added, then y = gelu(gate) * up.

    `t` is [rows, 2 * RANK] and `b` [RANK, 2 * width]; DEPTH is RANK, or what a matrix unit needs at least.
    """
    r = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    c = tl.program_id(1) * COLUMNS + tl.arange(0, COLUMNS)
    d = tl.arange(0, DEPTH)
    own = (r < rows)[:, None]
    mask = own & (c < width)[None, :]
    kind = y.dtype.element_ty
    at = r.to(tl.int64)[:, None] * stride + c[None, :]
    factors = t + r[:, None] * (2 * RANK) + d[None, :]
    gate_t = tl.load(factors, mask=own & (d < RANK)[None, :], other=0.0)
    up_t = tl.load(factors + RANK, mask=own & (d < RANK)[None, :], other=0.0)
    tile = b + d[:, None] * (2 * width) + c[None, :]
    there = (d < RANK)[:, None] & (c < width)[None, :]
    gate = tl.load(product + at, mask=mask, other=0.0).to(tl.float32)
    up = tl.load(product + at + width, mask=mask, other=0.0).to(tl.float32)
    gate += tl.dot(gate_t, tl.load(tile, mask=there, other=0.0))
    up += tl.dot(up_t, tl.load(tile + width, mask=there, other=0.0))
    gate = gate.to(kind).to(tl.float32)
    up = up.to(kind).to(tl.float32)
    inner = 0.7978845608028654 * (gate + 0.044715 * gate * gate * gate)
    gelu = 0.5 * gate * (2.0 - 2.0 / (1.0 + tl.exp(2.0 * inner)))
    out = (gelu.to(kind).to(tl.float32) * up).to(kind)
    tl.store(y + r.to(tl.int64)[:, None] * width + c[None, :], out, mask=mask)


@triton.jit
def attend_split_kernel(
    queries, keys, values, slots, positions, partial, peaks, sums, ring, scale,
    HEADS: tl.constexpr, KV_HEADS: tl.constexpr, DIM: tl.constexpr, SPLITS: tl.constexpr,
    GROUP: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """A share of a row's keys, for the query heads of one key head each: attention up to the division."""
    row = tl.program_id(0)
    kv_head = tl.program_id(1)
    split = tl.program_id(2)
    PER: tl.constexpr = HEADS // KV_HEADS
    g = tl.arange(0, GROUP)
    c = tl.arange(0, DIM)
    j = tl.arange(0, BLOCK)
    length = tl.minimum(tl.load(positions + row) + 1, ring)
    share = tl.cdiv(tl.cdiv(length, SPLITS), BLOCK) * BLOCK
    start = split * share
    end = tl.minimum(start + share, length)
    base = tl.load(slots + row).to(tl.int64) * ring * KV_HEADS * DIM + kv_head * DIM
    q = tl.load(
        queries + (row * HEADS + kv_head * PER + g)[:, None] * DIM + c[None, :],
        mask=(g < PER)[:, None], other=0.0,
    )  # fmt: skip
    peak = tl.full((GROUP,), float("-inf"), tl.float32)
    total = tl.zeros((GROUP,), tl.float32)
    out = tl.zeros((GROUP, DIM), tl.float32)
    for at in range(start, end, BLOCK):
        there = at + j < end
        place = (at + j)[:, None] * (KV_HEADS * DIM) + c[None, :]
        k = tl.load(keys + base + place, mask=there[:, None], other=0.0)
        score = tl.dot(q, tl.trans(k)) * scale
        score = tl.where(there[None, :], score, float("-inf"))
        higher = tl.maximum(peak, tl.max(score, 1))
        weight = tl.exp(score - higher[:, None])
        fade = tl.exp(peak - higher)
        total = total * fade + tl.sum(weight, 1)
        v = tl.load(values + base + place, mask=there[:, None], other=0.0)
        out = out * fade[:, None] + tl.dot(weight.to(v.dtype), v)
        peak = higher
    at = (row * HEADS + kv_head * PER + g) * SPLITS + split
    tl.store(peaks + at, peak, mask=g < PER)
    tl.store(sums + at, total, mask=g < PER)
    tl.store(partial + at[:, None] * DIM + c[None, :], out, mask=(g < PER)[:, None])


@triton.jit
def attend_join_kernel(partial, peaks, sums, y, DIM: tl.constexpr, SPLITS: tl.constexpr):
    """One head of one row each: the shares put together."""
    head = tl.program_id(0)
    c = tl.arange(0, DIM)
    s = tl.arange(0, SPLITS)
    peak = tl.load(peaks + head * SPLITS + s)
    factor = tl.exp(peak - tl.max(peak, 0))
    total = tl.sum(factor * tl.load(sums + head * SPLITS + s), 0)
    parts = tl.load(partial + (head * SPLITS + s)[:, None] * DIM + c[None, :])
    tl.store(y + head * DIM + c, (tl.sum(parts * factor[:, None], 0) / total).to(y.dtype.element_ty))


@triton.jit
def choose_part_kernel(logits, allowed, best, where, vocab, words, parts, BLOCK: tl.constexpr):
    """A block of the vocabulary of one row each: its most probable allowed token."""
    row = tl.program_id(0).to(tl.int64)
    part = tl.program_id(1)
    c = part * BLOCK + tl.arange(0, BLOCK)
    there = c < vocab
    bits = tl.load(allowed + row * words + c // 32, mask=there, other=0)
    open_ = there & (((bits >> (c % 32)) & 1) != 0)
    value = tl.load(logits + row * vocab + c, mask=open_, other=float("-inf")).to(tl.float32)
    tl.store(best + row * parts + part, tl.max(value, 0))
    tl.store(where + row * parts + part, part * BLOCK + tl.argmax(value, 0))


@triton.jit
def choose_kernel(best, where, chosen, parts, BLOCK: tl.constexpr):
    """One row each: the best of the blocks' best."""
    row = tl.program_id(0).to(tl.int64)
    p = tl.arange(0, BLOCK)
    value = tl.load(best + row * parts + p, mask=p < parts, other=float("-inf"))
    tl.store(chosen + row, tl.load(where + row * parts + tl.argmax(value, 0)))
