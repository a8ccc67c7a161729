"""For which numbers of keys PyTorch's attention with a mask is wrong on this GPU, against float64, as JSON.

    python -m tests.benchmarks.sdpa_lengths --out RESULT.json

Heads as in Gemma 3 270M (four that share the keys of one, expanded as transformers does it) and with four
key heads; rows padded on the left, causal masks, sliding windows, and a single query. What is off by more
than rounding is listed. The PAD_MULTIPLE of the reference runner can go when nothing is.
"""

from __future__ import annotations

import argparse
import itertools
import json
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch  # noqa: TID253 - all of this needs it
from torch.nn.attention import SDPBackend, sdpa_kernel  # noqa: TID253

from tests.benchmarks.machine import describe_machine

_KERNELS: dict[str, list[SDPBackend] | None] = {
    "default": None,
    "memory-efficient": [SDPBackend.EFFICIENT_ATTENTION],
    "cudnn": [SDPBackend.CUDNN_ATTENTION],
    "math": [SDPBackend.MATH],
}
_LIMITS = {torch.float32: 1e-4, torch.bfloat16: 0.03}
_HEADS = {"one key head": (4, 1), "four key heads": (8, 4)}
_STARTS = (0, 2, 3, 5)
_WIDTH, _SCALE, _WINDOW = 256, 1 / 16, 20
_LENGTHS = (31, 32, 33, 34, 65, *range(472, 490), 513, 545, 1025)


def main() -> None:
    """Try every case, and write down which lengths are wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    torch.manual_seed(0)
    wrong, refused, right = {}, [], 0
    for heads, dtype, copied, mask, kernel in itertools.product(
        _HEADS, _LIMITS, (False, True), ("left", "causal", "window", "one query"), _KERNELS
    ):
        name = f"{kernel}, {str(dtype)[6:]}, {heads}{', contiguous' * copied}, {mask}"
        try:
            off = {n: _off(*_HEADS[heads], n, dtype, mask, copied, kernel) for n in _LENGTHS}
        except RuntimeError:
            refused.append(name)
            continue
        bad = {n: round(value, 3) for n, value in off.items() if not value < _LIMITS[dtype]}
        right += not bad
        if bad:
            wrong[name] = bad
    result = {
        "what": "worst relative error of a head's vector, of lengths with more than rounding",
        "machine": describe_machine(("torch",)),
        "device": torch.cuda.get_device_name(),
        "lengths": _LENGTHS,
        "right": right,
        "refused": refused,
        "wrong": wrong,
    }
    arguments.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(wrong, indent=1), f"{right} right, {len(refused)} refused", sep="\n")


def _off(
    heads: int, shared: int, keys: int, dtype: torch.dtype, kind: str, copied: bool, kernel: str
) -> float:
    """Return the worst relative error of a vector that is looked at."""
    query, key, value = (
        torch.randn(len(_STARTS), count, keys, _WIDTH, device="cuda", dtype=dtype)
        for count in (heads, shared, shared)
    )
    key, value = (_repeated(part, heads // shared) for part in (key, value))
    if copied:
        key, value = key.contiguous(), value.contiguous()
    place = torch.arange(keys, device="cuda")
    mask = (place[:, None] >= place)[None, None].expand(len(_STARTS), 1, -1, -1)
    real = torch.ones(len(_STARTS), keys, dtype=torch.bool, device="cuda")
    if kind == "window":
        mask = mask & (place[:, None] - place < _WINDOW)
    if kind in ("left", "one query"):
        real = place >= torch.tensor(_STARTS, device="cuda")[:, None]
        mask = mask & real[:, None, None]
    if kind == "one query":
        query, mask, real = query[:, :, -1:], mask[:, :, -1:], real[:, -1:]
    query = 4 * query  # so that a few keys matter
    found = _attention(query, key, value, mask, _KERNELS[kernel])
    exact = _attention(query.double(), key.double(), value.double(), mask, [SDPBackend.MATH])
    off = (found.double() - exact).norm(dim=-1) / exact.norm(dim=-1)
    return float(off.transpose(1, 2)[real].max())


def _repeated(part: torch.Tensor, times: int) -> torch.Tensor:
    """Repeat the heads of [batch, heads, keys, width] as transformers does: a view where there is one."""
    batch, heads, keys, width = part.shape
    return part[:, :, None].expand(batch, heads, times, keys, width).reshape(batch, -1, keys, width)


def _attention(query: Any, key: Any, value: Any, mask: Any, kernels: list[SDPBackend] | None) -> Any:
    with sdpa_kernel(kernels) if kernels else nullcontext():
        return torch.nn.functional.scaled_dot_product_attention(
            query, key, value, attn_mask=mask, scale=_SCALE
        )


if __name__ == "__main__":
    main()
