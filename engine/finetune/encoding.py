"""Training rows -> tokens and targets.

Rows become `input_ids` and `labels` of equal length, where `labels[i]` is the target for the distribution
after `input_ids[i - 1]` and IGNORED marks what is not trained: the convention of causal language models in
transformers. Each piece of a row is tokenized on its own, as the runners do.
"""

from __future__ import annotations

import hashlib
import struct
from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

from engine.errors import DataError
from engine.finetune.rows import LabelRow, Row, TextRow

IGNORED = -100
Encode = Callable[[Sequence[str]], Sequence[Sequence[int]]]
"""Texts -> token ids of each, without BOS; control tokens in the texts are recognised."""

_WINDOW = 2048


@dataclass(frozen=True, slots=True)
class EncodedRow:
    """Token ids and targets of one row; `labels[i]` is IGNORED where nothing is trained."""

    input_ids: array[int]
    labels: array[int]
    weight: float


@dataclass(frozen=True, slots=True)
class EncodedRows:
    """Rows that fit, and how many did not."""

    rows: list[EncodedRow]
    too_long: int


def encode_rows(rows: Iterable[Row], encode: Encode, bos: int, end: int, max_length: int) -> EncodedRows:
    """Return the rows as tokens. Rows over `max_length` tokens are dropped whole and counted.

    `bos` starts every sequence; `end` is the token that closes a completion. Raises DataError for a label
    that is not exactly one token.
    """
    fitting, too_long = [], 0
    for row in _encoded(iter(rows), encode, bos, end):
        if len(row.input_ids) <= max_length:
            fitting.append(row)
        else:
            too_long += 1
    return EncodedRows(fitting, too_long)


def row_lengths(rows: Sequence[Row], encode: Encode) -> list[int]:
    """Return how many tokens `encode_rows` makes of each row. Labels are none of them and not checked."""
    seen = [[text for text, enters in _pieces(row) if enters] for row in rows]
    texts = list(dict.fromkeys(text for row in seen for text in row))
    lengths = dict(zip(texts, map(len, encode(texts)), strict=True))
    ends = 2  # what begins a sequence, and what ends it
    return [sum(lengths[text] for text in row) + ends for row in seen]


def fingerprint(*parts: Iterable[EncodedRow]) -> str:
    """Return the sha256 of rows in their order, the same for the same tokens, targets and weights."""
    digest = hashlib.sha256()
    for rows in parts:
        digest.update(b"rows")
        for row in rows:
            digest.update(struct.pack("<qd", len(row.input_ids), row.weight))
            digest.update(row.input_ids.tobytes() + row.labels.tobytes())
    return digest.hexdigest()


def _encoded(rows: Iterator[Row], encode: Encode, bos: int, end: int) -> Iterator[EncodedRow]:
    """Encode window by window: neighbouring rows share their prompts, and each text is tokenized once."""
    done = 0
    while window := list(islice(rows, _WINDOW)):
        texts = list(dict.fromkeys(text for row in window for text, _ in _pieces(row)))
        tokens = dict(zip(texts, encode(texts), strict=True))
        for number, row in enumerate(window, start=done + 1):
            yield _encode_row(row, tokens, bos, end, number)
        done += len(window)


def _pieces(row: Row) -> Iterator[tuple[str, bool]]:
    """Yield the texts of a row, and whether they enter the sequence."""
    yield row.prompt, True
    if isinstance(row, TextRow):
        yield from ((row.suffix, True), (row.completion, True))
    else:
        for block in row.blocks:
            yield from ((block.text, True), (block.label, False))


def _encode_row(row: Row, tokens: Mapping[str, Sequence[int]], bos: int, end: int, number: int) -> EncodedRow:
    ids = array("i", [bos, *tokens[row.prompt]])
    if isinstance(row, TextRow):
        return _encode_text(row, ids, tokens, end)
    return _encode_labels(row, ids, tokens, end, number)


def _encode_text(row: TextRow, ids: array[int], tokens: Mapping[str, Sequence[int]], end: int) -> EncodedRow:
    ids.extend(tokens[row.suffix])
    trained = array("i", [*tokens[row.completion], end])
    return EncodedRow(ids + trained, array("i", [IGNORED]) * len(ids) + trained, row.weight)


def _encode_labels(
    row: LabelRow, ids: array[int], tokens: Mapping[str, Sequence[int]], end: int, number: int
) -> EncodedRow:
    targets = {}
    for block in row.blocks:
        ids.extend(tokens[block.text])
        label = tokens[block.label]
        if len(label) != 1:
            raise DataError(
                f"row {number}: label {block.label!r} is {len(label)} tokens, expected exactly one"
            )
        targets[len(ids)] = label[0]
    ids.append(end)  # only gives the last label a position to stand at
    labels = array("i", [IGNORED]) * len(ids)
    for position, label_id in targets.items():
        labels[position] = label_id
    return EncodedRow(ids, labels, row.weight)
