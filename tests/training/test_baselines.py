"""Baselines: they answer as a model does, and learn what little there is to learn."""

from __future__ import annotations

import numpy as np
import pytest

from engine.errors import DataError
from engine.findings import Category
from engine.prompts import LABELS
from training.baselines import linear, majority
from training.metrics import auc
from training.records import ReviewItem
from training.scored import ScoredItem, line_table


def item(number: int, *lines: str) -> ReviewItem:
    """A hunk of added lines; `eval(` is a security finding, a one-letter name one of style."""
    findings = [
        {"line": at, "category": kind, "severity": "minor", "message": "No."}
        for at, text in enumerate(lines, start=1)
        for mark, kind in (("eval(", "security"), ("x =", "style"))
        if mark in text
    ]
    rows = "\n".join(f"+{text}" for text in lines)
    return ReviewItem.model_validate(
        {
            "id": f"item-{number}",
            "diff": f"@@ -0,0 +1,{len(lines)} @@\n{rows}",
            "path": "a.py",
            "language": "python",
            "source": "made-up",
            "findings": findings,
        }
    )


CLEAN = [item(n, f"total_{n} = sum(values)", f"return total_{n}", "") for n in range(10)]
EVAL = [item(20 + n, f"name_{n} = 1", f"result = eval(text_{n})") for n in range(10)]
STYLE = [item(40 + n, f"x = {n}", "print_all()") for n in range(5)]
TRAIN = [*CLEAN, *EVAL, *STYLE]


def check_rows(scored: list[ScoredItem]) -> None:
    """Each commentable line has a distribution over the labels."""
    for one in scored:
        assert len(one.probabilities) == len(one.lines)
        for row in one.probabilities:
            assert len(row) == len(LABELS)
            assert sum(row) == pytest.approx(1)
            assert min(row) >= 0


def test_majority_guesses_the_first_line_and_the_commonest_category() -> None:
    """The first line comes first everywhere, with the category that training has most."""
    scored = majority(TRAIN, [*CLEAN[:1], *EVAL[:1]])
    check_rows(scored)
    assert [one.top() for one in scored] == [(1, Category.SECURITY)] * 2


def test_majority_tells_no_item_from_another() -> None:
    """Every item has the same score: the AUC is a coin's."""
    table = line_table(majority(TRAIN, TRAIN))
    assert auc(table.has_finding, table.item_scores(table.raw)).tolist() == [0.5]


def test_linear_learns_the_words_of_findings() -> None:
    """On lines it never saw, the marked ones come first with their category."""
    pytest.importorskip("sklearn")
    fresh = [item(90, "other = 3", "answer = eval(body)"), item(91, "x = 7", "show()"), item(92, "go()", "")]
    scored = linear(TRAIN, fresh)
    check_rows(scored)
    assert scored[0].top() == (2, Category.SECURITY)
    assert scored[1].top() == (1, Category.STYLE)
    table = line_table(scored)
    assert np.argmin(table.item_scores(table.raw)) == 2


def test_linear_is_the_same_for_the_same_seed() -> None:
    """Nothing but the seed decides."""
    pytest.importorskip("sklearn")
    assert linear(TRAIN, EVAL[:2], seed=4) == linear(TRAIN, EVAL[:2], seed=4)


def test_training_data_without_findings_is_refused() -> None:
    """There is nothing to learn from, and the error says what is missing."""
    pytest.importorskip("sklearn")
    with pytest.raises(DataError, match="two categories"):
        linear(CLEAN, CLEAN)
    with pytest.raises(DataError, match="no commentable line"):
        majority([], CLEAN)


def test_an_item_without_commentable_lines_gets_no_row() -> None:
    """A hunk that only removes has no line to score."""
    removed = ReviewItem.model_validate(
        {
            "id": "r",
            "diff": "@@ -1,2 +1,1 @@\n keep\n-gone",
            "path": "a",
            "language": "go",
            "findings": [],
        }
    )
    pytest.importorskip("sklearn")
    assert linear(TRAIN, [removed])[0].probabilities == ()
    assert majority(TRAIN, [removed])[0].top() is None
