"""Rows become exactly the tokens and targets that they describe."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import DataError
from engine.finetune import encoding
from engine.finetune.encoding import IGNORED, EncodedRow, encode_rows, fingerprint, row_lengths
from engine.finetune.rows import Block, LabelRow, Row, TextRow

BOS, END = 1, 2
_ = IGNORED


@dataclass
class Words:
    """A tokenizer of words that remembers what it was asked."""

    calls: list[list[str]] = field(default_factory=list)

    def __call__(self, texts: Sequence[str]) -> list[list[int]]:
        self.calls.append(list(texts))
        return [[sum(map(ord, word)) for word in text.split()] for text in texts]


def encode(*rows: Row, max_length: int = 100) -> list[tuple[list[int], list[int], float]]:
    found = encode_rows(rows, Words(), BOS, END, max_length)
    return [(list(row.input_ids), list(row.labels), row.weight) for row in found.rows]


def test_text_row() -> None:
    """Prompt and suffix are given, the completion and the end of turn are trained."""
    row = TextRow(prompt="a b", suffix="c", completion="d e", weight=0.5)
    assert encode(row) == [([BOS, 97, 98, 99, 100, 101, END], [_, _, _, _, 100, 101, END], 0.5)]


def test_text_row_without_suffix() -> None:
    """An empty suffix adds nothing."""
    assert encode(TextRow(prompt="a", completion="b")) == [([BOS, 97, 98, END], [_, _, 98, END], 1.0)]


def test_label_row() -> None:
    """Each label is the target behind its block and stands nowhere in the sequence."""
    row = LabelRow(prompt="a", blocks=(Block(text="b c", label="x"), Block(text="d", label="y")))
    assert encode(row) == [([BOS, 97, 98, 99, 100, END], [_, _, _, _, 120, 121], 1.0)]


def test_over_long_rows_are_counted() -> None:
    """A row of the limit's length stays, one token more and it is dropped whole."""
    rows = [TextRow(prompt="a b", completion="c"), TextRow(prompt="a b c", completion="d")]
    found = encode_rows(rows, Words(), BOS, END, max_length=5)
    assert [len(row.input_ids) for row in found.rows] == [5]
    assert found.too_long == 1


@pytest.mark.parametrize("label", ["x y", " "])
def test_label_of_other_than_one_token_is_refused(label: str) -> None:
    """Such a label could not be read from one distribution; the error names row and label."""
    rows: list[Row] = [
        TextRow(prompt="a", completion="b"),
        LabelRow(prompt="a", blocks=(Block(text="b", label=label),)),
    ]
    with pytest.raises(DataError, match=f"row 2: label {label!r} is . tokens, expected exactly one"):
        encode(*rows)


def test_each_text_of_a_window_is_tokenized_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """One call a window, with every distinct text once, and windows do not change the result."""
    monkeypatch.setattr(encoding, "_WINDOW", 2)
    rows = [TextRow(prompt="same", suffix=str(n), completion="also the same") for n in range(5)]
    words = Words()
    found = encode_rows(iter(rows), words, BOS, END, 100)
    assert words.calls == [
        ["same", "0", "also the same", "1"],
        ["same", "2", "also the same", "3"],
        ["same", "4", "also the same"],
    ]
    assert found.rows == encode_rows(rows[:1], Words(), BOS, END, 100).rows + found.rows[1:]


texts = st.text(alphabet="ab ", max_size=12)
blocks = st.builds(Block, text=texts.filter(bool), label=st.sampled_from("xyz"))
some_rows = st.lists(
    st.builds(TextRow, prompt=texts, suffix=texts, completion=texts.filter(bool))
    | st.builds(LabelRow, prompt=texts, blocks=st.lists(blocks, min_size=1, max_size=4).map(tuple))
)


@given(rows=some_rows)
def test_labels_never_enter_the_sequence(rows: list[Row]) -> None:
    """Without labels a row has the same input, and it has one target for each label."""
    for row, (ids, targets, _weight) in zip(rows, encode(*rows), strict=True):
        assert len(ids) == len(targets)
        if isinstance(row, LabelRow):
            assert [t for t in targets if t != IGNORED] == [ord(block.label) for block in row.blocks] or any(
                not block.text.split() for block in row.blocks
            )
            assert not {120, 121, 122} & set(ids)
        else:
            trained = len(row.completion.split()) + 1
            assert targets[-trained:] == ids[-trained:]
            assert set(targets[:-trained]) <= {IGNORED}


def test_lengths_are_known_before() -> None:
    """As many tokens as rows will have, of both kinds, whatever their labels are."""
    rows: list[Row] = [
        TextRow(prompt="a b", suffix="c", completion="d e"),
        LabelRow(prompt="a", blocks=(Block(text="b c", label="ok"), Block(text="d", label="bug"))),
    ]
    assert row_lengths(rows, Words()) == [len(ids) for ids, *_ in encode(*rows)]
    odd = LabelRow(prompt="a", blocks=(Block(text="b", label="not one token"),))
    assert row_lengths([odd], Words()) == [4]


def test_fingerprint_follows_the_rows() -> None:
    """Another token, target, weight, order or share of validation is another fingerprint."""
    one, two = encode_rows(
        [TextRow(prompt="a", completion="b"), TextRow(prompt="c", completion="d")], Words(), BOS, END, 9
    ).rows
    changed = EncodedRow(one.input_ids, two.labels, one.weight)
    prints = {
        fingerprint([one, two]),
        fingerprint([two, one]),
        fingerprint([one], [two]),
        fingerprint([changed, two]),
        fingerprint([replace(one, weight=2.0), two]),
    }
    assert len(prints) == 5
    assert fingerprint([one, two]) == fingerprint(iter([one, two]))
