"""Training rows are read with exact errors."""

from __future__ import annotations

import contextlib
import gzip
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import DataError
from engine.finetune.rows import Block, LabelRow, Row, TextRow, read_rows


def read(path: Path, text: str) -> list[Row]:
    path.write_text(text, encoding="utf-8")
    return list(read_rows(path))


def test_both_kinds_are_read(tmp_path: Path) -> None:
    """A row without kind is prompt and completion; blank lines are skipped."""
    rows = read(
        tmp_path / "rows.jsonl",
        '{"prompt":"p","completion":"c"}\n\n'
        '{"kind":"labels","prompt":"q","blocks":[{"text":"t","label":" ok"}],"weight":2}\n',
    )
    assert rows == [
        TextRow(prompt="p", completion="c"),
        LabelRow(prompt="q", blocks=(Block(text="t", label=" ok"),), weight=2),
    ]


def test_gzipped_rows_are_read(tmp_path: Path) -> None:
    """The ending .gz means gzip, and a damaged file says after which line."""
    path = tmp_path / "rows.jsonl.gz"
    whole = gzip.compress(b'{"prompt":"p","completion":"c"}\n')
    path.write_bytes(whole)
    assert list(read_rows(path)) == [TextRow(prompt="p", completion="c")]
    path.write_bytes(whole[:-6])
    with pytest.raises(DataError, match=r"rows\.jsonl\.gz, after line \d: damaged gzip"):
        list(read_rows(path))


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "line 2: not JSON"),
        ("[" * 100_000, "line 2: not JSON"),
        ("[1]", "line 2: expected a JSON object, got list"),
        ('{"prompt":"p"}', "line 2, completion: Field required"),
        ('{"prompt":"p","completion":""}', "line 2, completion: String should have at least 1"),
        ('{"prompt":"p","completion":"c","extra":1}', "line 2, extra: Extra inputs"),
        ('{"prompt":"p","completion":"c","weight":0}', "line 2, weight: Input should be greater"),
        ('{"prompt":"p","completion":"c","weight":Infinity}', "line 2, weight: Input should be a finite"),
        (
            '{"prompt":"\\ud800","completion":"c"}',
            "line 2: not JSON: unexpected end of hex escape at column 18",
        ),
        ('{"kind":"chat","prompt":"p"}', "line 2, kind: Input tag 'chat'"),
        ('{"kind":"labels","prompt":"p","blocks":[]}', "line 2, blocks: Tuple should have at least 1"),
        ('{"kind":"labels","prompt":"p","blocks":[{"text":"t"}]}', "line 2, blocks.0.label: Field required"),
    ],
)
def test_bad_row_is_named(tmp_path: Path, line: str, message: str) -> None:
    """The error has the file, the line and the field."""
    with pytest.raises(DataError) as caught:
        read(tmp_path / "rows.jsonl", f'{{"prompt":"p","completion":"c"}}\n{line}\n')
    assert str(caught.value).startswith(f"{tmp_path / 'rows.jsonl'}, {message}")


def test_missing_file_is_named(tmp_path: Path) -> None:
    """A file that is not there is an error of the input."""
    with pytest.raises(DataError, match=r"none\.jsonl: No such file"):
        list(read_rows(tmp_path / "none.jsonl"))


@given(line=st.binary(max_size=80) | st.recursive(st.none() | st.text(), st.lists).map(json.dumps))
def test_reader_raises_nothing_else(tmp_path_factory: pytest.TempPathFactory, line: bytes | str) -> None:
    """Any bytes are rows or a DataError."""
    path = tmp_path_factory.getbasetemp() / "fuzz.jsonl"
    path.write_bytes(line if isinstance(line, bytes) else line.encode("utf-8", "surrogatepass"))
    with contextlib.suppress(DataError):
        assert all(isinstance(row, TextRow | LabelRow) for row in read_rows(path))
