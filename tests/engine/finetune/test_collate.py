"""Padding on the right, and what the model sees of it: nothing."""

from __future__ import annotations

from array import array
from pathlib import Path

import pytest

from engine.finetune.encoding import IGNORED, EncodedRow
from engine.finetune.trainer import collate

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.train


def row(*ids: int, weight: float = 1.0) -> EncodedRow:
    labels = array("i", [IGNORED] * (len(ids) - 1) + [7])
    return EncodedRow(array("i", ids), labels, weight)


def test_rows_are_padded_on_the_right() -> None:
    """All are as long as the longest, rounded up to 32; padding trains nothing."""
    batch = collate([row(*range(2, 35)), row(5, 6, weight=0.5)])
    assert batch["input_ids"].shape == batch["labels"].shape == (2, 64)
    assert batch["input_ids"][1].tolist() == [5, 6] + [0] * 62
    assert batch["labels"][1].tolist() == [IGNORED, 7] + [IGNORED] * 62
    assert batch["input_ids"][0, :33].tolist() == list(range(2, 35))
    assert batch["weight"].tolist() == [1.0, 0.5]


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
def test_padding_is_not_seen(tiny_base: Path, attention: str) -> None:
    """Without a mask, real tokens have the states that they have alone, sliding windows included."""
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(
        tiny_base, dtype=torch.float32, attn_implementation=attention
    )
    rows = [row(*range(10, 50)), row(*range(60, 75)), row(99)]
    with torch.no_grad():
        padded = model.model(input_ids=collate(rows)["input_ids"]).last_hidden_state
        for index, one in enumerate(rows):
            alone = model.model(input_ids=torch.tensor([list(one.input_ids)])).last_hidden_state
            torch.testing.assert_close(padded[index, : len(one.input_ids)], alone[0], atol=1e-5, rtol=1e-5)
