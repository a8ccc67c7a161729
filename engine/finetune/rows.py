"""Training rows: what the model sees, and which next tokens it is trained on.

A `TextRow` is a prompt and its completion. A `LabelRow` is a prompt and blocks of text, each with a label
that the model should predict at the block's end; the label itself never enters the sequence, so one row
trains many predictions and none sees another's answer. `encoding` makes tokens of both.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError
from pydantic_core import from_json

from engine.errors import DataError


class _Row(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

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


def read_rows(path: Path) -> Iterator[Row]:
    """Yield the rows of a JSONL file, gzipped if it ends in `.gz`; without `kind` a row is prompt/completion.

    Raises DataError naming the file, the line and the field. Blank lines are skipped.
    """
    number = 0
    try:
        with gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as lines:
            for number, line in enumerate(lines, start=1):
                if line.strip():
                    yield _parse_row(line, f"{path}, line {number}")
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(f"{path}, after line {number}: damaged gzip file ({error})") from error
    except OSError as error:
        raise DataError(f"{path}: {error.strerror}") from error


def _parse_row(line: bytes, where: str) -> Row:
    try:
        data: Any = from_json(line)
    except ValueError as error:
        raise DataError(f"{where}: not JSON: {_column(error)}") from error
    if not isinstance(data, dict):
        raise DataError(f"{where}: expected a JSON object, got {type(data).__name__}")
    try:
        return _ROW.validate_python({"kind": "text", **data})
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"][1:]) or "kind"
        raise DataError(f"{where}, {field}: {first['msg']}") from error


def _column(error: ValueError) -> str:
    return str(error).replace("at line 1 column", "at column")
