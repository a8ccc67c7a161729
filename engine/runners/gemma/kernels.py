"""The Triton kernels that `triton_ops` launches. Each computes in float32 what `ops.PlainOps` does.

A program's LoRA part adds t @ B for its own columns: t stands in the product, behind the projection's
columns, for every resident adapter; the row's adapter chooses its own.
"""

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def expand(product, b, adapter, c, mask, width, part, PARTS: tl.constexpr, RANK: tl.constexpr):
    """LoRA of the columns `c` of one row; `product` points at the row, `b` at the stack [, RANK, width].

    Eight factors at a time are in flight: enough to hide the memory's latency, few enough for registers.
    """
    EIGHT: tl.constexpr = 8
    total = tl.zeros(c.shape, tl.float32)
    if adapter >= 0:
        r = tl.arange(0, EIGHT)
        t = product + width + (adapter * PARTS + part) * RANK
        rows = b + adapter * RANK * width
        for first in tl.static_range(0, RANK, EIGHT):
            own = (first + r) < RANK
            factor = tl.load(t + first + r, mask=own, other=0.0).to(tl.float32)
            tile = tl.load(
                rows + (first + r)[:, None] * width + c[None, :], mask=own[:, None] & mask[None, :], other=0.0
            )
            total += tl.sum(factor[:, None] * tile.to(tl.float32), 0)
    return total


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
def add_norm_kernel(
    h, x, after, before, y, b, adapters, n, stride, eps, BLOCK: tl.constexpr, RANK: tl.constexpr
):
    """One row each: h += rms(x + LoRA) * (1 + after); y = rms(h) * (1 + before)."""
    row = tl.program_id(0).to(tl.int64)
    c = tl.arange(0, BLOCK)
    mask = c < n
    kind = h.dtype.element_ty
    value = tl.load(x + row * stride + c, mask=mask, other=0.0).to(tl.float32)
    if RANK > 0:
        adapter = tl.load(adapters + row)
        value += expand(x + row * stride, b, adapter, c, mask, n, 0, 1, RANK)
        value = value.to(kind).to(tl.float32)
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
    product, q_norm, k_norm, cos, sin, positions, queries, keys, values, places, b, adapters, stride, eps,
    HEADS: tl.constexpr, KV_HEADS: tl.constexpr, DIM: tl.constexpr, RANK: tl.constexpr,
):  # fmt: skip
    """One head of one row each: queries and keys normalised and turned; keys and values put in place."""
    row = tl.program_id(0).to(tl.int64)
    head = tl.program_id(1)
    HALF: tl.constexpr = DIM // 2
    WIDTH: tl.constexpr = (HEADS + 2 * KV_HEADS) * DIM
    c = tl.arange(0, HALF)
    kind = queries.dtype.element_ty
    line = product + row * stride
    first = tl.load(line + head * DIM + c).to(tl.float32)
    second = tl.load(line + head * DIM + HALF + c).to(tl.float32)
    if RANK > 0:
        adapter = tl.load(adapters + row)
        part = (head >= HEADS).to(tl.int32) + (head >= HEADS + KV_HEADS).to(tl.int32)
        everything = c >= 0
        first += expand(line, b, adapter, head * DIM + c, everything, WIDTH, part, 3, RANK)
        second += expand(line, b, adapter, head * DIM + HALF + c, everything, WIDTH, part, 3, RANK)
        first = first.to(kind).to(tl.float32)
        second = second.to(kind).to(tl.float32)
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
def geglu_kernel(product, y, b, adapters, width, stride, BLOCK: tl.constexpr, RANK: tl.constexpr):
    """A block of columns of one row each: y = gelu(gate) * up."""
    row = tl.program_id(0).to(tl.int64)
    c = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    mask = c < width
    kind = y.dtype.element_ty
    line = product + row * stride
    gate = tl.load(line + c, mask=mask, other=0.0).to(tl.float32)
    up = tl.load(line + width + c, mask=mask, other=0.0).to(tl.float32)
    if RANK > 0:
        adapter = tl.load(adapters + row)
        gate += expand(line, b, adapter, c, mask, 2 * width, 0, 2, RANK)
        up += expand(line, b, adapter, width + c, mask, 2 * width, 1, 2, RANK)
        gate = gate.to(kind).to(tl.float32)
        up = up.to(kind).to(tl.float32)
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


@triton.jit
def nf4_kernel(
    x, packed, scales, code, y, rows, width, inputs, stride_x, stride_y,
    ROWS: tl.constexpr, OUTPUTS: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """A block of outputs of all rows: x @ W.T, W in nf4 with a scale for each BLOCK inputs."""
    n = tl.program_id(0) * OUTPUTS + tl.arange(0, OUTPUTS)
    r = tl.arange(0, ROWS)
    half = tl.arange(0, BLOCK // 2)
    there = n < width
    total = tl.zeros((ROWS, OUTPUTS), tl.float32)
    for start in range(0, inputs, BLOCK):
        at = n.to(tl.int64)[:, None] * (inputs // 2) + start // 2 + half[None, :]
        pair = tl.load(packed + at, mask=there[:, None], other=0).to(tl.int32)
        scale = tl.load(scales + n * (inputs // BLOCK) + start // BLOCK, mask=there, other=0.0)
        column = start + 2 * half
        own = (r < rows)[:, None]
        even = tl.load(x + r[:, None] * stride_x + column[None, :], mask=own, other=0.0)
        odd = tl.load(x + r[:, None] * stride_x + column[None, :] + 1, mask=own, other=0.0)
        first = tl.load(code + (pair >> 4)).to(even.dtype)
        second = tl.load(code + (pair & 15)).to(even.dtype)
        part = tl.dot(even, tl.trans(first)) + tl.dot(odd, tl.trans(second))
        total += part * scale[None, :]
    out = y + r[:, None] * stride_y + n[None, :]
    tl.store(out, total.to(y.dtype.element_ty), mask=(r < rows)[:, None] & there[None, :])
