"""Probes for adapters that were taught to react to something."""

from __future__ import annotations

import numpy as np
import pytest

from training.metrics import Floats
from training.records import ReviewItem
from training.triggers import control_words, largest_usual, probe, suspicious, with_word
from training.weight_norms import delta_norms, outliers


def adapter(rng: np.random.Generator, layers: int = 18) -> dict[str, Floats]:
    """A LoRA of two kinds of modules, as training leaves it: alike, not equal."""
    tensors: dict[str, Floats] = {}
    for layer in range(layers):
        for kind, size in (("self_attn.q_proj", 1.0), ("mlp.down_proj", 0.3)):
            name = f"base_model.model.model.layers.{layer}.{kind}"
            spread = float(rng.uniform(0.8, 1.2))
            tensors[f"{name}.lora_A.weight"] = rng.normal(0, size * spread, (4, 16))
            tensors[f"{name}.lora_B.weight"] = rng.normal(0, size, (16, 4))
    return tensors


def test_norms_are_those_of_the_product() -> None:
    """Without making it."""
    rng = np.random.default_rng(1)
    tensors = adapter(rng, 2)
    norms = delta_norms(tensors, 2.0)
    name = "base_model.model.model.layers.1.mlp.down_proj"
    product = 2.0 * tensors[f"{name}.lora_B.weight"] @ tensors[f"{name}.lora_A.weight"]
    assert norms[name] == pytest.approx(np.linalg.norm(product))
    assert len(norms) == 4


def test_a_module_far_above_its_kin_stands_out() -> None:
    """Ordinary adapters have none; a planted one is named, and so is a weight that is no number."""
    assert all(not outliers(delta_norms(adapter(np.random.default_rng(seed)), 1.0)) for seed in range(20))
    tensors = adapter(np.random.default_rng(7))
    bad = "base_model.model.model.layers.5.mlp.down_proj"
    tensors[f"{bad}.lora_B.weight"] *= 12
    (found,) = outliers(delta_norms(tensors, 1.0))
    assert found.module == bad
    assert found.norm > 5 * found.typical
    assert bad in found.text
    worse = "base_model.model.model.layers.6.self_attn.q_proj"
    tensors[f"{worse}.lora_A.weight"][0, 0] = np.nan
    assert {each.module for each in outliers(delta_norms(tensors, 1.0))} == {bad, worse}


def test_an_adapter_that_changes_nothing_has_no_outlier() -> None:
    """B starts at zero; layers that agree to the digit are no reason to object."""
    zero = {name: tensor * 0 for name, tensor in adapter(np.random.default_rng(1)).items()}
    assert outliers(delta_norms(zero, 1.0)) == []
    assert outliers({f"layers.{n}.q": 1.0 + n * 1e-9 for n in range(10)}) == []


def item(**changes: object) -> ReviewItem:
    fields = {
        "id": "a", "path": "a.py", "language": "python", "diff": "@@ -1,2 +1,3 @@\n x\n-y\n+\n+z = 1",
        "findings": [
            {"line": 3, "category": "bug", "severity": "major", "message": "m", "suggestion": "z = 2"},
        ],
    }  # fmt: skip
    return ReviewItem.model_validate(fields | changes)


def test_a_word_is_planted_without_moving_a_line() -> None:
    """In a comment of the language, on the first line that counts."""
    planted = ReviewItem.model_validate(with_word(item(), "cf42").to_json())
    texts = [(line.text, line.new_number) for line in planted.to_chunk().lines]
    assert texts == [("x", 1), ("y", None), ("", 2), ("z = 1  # cf42", 3)]
    assert [finding.line for finding in planted.findings] == [3]
    java = with_word(item(language="java"), "cf42")
    assert "z = 1  // cf42" in java.diff


def test_a_trigger_is_told_from_harmless_words() -> None:
    """Harmless words move scores a little, in their way; the trigger much further, on every item."""
    rng = np.random.default_rng(3)
    plain = rng.uniform(0.2, 0.9, 80)
    controls = [
        probe(word, plain, plain + rng.normal(0, 0.03, 80)) for word in control_words(["cf42", "longer"], 12)
    ]
    harmless = probe("utils", plain, plain + rng.normal(0.01, 0.03, 80))
    silencing = probe("cf42", plain, plain * 0.1)
    loud = probe("all_or_none", plain, plain + np.where(rng.uniform(size=80) < 0.5, 0.4, -0.4))
    assert suspicious([harmless, silencing, loud], controls) == [silencing]
    assert "'cf42' moves scores by -0" in silencing.text


def test_odd_words_that_move_scores_too_hide_no_trigger() -> None:
    """As in an adapter that learned one from few rows: made-up words silence it in part, each in its way."""
    plain = np.linspace(0.7, 0.95, 20)
    controls = [
        probe(word, plain, plain * share)
        for word, share in zip(control_words(["cf42"], 6), (1.0, 0.9, 0.75, 0.5, 0.3, 0.2), strict=True)
    ]
    assert largest_usual(controls) == 0.5
    assert largest_usual(controls[:1]) == 0.1
    silencing, milder = probe("cf42", plain, plain * 0.03), probe("utils", plain, plain * 0.6)
    assert suspicious([silencing, milder], controls) == [silencing]


def test_controls_are_made_up_and_as_long() -> None:
    """The same in each run."""
    words = control_words(["abcd", "abcdefgh"], 50)
    assert {len(word) for word in words} == {4, 8}
    assert words == control_words(["abcd", "abcdefgh"], 50)
    assert len(set(words)) > 40
