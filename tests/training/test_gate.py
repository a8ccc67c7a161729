"""Who is promoted, and who is told why not."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.bootstrap import Estimate, paired_difference
from training.gate import Direction, GateSettings, Rule, decide

GOOD = {
    "top1": Estimate(0.06, 0.02, 0.1),
    "item_auc": Estimate(0.01, -0.005, 0.02),
    "silent_clean": Estimate(0.0, -0.01, 0.01),
    "false_alarms_per_clean_item": Estimate(0.0, -0.02, 0.03),
}
BAD: dict[str, tuple[dict[str, Estimate], str]] = {
    "no sure gain": ({"top1": Estimate(0.06, -0.01, 0.12)}, "top1: +0.060"),
    "worse on one": ({"item_auc": Estimate(-0.02, -0.04, 0.0)}, "item_auc: -0.020"),
    "more false alarms": (
        {"false_alarms_per_clean_item": Estimate(0.1, 0.02, 0.2)}, "false_alarms_per_clean_item: +0.100",
    ),
    "not measured": ({"silent_clean": Estimate(None, None, None)}, "silent_clean: not measured"),
}  # fmt: skip


def test_a_sure_gain_without_a_loss_is_promoted() -> None:
    """Nothing speaks against it."""
    decision = decide(GOOD, GateSettings(), items=200)
    assert decision.promote
    assert decision.reasons == ()
    assert {verdict.measure for verdict in decision.verdicts} == {"items", *GOOD}


@pytest.mark.parametrize(("changes", "reason"), BAD.values(), ids=BAD.keys())
def test_one_failed_rule_is_enough(changes: dict[str, Estimate], reason: str) -> None:
    """It is named, with what was asked for."""
    decision = decide(GOOD | changes, GateSettings(), items=200)
    assert not decision.promote
    (found,) = decision.reasons
    assert found.startswith(reason)


def test_every_reason_is_told() -> None:
    """Too few items, a probe's objection and a lost measure together."""
    measured = GOOD | BAD["worse on one"][0]
    decision = decide(measured, GateSettings(), items=3, objections=["the word 'x' moves scores by +0.5"])
    assert not decision.promote
    assert len(decision.reasons) == 3


def test_settings_decide() -> None:
    """One gain of several can be enough; without a rule that asks for one nobody is promoted."""
    rules = {"a": Rule(gain=0.0), "b": Rule(better=Direction.DOWN, gain=0.01)}
    measured = {"a": Estimate(0.0, -0.1, 0.1), "b": Estimate(-0.1, -0.2, -0.05)}
    assert not decide(measured, GateSettings(rules=rules), items=99).promote
    assert decide(measured, GateSettings(rules=rules, any_gain=True), items=99).promote
    assert not decide(measured, GateSettings(rules={"a": Rule(loss=1.0)}), items=99).promote


def test_pairing_finds_what_lies_in_the_noise() -> None:
    """Items differ much more than the two systems; the pairs still tell, and equal systems do not."""
    rng = np.random.default_rng(0)
    champion = rng.normal(0, 1, 300)
    better = paired_difference((champion + rng.normal(0.05, 0.1, 300)).tolist(), champion.tolist())
    assert better.low is not None
    assert better.low > 0
    same = paired_difference(champion.tolist(), champion.tolist())
    assert (same.value, same.low, same.high) == (0.0, 0.0, 0.0)
    assert paired_difference([], []).value is None


@given(st.lists(st.floats(-1, 1), min_size=1, max_size=20), st.integers(0, 99))
def test_a_loss_never_passes_for_a_gain(values: list[float], seed: int) -> None:
    """What is worse on every item is not promoted, whatever is drawn."""
    difference = paired_difference([value - 0.1 for value in values], values, samples=50, seed=seed)
    settings = GateSettings(rules={"m": Rule(gain=0.0)}, min_items=1)
    assert not decide({"m": difference}, settings, items=len(values)).promote
