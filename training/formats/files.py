"""Files of conversations: JSONL as a stream, or one JSON array; errors name file, line and field."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from engine.errors import DataError
from training.formats.conversations import Conversation
from training.formats.dialects import BadRow, Dialect, detect, read_row
from training.jsonl import JsonlWriter, read_lines, replaced

_SPACE = re.compile(r"[ \t\r\n]*")


def read_conversations(path: Path, dialect: Dialect | None = None) -> Iterator[Conversation]:
    """Yield the conversations of a file; without `dialect` the first row decides which it is in.

    Raises DataError at the first row that does not fit.
    """
    for number, row in read_rows(path):
        dialect = dialect or _detected(path, number, row)
        try:
            yield read_row(dialect, row)
        except BadRow as error:
            where = f"{path}, line {number}"
            raise DataError(f"{where}, {error}" if error.field else f"{where}: {error}") from error


def read_rows(path: Path) -> Iterator[tuple[int, Any]]:
    """Yield each row with the line it begins on. An array is read whole, JSONL line by line."""
    lines = read_lines(path)
    first = next(lines, None)
    if first is not None and first[1].lstrip().startswith(b"["):
        lines.close()
        yield from _elements(path, b"".join(_all_bytes(path)))
        return
    while first is not None:
        number, raw = first
        try:
            yield number, json.loads(raw)
        except (ValueError, RecursionError) as error:
            raise DataError(f"{path}, line {number}: not JSON: {_short(error)}") from error
        first = next(lines, None)


def write_conversations(path: Path, conversations: Iterable[Conversation], dialect: Dialect) -> int:
    """Write a file and return the number of its rows: an array if its name ends in `.json`, else JSONL."""
    if path.suffix != ".json":
        with JsonlWriter(path) as writer:
            for conversation in conversations:
                writer.write(dialect.write(conversation))
        return writer.rows
    count = 0
    with replaced(path) as part, part.open("w", encoding="utf-8", errors="replace") as file:
        for count, conversation in enumerate(conversations, start=1):
            row = json.dumps(dialect.write(conversation), ensure_ascii=False)
            file.write(f"{'[' if count == 1 else ','}\n{row}")
        file.write("\n]\n" if count else "[]\n")
    return count


def _detected(path: Path, number: int, row: object) -> Dialect:
    found = detect(row) if isinstance(row, dict) else None
    if found is None:
        keys = ", ".join(sorted(row)[:8]) if isinstance(row, dict) else type(row).__name__
        raise DataError(f"{path}, line {number}: of no format known here ({keys})")
    return found


def _all_bytes(path: Path) -> Iterator[bytes]:
    # Blank lines are skipped by the reader and count all the same.
    at = 1
    for number, raw in read_lines(path):
        yield b"\n" * (number - at) + raw
        at = number + 1


def _elements(path: Path, data: bytes) -> Iterator[tuple[int, Any]]:
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise DataError(f"{path}, line {line}: not UTF-8") from error
    decoder, place, line, counted = json.JSONDecoder(), text.index("[") + 1, 1, 0
    place = _after_space(text, place)
    while not text.startswith("]", place):
        line, counted = line + text.count("\n", counted, place), place
        try:
            element, place = decoder.raw_decode(text, place)
        except (ValueError, RecursionError) as error:
            at = getattr(error, "pos", place)
            raise DataError(
                f"{path}, line {text.count(chr(10), 0, at) + 1}: not JSON: {_short(error)}"
            ) from error
        yield line, element
        place = _after_space(text, place)
        if text.startswith(",", place):
            place = _after_space(text, place + 1)
        elif not text.startswith("]", place):
            raise DataError(f"{path}, line {text.count(chr(10), 0, place) + 1}: a comma or ] is missing")


def _after_space(text: str, place: int) -> int:
    match = _SPACE.match(text, place)
    return match.end() if match else place


def _short(error: Exception) -> str:
    return str(getattr(error, "msg", error))
