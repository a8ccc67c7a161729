"""What systems say about the data's own comments, with fakes."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from engine.findings import Category, Severity
from engine.runners import WriteRequest
from engine.testing import FakeRunner
from engine.wire import Language
from training.evaluate import RETRIEVAL, Plan, Subject, evaluate
from training.given import given_measures, given_places, write_given
from training.records import ReviewFinding, ReviewItem
from training.report import report_text, write_metrics
from training.scored import ScoredItem

pytest.importorskip("sacrebleu")
pytest.importorskip("sklearn")


def item(number: int, *messages: str, split: str = "dev") -> ReviewItem:
    """An item of three added lines from line 10 on, with a comment on each of the first ones."""
    findings = [
        ReviewFinding(line=10 + at, category=Category.DOCS, severity=Severity.MINOR, message=message)
        for at, message in enumerate(messages)
    ]
    return ReviewItem(
        id=f"{split}-{number}",
        diff=f"@@ -9,0 +10,3 @@\n+alpha{number} = one\n+beta{number} = two\n+gamma{number} = three",
        path="a.py",
        language="python",
        findings=tuple(findings),
        split=split,  # type: ignore[arg-type]
    )


ITEMS = [item(0, "Say why.", "Name it better."), item(1), item(2, "Too long.")]


def answer(request: WriteRequest) -> str:
    """Say what the data says of the first line of the first item, and nonsense about other items."""
    if "alpha0" not in request.prompt:
        return "nonsense"
    return json.dumps({"severity": "minor", "message": "Say why."})


def test_places_are_spread_over_all_comments() -> None:
    """A limit takes every so many-th, in order."""
    many = [item(number, "a", "b") for number in range(6)]
    assert [(place, finding.line) for place, finding in given_places(ITEMS, 9)] == [(0, 10), (0, 11), (2, 10)]
    assert [place for place, _ in given_places(many, 4)] == [0, 1, 3, 4]
    assert given_places(ITEMS, 0) == []


def test_each_message_stands_beside_the_comment_of_its_line() -> None:
    """A reply that cannot be read has nothing in common; none may be silent."""
    runner = FakeRunner(replies=answer)
    pairs, speed = write_given(runner, ITEMS, given_places(ITEMS, 9), Language.EN)
    assert [(pair.item, pair.line, pair.said, pair.wanted) for pair in pairs] == [
        (0, 10, "Say why.", "Say why."),
        (0, 11, "Say why.", "Name it better."),
        (2, 10, "", "Too long."),
    ]
    assert speed.requests == 3
    assert runner.written[1].suffix.startswith("\n2 beta0 = two => docs en")
    measures = given_measures([ScoredItem(one, ()) for one in ITEMS], pairs, 5, 0)["all"]
    assert runner.written[0].schema["type"] == "object"
    assert 100 / 3 < measures["given_chrf"][0] < 60
    assert measures["given_rouge_l"][0] == pytest.approx(1 / 3)


def test_the_retriever_stands_beside_the_models(tmp_path: Path) -> None:
    """On the same lines; its difference to the adapter is in the report."""
    train = [item(number, f"Say why, {number}.", split="train") for number in (0, 7)]
    train.append(item(8, split="train").model_copy(update={"findings": ()}))
    train.append(
        item(9, "Test it.", split="train").model_copy(
            update={"findings": (replace_category(item(9, "Test it.").findings[0]),)}
        )
    )
    plan = Plan(ITEMS, [Subject("ours", Path("ours"), "ours-1", None)], tmp_path, samples=20, train=train)
    result = evaluate(replace(plan, given=9), lambda adapter: FakeRunner(replies=answer))
    write_metrics(tmp_path / "metrics.json", result, {})
    found = json.loads((tmp_path / "metrics.json").read_text())
    assert found["systems"][RETRIEVAL]["groups"]["all"]["given_rouge_l"]["value"] < 1
    difference = found["differences"][RETRIEVAL]["given_chrf"]
    assert difference["low"] <= difference["value"] <= difference["high"]
    assert "ours - retrieval" in report_text(result, {}, [], "")


def replace_category(finding: ReviewFinding) -> ReviewFinding:
    """The linear baseline needs two categories."""
    return finding.model_copy(update={"category": Category.TEST})
