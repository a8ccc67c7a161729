"""The general set that every adapter should still master."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.testing import FakeReader, FakeRunner, by_keyword
from training.canaries import canary_items, canary_measures, canary_texts
from training.score_cache import ScoreCache

SHARP = by_keyword({
    "basket=[]": (" bug", 0.9), "except:": (" bug", 0.9), "shell=True": (" security", 0.9),
})  # fmt: skip


def test_the_set_is_whole() -> None:
    """Flawed and clean hunks of four languages, each flaw where one can be; texts of both languages."""
    items = canary_items()
    assert {one.language for one in items} == {"python", "java", "javascript", "go"}
    assert sum(bool(one.findings) for one in items) == 18
    assert sum(not one.findings for one in items) == 12
    assert all(any(found for _, found in one.anchors()) for one in items if one.findings)
    texts = canary_texts()
    assert len({text.id for text in texts}) == len(texts) == 16
    assert sum(not text.text.isascii() for text in texts) == 3


def test_what_is_measured_is_lines_and_texts(tmp_path: Path) -> None:
    """Three flaws known put item AUC above chance; a text's NLL weighs each text alike."""
    cache = ScoreCache(tmp_path / "scores.jsonl", "fake")
    runner = FakeReader(SHARP, log_probability=lambda word: -2.0)
    found = canary_measures(runner, cache, 10, 0)
    assert {name: values.shape for name, values in found.items()} == {
        "canary_item_auc": (11,),
        "canary_top1": (11,),
        "canary_text_nll": (11,),
    }
    assert found["canary_item_auc"][0] == pytest.approx(0.5 + 3 / 18 / 2)
    assert found["canary_text_nll"][0] == 2
    assert len(runner.scored) == 30
    canary_measures(runner, cache, 10, 0)
    assert len(runner.scored) == 30


def test_a_runner_that_reads_no_texts_is_measured_on_lines(tmp_path: Path) -> None:
    """The embedded one."""
    cache = ScoreCache(tmp_path / "scores.jsonl", "fake")
    assert set(canary_measures(FakeRunner(SHARP), cache, 2, 0)) == {"canary_item_auc", "canary_top1"}
