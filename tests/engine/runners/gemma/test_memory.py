"""What fits a card is computed before anything is loaded, and the README says the same."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import ModelError
from engine.runners.gemma.memory import GIB, MemoryPlan, largest_plan, measured
from engine.runners.gemma.shape import GemmaShape, Rope, read_shape
from engine.runners.gemma.sizing import CARDS, SHAPES, sizing_table

SMALL = SHAPES["270m"]


@given(st.floats(2, 200), st.sampled_from(["bfloat16", "nf4"]), st.integers(512, 8192), st.integers(1, 8))
def test_a_plan_fits_its_card(gib: float, precision: Any, context: int, adapters: int) -> None:
    """A plan stays below the card, reads a whole context in a pass and writes one reply at least."""
    plan = largest_plan(SMALL, gib * GIB, precision=precision, context=context, adapters=adapters)
    assert plan.total < gib * GIB
    assert plan.pass_tokens >= context
    assert plan.slots >= 1
    assert measured(SMALL, plan) == plan


def test_a_larger_card_does_no_less() -> None:
    """More memory never gives fewer replies at once, nor fewer tokens a pass."""
    plans = [largest_plan(SHAPES["4b"], gib * GIB) for gib in (12, 16, 24, 40, 80)]
    for small, large in pairwise(plans):
        assert (large.slots, large.pass_tokens, large.kept_tokens) >= (
            small.slots,
            small.pass_tokens,
            small.kept_tokens,
        )


def test_what_does_not_fit_says_what_it_needs() -> None:
    """The error names the memory, and the settings that would help."""
    with pytest.raises(ModelError, match=r"needs \d+\.\d GiB .* 24\.0 are there.*ENGINE_PRECISION=nf4"):
        largest_plan(SHAPES["27b"], 24 * GIB)


def test_sizes_are_those_of_the_published_models() -> None:
    """Parameters of each shape are what its name says, text model and embedding."""
    published = {"270m": 0.268e9, "1b": 1.0e9, "4b": 3.88e9, "12b": 11.8e9, "27b": 27.0e9}
    for name, count in published.items():
        assert SHAPES[name].parameters == pytest.approx(count, rel=0.02)


def test_the_page_has_the_table() -> None:
    """The sizing table is the one that is computed; run `python -m engine.runners.gemma.sizing` for it."""
    page = (Path(__file__).parents[4] / "deploy" / "docs" / "engine.md").read_text("utf-8")
    assert sizing_table() in page
    assert len(sizing_table().splitlines()) == 2 + 2 * len(SHAPES)
    assert f"{CARDS[0]} GB" in sizing_table()


def test_older_configurations_are_read(tmp_path: Path) -> None:
    """A config.json of before layer types were listed, inside that of a model with pictures."""
    text = {
        "model_type": "gemma3_text", "vocab_size": 10, "hidden_size": 8, "intermediate_size": 16,
        "num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 4, "num_hidden_layers": 12,
        "sliding_window": 5, "query_pre_attn_scalar": 4, "rope_theta": 1e6,
        "rope_scaling": {"rope_type": "linear", "factor": 8.0},
    }  # fmt: skip
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "gemma3", "text_config": text}))
    shape = read_shape(tmp_path)
    assert shape is not None
    assert [i for i, sliding in enumerate(shape.sliding) if not sliding] == [5, 11]
    assert (shape.full_rope, shape.sliding_rope) == (Rope(1e6, 8.0), Rope(1e4))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"attn_logit_softcapping": 50.0}, "attn_logit_softcapping"),
        ({"rope_parameters": {"full_attention": {"rope_type": "yarn", "rope_theta": 1}}}, "yarn"),
        ({"hidden_size": None}, "hidden_size"),
    ],
)
def test_what_is_not_known_is_refused(change: dict[str, Any], said: str) -> None:
    """Settings that our passes do not compute are named instead of ignored."""
    config: dict[str, Any] = {
        "model_type": "gemma3_text", "vocab_size": 10, "hidden_size": 8, "intermediate_size": 16,
        "num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 4, "num_hidden_layers": 12,
        "sliding_window": 5, "query_pre_attn_scalar": 4,
    }  # fmt: skip
    config |= change
    with pytest.raises(ModelError, match=said):
        GemmaShape.from_config({name: value for name, value in config.items() if value is not None})


def test_other_models_have_no_shape(tmp_path: Path) -> None:
    """A directory of another architecture is left to transformers; a plan for Gemma is not made."""
    (tmp_path / "config.json").write_text('{"model_type": "qwen2"}')
    assert read_shape(tmp_path) is None
    assert MemoryPlan("bfloat16", 1, 1, 1, 1, 1, 1).total == 0
