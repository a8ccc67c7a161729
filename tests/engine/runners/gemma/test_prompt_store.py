"""The prompt store and the packing of rows: no place is used twice, nothing is found that was not kept."""

from __future__ import annotations

from itertools import accumulate

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.runners.gemma.cache import PAGE, PromptStore
from engine.runners.gemma.reading import Row, batches, plan_read
from engine.runners.gemma.shape import GemmaShape, Rope

torch = pytest.importorskip("torch")

SHAPE = GemmaShape(
    vocab=10, hidden=4, ffn=4, heads=1, kv_heads=1, head_dim=2, sliding=(False,), window=4, eps=1e-6,
    scale=1.0, full_rope=Rope(1e6), sliding_rope=Rope(1e4),
)  # fmt: skip
PROMPTS = st.lists(
    st.tuples(st.integers(0, 1), st.integers(0, 2), st.integers(1, 5 * PAGE), st.integers(0, 3)), max_size=30
)


def tokens(family: int, length: int, tail: int) -> np.ndarray:
    """Prompts of a family begin alike and differ in their last few tokens."""
    made = np.arange(length, dtype=np.int32) + 1000 * family
    made[max(0, length - 2) :] += tail
    return made


@given(PROMPTS)
def test_what_is_found_was_kept_and_is_still_there(prompts: list[tuple[int, int, int, int]]) -> None:
    """A model of the memory: a place holds adapter, token and position of whoever was given it last."""
    store = PromptStore(SHAPE, 6 * PAGE, torch.zeros(1))
    memory: dict[int, tuple[int, int, int]] = {}
    for adapter, family, length, tail in prompts:
        prompt = tokens(family, length, tail)
        found = store.find(adapter, prompt, length - 1)
        assert len(found) == 0 or PAGE <= len(found) < length
        for position, place in enumerate(found.tolist()):
            assert memory[place] == (adapter, int(prompt[position]), position)
        places = store.keep(adapter, prompt).tolist()
        assert len(places) in (0, length)
        assert len(set(places)) == len(places)
        memory |= {place: (adapter, int(prompt[i]), i) for i, place in enumerate(places)}
        if tail == 3:
            store.forget(adapter)
            assert len(store.find(adapter, prompt, length)) == 0


@given(st.lists(st.integers(1, 50), max_size=30), st.integers(1, 80), st.integers(1, 7))
def test_batches_are_runs_in_order_within_the_budget(lengths: list[int], budget: int, most: int) -> None:
    """Every row once, in order; a batch stays within both limits or is a single row."""
    slices = batches(lengths, budget, most)
    assert [i for part in slices for i in range(part.start, part.stop)] == list(range(len(lengths)))
    for part in slices:
        assert len(lengths[part]) <= most
        assert len(lengths[part]) == 1 or sum(lengths[part]) <= budget


ROWS = st.lists(st.tuples(st.integers(1, 30), st.integers(0, 29), st.integers(-1, 2)), min_size=1, max_size=8)


@given(ROWS)
def test_a_plan_reads_each_new_token_once(given_rows: list[tuple[int, int, int]]) -> None:
    """Positions, places and runs add up, whatever is kept from before; rings get each row's last tokens."""
    rows = [
        Row(
            np.arange(length, dtype=np.int32) + 100 * number,
            (length - 1,),
            adapter,
            kept=np.arange(min(kept, length - 1), dtype=np.int32),
            ring=number,
        )
        for number, (length, kept, adapter) in enumerate(given_rows)
    ]
    plan = plan_read(rows, full_ring=64, sliding_ring=8)
    starts = [0, *accumulate(len(row.tokens) for row in rows)]
    assert plan.key_starts.tolist() == starts
    assert len(plan.tokens) == len(plan.positions) == len(plan.places) == sum(row.new for row in rows)
    filled = sorted([*plan.places.tolist(), *plan.from_store.target.tolist()])
    assert filled == list(range(starts[-1]))
    assert [(end - start) for _, start, end in plan.runs if end > start] == [
        end - start for _, start, end in plan.runs
    ]
    assert plan.runs[0][1] == 0
    assert plan.runs[-1][2] == len(plan.tokens)
    for number, row in enumerate(rows):
        wanted = plan.wanted[number]
        assert plan.tokens[wanted] == row.tokens[-1]
        ring = plan.to_sliding.target[plan.to_sliding.target // 8 == number] % 8
        last = range(max(0, len(row.tokens) - 8), len(row.tokens))
        assert sorted(ring.tolist()) == sorted({position % 8 for position in last})
