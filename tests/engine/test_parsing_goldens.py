"""Diffs as tools print them, each beside the JSON of what is read from it. A new case is two files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from engine.diffs import DiffLine, FileDiff, LineKind
from engine.parsing import parse_diff

DATA = Path(__file__).parent.parent / "data" / "diffs"
SIGNS = {LineKind.ADDED: "+", LineKind.REMOVED: "-", LineKind.CONTEXT: " "}


def row_of(line: DiffLine) -> str:
    """Write a line as `old:new sign text`, short enough to read a golden by eye."""
    return f"{line.old_number or '-'}:{line.new_number or '-'} {SIGNS[line.kind]}{line.text}"


def value_of(file: FileDiff) -> dict[str, object]:
    """Write a file diff as JSON, leaving out what is at its default."""
    value: dict[str, object] = {"old": file.old_path, "new": file.new_path, "status": file.status.value}
    extras = {"binary": file.is_binary, "old_mode": file.old_mode, "new_mode": file.new_mode}
    hunks = [
        {
            "at": f"-{hunk.old_start},{hunk.old_count} +{hunk.new_start},{hunk.new_count}",
            "section": hunk.section,
            "rows": [row_of(line) for line in hunk.lines],
        }
        for hunk in file.hunks
    ]
    return (
        value | {key: extra for key, extra in extras.items() if extra} | ({"hunks": hunks} if hunks else {})
    )


@pytest.mark.parametrize("path", sorted(DATA.glob("*.diff")), ids=lambda path: path.stem)
def test_golden(path: Path, check_golden: Callable[[Path, object], None]) -> None:
    """A diff is read as its golden says."""
    files = parse_diff(path.read_bytes().decode("utf-8"))
    check_golden(path.with_suffix(".json"), [value_of(file) for file in files])
