"""Training rows: what the model sees, and which next tokens it is trained on.

A `TextRow` is a prompt and its completion. A `LabelRow` is a prompt and blocks of text, each with a label that
the model should predict at the block's end; the label itself never enters the sequence, so one row trains many
predictions and none sees another's answer. Both become `input_ids` and `labels` of equal length, where
`labels[i]` is the target for the distribution after `input_ids[i - 1]` and -100 marks what is not trained: the
convention of causal language models in transformers.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from engine.errors import DataError

IGNORED = -100
Encode = Callable[[str], list[int]]
"""Text -> token ids without BOS; control tokens in the text are recognised."""


class _Row(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    weight: float = Field(default=1.0, gt=0, description="Factor on the loss of each of its labels.")


class TextRow(_Row):
    """Trained on `completion` and the end-of-turn token after it, given `prompt` and `suffix`."""

    kind: Literal["text"] = "text"
    prompt: str
    suffix: str = ""
    completion: str = Field(min_length=1)


class Block(BaseModel):
    """A piece of text and the one-token label to predict after it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    text: str = Field(min_length=1)
    label: str = Field(min_length=1)


class LabelRow(_Row):
    """Trained on the label of each block, given the prompt and all blocks up to it."""

    kind: Literal["labels"] = "labels"
    prompt: str
    blocks: tuple[Block, ...] = Field(min_length=1)


Row = TextRow | LabelRow
_ROW: TypeAdapter[Row] = TypeAdapter(Annotated[Row, Field(discriminator="kind")])


@dataclass(frozen=True, slots=True)
class EncodedRow:
    """Token ids and targets of one row; `labels[i]` is IGNORED where nothing is trained."""

    input_ids: list[int]
    labels: list[int]
    weight: float


@dataclass(frozen=True, slots=True)
class EncodedRows:
    """Rows that fit, and how many did not."""

    rows: list[EncodedRow]
    too_long: int


def read_rows(path: Path) -> Iterator[Row]:
    """Yield the rows of a JSONL file; a row without `kind` is a prompt/completion row.

    Raises DataError naming the file, the line and the field.
    """
    with path.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            yield _parse_row(line, f"{path}:{number}")


def _parse_row(line: str, where: str) -> Row:
    try:
        data = json.loads(line)
        if not isinstance(data, dict):
            raise DataError(f"{where}: expected a JSON object, got {type(data).__name__}")
        return _ROW.validate_python({"kind": "text", **data})
    except json.JSONDecodeError as error:
        raise DataError(f"{where}: not JSON: {error}") from error
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"][1:])
        raise DataError(f"{where}: {field}: {first['msg']}") from error


def encode_rows(rows: Iterable[Row], encode: Encode, bos: int, end: int, max_length: int) -> EncodedRows:
    """Return the rows as tokens. Rows over `max_length` tokens are dropped whole and counted.

    `bos` starts every sequence; `end` is the token that closes a completion. Raises DataError for a label
    that is not exactly one token.
    """
    encoded = [
        _encode_text(row, encode, bos, end)
        if isinstance(row, TextRow)
        else _encode_labels(row, encode, bos, end)
        for row in rows
    ]
    fitting = [row for row in encoded if len(row.input_ids) <= max_length]
    return EncodedRows(fitting, too_long=len(encoded) - len(fitting))


def _encode_text(row: TextRow, encode: Encode, bos: int, end: int) -> EncodedRow:
    given = [bos, *encode(row.prompt), *(encode(row.suffix) if row.suffix else ())]
    trained = [*encode(row.completion), end]
    return EncodedRow(given + trained, [IGNORED] * len(given) + trained, row.weight)


def _encode_labels(row: LabelRow, encode: Encode, bos: int, end: int) -> EncodedRow:
    ids = [bos, *encode(row.prompt)]
    targets: dict[int, int] = {}
    for block in row.blocks:
        ids += encode(block.text)
        label = encode(block.label)
        if len(label) != 1:
            raise DataError(f"label {block.label!r} is {len(label)} tokens, expected exactly one")
        targets[len(ids)] = label[0]
    ids.append(end)  # only gives the last label a position to stand at
    return EncodedRow(ids, [targets.get(position, IGNORED) for position in range(len(ids))], row.weight)
