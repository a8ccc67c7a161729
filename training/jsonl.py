"""JSONL files, gzipped if their name ends in `.gz`: read line by line, written whole or not at all."""

from __future__ import annotations

import gzip
import json
import os
import zlib
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from engine.errors import DataError


def read_lines(path: Path) -> Generator[tuple[int, bytes], None, None]:
    """Yield each line that is not blank, with its number. Raises DataError for a file that cannot be read."""
    number = 0
    try:
        with gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as file:
            for number, raw in enumerate(file, start=1):
                if raw.strip():
                    yield number, raw
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(f"{path}, after line {number}: damaged gzip file ({error})") from error
    except OSError as error:
        raise DataError(f"{path}: {error.strerror}") from error


class JsonlWriter:
    """Writes rows to `path` as they come; a reader sees the old file or, after `commit`, the whole new one.

    The same rows always give the same bytes.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._part = path.with_name(f".{path.name}.{os.getpid()}")
        self._raw: IO[bytes] = self._part.open("wb")
        # An empty name and no time, so that the bytes are those of the rows alone.
        packed = path.suffix == ".gz"
        self._file: Any = gzip.GzipFile("", "wb", fileobj=self._raw, mtime=0) if packed else self._raw
        self.rows = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            self._close()
            if error is None:
                self._part.replace(self._path)
        finally:
            self._part.unlink(missing_ok=True)

    def write(self, row: Mapping[str, Any]) -> None:
        """Add a row."""
        self._file.write(json.dumps(row, ensure_ascii=False).encode("utf-8", "replace") + b"\n")
        self.rows += 1

    def _close(self) -> None:
        if self._file is not self._raw:
            self._file.close()
        self._raw.close()


@contextmanager
def replaced(path: Path) -> Iterator[Path]:
    """Give a path to write to; it takes the place of `path` at the end of the block, unless that fails."""
    part = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        yield part
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
