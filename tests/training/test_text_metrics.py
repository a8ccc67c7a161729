"""Texts against texts, suggestions against parsers, outputs against each other."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.text_metrics import (
    chrf,
    corpus_bleu,
    corpus_chrf,
    loops,
    rouge_l,
    suggestion_is_valid,
    tokens,
    variety,
)


def test_known_values() -> None:
    """By hand: four of five tokens in order on each side; equal texts; texts with nothing in common."""
    assert rouge_l("the list is shared here", "here the list is shared") == pytest.approx(8 / 10)
    assert rouge_l("Close the file.", "close the FILE") == 1.0
    assert rouge_l("abc", "xyz") == 0.0
    assert rouge_l("", "x") == 0.0
    assert corpus_bleu(["close the open file now"], ["close the open file now"]) == pytest.approx(100)
    assert corpus_bleu(["a b c d"], ["w x y z"]) < 1
    assert chrf("close the file", "close the file") == pytest.approx(100)
    assert chrf("close the file", "close that file") > chrf("close the file", "open a socket")
    assert corpus_chrf([], []) == corpus_bleu([], []) == 0.0


def test_japanese_counts() -> None:
    """A sign of a script without spaces is a token; words in Latin letters between them stay whole."""
    assert tokens("null の場合") == ["null", "の", "場", "合"]
    assert rouge_l("例外が出る", "例外は出る") == pytest.approx(0.8)
    assert corpus_bleu(["例外が発生する"], ["例外が発生する"]) == pytest.approx(100)


@given(st.text(max_size=40), st.text(max_size=40))
def test_rouge_is_a_share_and_symmetric(one: str, other: str) -> None:
    """Between 0 and 1, and 1 for a text with itself, unless it has no token."""
    assert 0 <= rouge_l(one, other) <= 1
    assert rouge_l(one, other) == rouge_l(other, one)
    assert rouge_l(one, one) == (1.0 if tokens(one) else 0.0)


SUGGESTIONS = {
    "good": ("python", ["def f(x):", "    return x"], 1, "    return x + 1", True),
    "bracket lost": ("python", ["def f(x):", "    return g(x)"], 1, "    return g(x", False),
    "several rows": ("python", ["def f(x):", "    return x"], 1, "    y = x\n    return y", True),
    "piece of a file": ("java", ["    return a;", "  }", "  int b() {"], 0, "    return a + 1;", True),
    "piece, broken": ("java", ["    return a;", "  }", "  int b() {"], 0, "    return (a + ;", False),
    "unknown language": ("sql", ["select 1"], 0, "select 2", None),
}


@pytest.mark.parametrize(
    ("language", "rows", "line", "text", "wanted"), SUGGESTIONS.values(), ids=SUGGESTIONS.keys()
)
def test_a_suggestion_adds_no_error(
    language: str, rows: list[str], line: int, text: str, wanted: bool | None
) -> None:
    """Errors that were there before are not its own."""
    assert suggestion_is_valid(rows, line, text, language) is wanted


def test_collapse_is_seen() -> None:
    """The same output again and again, and one that goes in circles."""
    fresh = variety(["close the file", "name the list", "check for none"])
    assert (fresh.distinct_share, fresh.looping_share) == (1.0, 0.0)
    stuck = variety(["use final"] * 9 + ["the same thing again and " * 4])
    assert stuck.distinct_share == pytest.approx(0.2)
    assert stuck.commonest_share == pytest.approx(0.9)
    assert stuck.looping_share == pytest.approx(0.1)
    assert stuck.distinct_pairs < fresh.distinct_pairs
    assert variety([]).outputs == 0
    assert loops(list("abcdabcdabcd"))
    assert not loops(list("abcdabcd"))
