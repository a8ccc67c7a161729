"""Each fused operation against plain torch, on random inputs drawn anew, outputs poisoned before."""

from __future__ import annotations

from typing import Any

import pytest

from engine.runners.gemma.ops import Expansion, Packed, PlainOps

torch = pytest.importorskip("torch")
pytest.importorskip("triton")

from engine.runners.gemma.triton_ops import TritonOps  # noqa: E402

PLAIN, FUSED = PlainOps(), TritonOps()
HEADS, KV_HEADS, DIM = 4, 2, 64
HIDDEN, FFN, RANK, ADAPTERS = 192, 320, 12, 3


@pytest.fixture(params=[torch.float32, torch.bfloat16], ids=["float32", "bfloat16"])
def dtype(request: pytest.FixtureRequest, device: str) -> Any:
    """Type of activations."""
    if request.param == torch.bfloat16 and device == "cpu":
        pytest.skip("the interpreter cuts bfloat16 off where a GPU rounds")
    return request.param


def close(one: Any, other: Any) -> None:
    """Equal but for rounding; no element was left unwritten."""
    assert one.shape == other.shape
    assert one.isfinite().all()
    error = (one.float() - other.float()).norm() / other.float().norm()
    assert error < (1e-5 if one.dtype == torch.float32 else 8e-3)


def poison(like: Any) -> Any:
    return torch.full_like(like, float("nan"))


def product(rows: int, bounds: tuple[int, ...], dtype: Any, device: str) -> Any:
    """A projection's product and its expansion: rows with some adapter, with another, with none."""
    x = torch.randn(rows, bounds[-1] + ADAPTERS * len(bounds) * RANK, device=device, dtype=dtype)
    b = torch.randn(ADAPTERS, RANK, bounds[-1], device=device, dtype=dtype) * 0.2
    chosen = torch.tensor([row % (ADAPTERS + 1) - 1 for row in range(rows)], dtype=torch.int32, device=device)
    return x, Expansion(b, chosen, bounds)


@pytest.mark.parametrize("rows", [1, 5])
def test_norm(rows: int, dtype: Any, device: str) -> None:
    """Rows of a width that is no power of two."""
    x, weight = torch.randn(rows, HIDDEN, device=device, dtype=dtype), torch.randn(HIDDEN, device=device)
    close(FUSED.norm(x, weight.to(dtype), 1e-6), PLAIN.norm(x, weight.to(dtype), 1e-6))


@pytest.mark.parametrize("rows", [1, 5])
def test_add_norm(rows: int, dtype: Any, device: str) -> None:
    """The residual in place and the next input."""
    x = torch.randn(rows, HIDDEN + 8, device=device, dtype=dtype)[:, :HIDDEN]
    h = torch.randn(rows, HIDDEN, device=device, dtype=dtype)
    after, before = (torch.randn(HIDDEN, device=device, dtype=dtype) for _ in range(2))
    mine, theirs = h.clone(), h.clone()
    close(
        FUSED.add_norm(mine, x, after, before, 1e-6),
        PLAIN.add_norm(theirs, x, after, before, 1e-6),
    )
    close(mine, theirs)


@pytest.mark.parametrize("rows", [1, 5])
def test_qkv(rows: int, dtype: Any, device: str) -> None:
    """Queries come back; keys and values go to their places and nowhere else."""
    width = (HEADS + 2 * KV_HEADS) * DIM
    x = torch.randn(rows, width + 8, device=device, dtype=dtype)[:, :width]
    norms = tuple(torch.randn(DIM, device=device, dtype=dtype) for _ in range(2))
    rope = tuple(torch.randn(32, DIM // 2, device=device) for _ in range(2))
    positions = torch.arange(rows, dtype=torch.int32, device=device) * 3 + 1
    places = torch.randperm(9, device=device)[:rows].to(torch.int32)
    caches = [
        [poison(torch.zeros(9, KV_HEADS, DIM, device=device, dtype=dtype)) for _ in range(2)] for _ in "ab"
    ]
    outs = [
        ops.qkv(x, norms, rope, positions, *cache, places, 1e-6)
        for ops, cache in zip((FUSED, PLAIN), caches, strict=True)
    ]
    close(*outs)
    for mine, theirs in zip(*caches, strict=True):
        close(mine[places.long()], theirs[places.long()])
        assert int(mine.isnan().any(-1).any(-1).sum()) == 9 - rows


@pytest.mark.parametrize("rows", [1, 5])
def test_geglu(rows: int, dtype: Any, device: str) -> None:
    """Gate and up of a product with other columns behind."""
    x = torch.randn(rows, 2 * FFN + 8, device=device, dtype=dtype)[:, : 2 * FFN]
    close(FUSED.geglu(x, FFN), PLAIN.geglu(x, FFN))


@pytest.mark.parametrize("bounds", [(HIDDEN,), (FFN, 2 * FFN), (256, 384, 512), (100, 130, 160)])
@pytest.mark.parametrize("rows", [1, 5, 70])
def test_expand(rows: int, bounds: tuple[int, ...], dtype: Any, device: str) -> None:
    """Each row gets its own adapter's part and no other's; what stands behind stays as it is."""
    x, lora = product(rows, bounds, dtype, device)
    mine, theirs = x.clone(), x.clone()
    outs = FUSED.expand(mine, lora), PLAIN.expand(theirs, lora)
    if dtype == torch.float32 and device == "cuda":  # tf32 in the dot products
        assert (outs[0] - outs[1]).norm() / outs[1].norm() < 2e-3
    else:
        close(*outs)
    assert torch.equal(mine[:, bounds[-1] :], x[:, bounds[-1] :])


@pytest.mark.parametrize("rank", [4, 32])
@pytest.mark.parametrize("rows", [1, 70])
def test_geglu_run(rows: int, rank: int, dtype: Any, device: str) -> None:
    """Many rows with one adapter, in tiles that the sizes do not fill."""
    x = torch.randn(rows, 2 * FFN, device=device, dtype=dtype)
    t = torch.randn(rows, 2 * rank, device=device, dtype=dtype)
    b = torch.randn(rank, 2 * FFN, device=device, dtype=dtype) * 0.2
    outs = [poison(x[:, :FFN].contiguous()) for _ in range(2)]
    for ops, out in zip((FUSED, PLAIN), outs, strict=True):
        ops.geglu_run(x, FFN, t, b, out)
    if dtype == torch.float32 and device == "cuda":  # tf32 in the dot products
        assert (outs[0] - outs[1]).norm() / outs[1].norm() < 2e-3
    else:
        close(*outs)


@pytest.mark.parametrize("ring", [48, 256])
@pytest.mark.parametrize("rows", [1, 7])
def test_attend_cached(rows: int, ring: int, dtype: Any, device: str) -> None:
    """Rows of any age: a new one, one that fills its ring in part, one that went around."""
    ages = torch.tensor([0, 31, 32, 47, 90, 255, 400], dtype=torch.int32, device=device)[:rows]
    slots = torch.randperm(rows + 1, device=device)[:rows].to(torch.int32)
    keys, values = (torch.randn(rows + 1, ring, KV_HEADS, DIM, device=device, dtype=dtype) for _ in range(2))
    queries = torch.randn(rows, HEADS, DIM, device=device, dtype=dtype)
    arguments = queries, keys, values, slots, ages, 0.1
    tolerance = 2e-3 if dtype == torch.float32 and device == "cuda" else None  # tf32 in the dot products
    mine, theirs = FUSED.attend_cached(*arguments), PLAIN.attend_cached(*arguments)
    if tolerance is None:
        close(mine, theirs)
    else:
        assert (mine - theirs).norm() / theirs.norm() < tolerance


def test_choose(dtype: Any, device: str) -> None:
    """The most probable allowed token; the first of equals."""
    vocab = 9001
    logits = torch.randn(4, vocab, device=device, dtype=dtype)
    words = torch.randint(-(2**31), 2**31 - 1, (4, -(-vocab // 32)), dtype=torch.int64, device=device)
    words &= torch.randint(-(2**31), 2**31 - 1, words.shape, dtype=torch.int64, device=device)
    allowed = words.to(torch.int32)
    allowed[3] = 0
    allowed[3, 280] = 1 << 7
    logits[2, 4000:] = 9.0
    assert FUSED.choose(logits, allowed).tolist() == PLAIN.choose(logits, allowed).tolist()
    assert FUSED.choose(logits, allowed)[3] == 280 * 32 + 7


@pytest.mark.parametrize("window", [0, 40])
def test_attend(window: int, cuda: str) -> None:
    """Packed rows with and without kept keys before them, by torch's flash attention."""
    lengths = ((1, 1), (70, 70), (5, 90), (64, 200))
    queries = torch.randn(sum(q for q, _ in lengths), HEADS, DIM, device=cuda, dtype=torch.bfloat16)
    total = sum(k for _, k in lengths)
    keys, values = (torch.randn(total, KV_HEADS, DIM, device=cuda, dtype=torch.bfloat16) for _ in "kv")
    starts = [
        torch.tensor([0, *sizes]).cumsum(0).to(cuda, torch.int32) for sizes in zip(*lengths, strict=True)
    ]
    packed = Packed(starts[0], starts[1], 70, 200, lengths)
    arguments = queries, keys, values, packed, window, 0.1
    close(FUSED.attend(*arguments), PLAIN.attend(*arguments))
