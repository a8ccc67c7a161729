"""Written messages against the data's, by hand-made remarks."""

from __future__ import annotations

import json
from dataclasses import asdict

import pytest

from engine.findings import Category, Severity
from engine.wire import Language
from training.records import ReviewFinding, ReviewItem
from training.said import measure_texts, pairs
from training.scoring import Remark, Written

pytest.importorskip("sacrebleu")


def finding(line: int, message: str, category: Category = Category.BUG, **more: str) -> ReviewFinding:
    return ReviewFinding(line=line, category=category, severity=Severity.MINOR, message=message, **more)  # type: ignore[arg-type]


def item(number: int, *findings: ReviewFinding) -> ReviewItem:
    """An item of three added lines from line 10 on, the second one indented."""
    return ReviewItem(
        id=f"item-{number}",
        diff="@@ -9,0 +10,3 @@\n+def f():\n+    return eval(x)\n+y = f()",
        path="a.py",
        language="python",
        findings=findings,
    )


def remark(
    line: int, message: str, suggestion: str | None = None, category: Category = Category.BUG
) -> Remark:
    return Remark(line, category, 0.9, Severity.MINOR, message, suggestion)


def test_a_message_is_compared_with_the_finding_of_its_line() -> None:
    """That of the same category goes before a more severe one; other lines have nothing to compare."""
    items = [
        item(0, finding(11, "Never eval."), finding(11, "Slow.", Category.PERFORMANCE)),
        item(1),
        item(2, finding(12, "Name it better.")),
    ]
    said = (
        (remark(11, "Too slow.", category=Category.PERFORMANCE), remark(10, "Name?")),
        (remark(10, "Hm."),),
        (remark(12, "Better name."),),
    )
    found = pairs(items, Written(said), Language.EN)
    assert [(pair.item, pair.said, pair.wanted) for pair in found] == [
        (0, "Too slow.", "Slow."),
        (2, "Better name.", "Name it better."),
    ]


def test_japanese_messages_are_compared_with_japanese_ones() -> None:
    """A finding without one is compared by the message it has."""
    items = [item(0, finding(11, "Never.", message_ja="だめ。"), finding(12, "共通化してください。"))]
    said = ((remark(11, "だめです。"), remark(12, "共通化。")),)
    assert [pair.wanted for pair in pairs(items, Written(said), Language.JA)] == [
        "だめ。",
        "共通化してください。",
    ]


def test_measures_by_hand() -> None:
    """One message of two is right to the letter, the other has nothing of its reference."""
    items = [item(0, finding(11, "Never eval this.")), item(1, finding(11, "zzz"))]
    said = ((remark(11, "Never eval this."),), (remark(11, "Never eval this."),))
    texts = measure_texts(items, Written(said), Language.EN, samples=50)
    assert (texts.messages, texts.compared) == (2, 2)
    assert texts.chrf.value == pytest.approx(50)
    assert texts.rouge_l.value == pytest.approx(0.5)
    assert (texts.rouge_l.low, texts.rouge_l.high) == (0, 1)
    assert texts.variety.distinct_share == 0.5
    assert texts.variety.commonest_share == 1


def test_suggestions_stand_where_the_line_stood() -> None:
    """They are indented like it; one that leaves a bracket open is no code."""
    said = (
        (
            remark(11, "a", "return literal_eval(x)"),
            remark(11, "b", "return literal_eval(x"),
            remark(12, "c"),
        ),
    )
    texts = measure_texts([item(0)], Written(said), Language.EN, samples=5)
    assert texts.suggestions == 2
    assert texts.suggestions_valid.value == 0.5


def test_nothing_written_has_no_values() -> None:
    """Not zero: there is nothing to be good or bad. It is JSON all the same."""
    texts = measure_texts([item(0)], Written(((),)), Language.EN, samples=5)
    assert texts.chrf.value is texts.corpus_bleu is texts.suggestions_valid.value is None
    assert json.dumps(asdict(texts), allow_nan=False)
