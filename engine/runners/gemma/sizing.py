"""The published sizes of Gemma 3 on common cards.

`python -m engine.runners.gemma.sizing` prints the README's table.
"""

from __future__ import annotations

from engine.errors import ModelError
from engine.runners.gemma.memory import GIB, Precision, largest_plan
from engine.runners.gemma.shape import GemmaShape, Rope

CARDS = (12, 16, 24, 40, 80)  # GB, as cards are called; about a twentieth less in GiB that a process sees
_USABLE = 0.95
_PRECISIONS: tuple[Precision, ...] = ("bfloat16", "nf4")


def _shape(layers: int, hidden: int, ffn: int, heads: tuple[int, int, int], window: int) -> GemmaShape:
    return GemmaShape(
        vocab=262_144,
        hidden=hidden,
        ffn=ffn,
        heads=heads[0],
        kv_heads=heads[1],
        head_dim=heads[2],
        sliding=tuple((i + 1) % 6 != 0 for i in range(layers)),
        window=window,
        eps=1e-6,
        scale=heads[2] ** -0.5,
        full_rope=Rope(1e6, 1.0 if hidden < 2000 else 8.0),
        sliding_rope=Rope(1e4),
    )


SHAPES = {
    "270m": _shape(18, 640, 2048, (4, 1, 256), 512),
    "1b": _shape(26, 1152, 6912, (4, 1, 256), 512),
    "4b": _shape(34, 2560, 10_240, (8, 4, 256), 1024),
    "12b": _shape(48, 3840, 15_360, (16, 8, 256), 1024),
    "27b": _shape(62, 5376, 21_504, (32, 16, 128), 1024),
}
"""Size -> shape; of the models of 4B and up the text part."""


def sizing_table() -> str:
    """Return the table in Markdown: replies at once, and GiB taken, for each size, precision and card."""
    head = "| model | weights | " + " | ".join(f"{card} GB" for card in CARDS) + " |"
    rows = [
        f"| {name} | {precision} | " + " | ".join(_cell(shape, precision, card) for card in CARDS) + " |"
        for name, shape in SHAPES.items()
        for precision in _PRECISIONS
    ]
    return "\n".join([head, "| --- " * (len(CARDS) + 2) + "|", *rows])


def _cell(shape: GemmaShape, precision: Precision, card: int) -> str:
    try:
        plan = largest_plan(shape, card * _USABLE * 1e9, precision=precision)
    except ModelError:
        return "-"
    return f"{plan.slots} ({plan.total / GIB:.1f})"


if __name__ == "__main__":
    print(sizing_table())
