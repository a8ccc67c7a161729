"""Comments land on their lines: what the benchmark measures on public histories, on a small one."""

from __future__ import annotations

from pathlib import Path

import pytest
from git_repository import Repository

from bot import positions
from engine.chunks import chunk_file
from tests.benchmarks import landing

MISSES = (
    "fragments read unlike the whole diff",
    "lines scored under another line's number",
    "added lines left out and named",
    "added lines scored not once",
    "positions that miss",
    "ranges that miss",
)


@pytest.fixture
def history(tmp_path: Path) -> Path:
    """A history with renames, moved blocks, CRLF, deleted and new files, no newline at the end."""
    made = Repository(tmp_path / "history")
    made.git("init", "-q")
    rows = [f"row_{number} = {number}\n" for number in range(60)]
    made.commit(a="".join(rows), crlf="one\r\ntwo\r\nthree\r\n", gone="x = 1\ny = 2\n")
    made.commit(a="".join([*rows[:5], "new = 1\n", *rows[7:40], "\n", "more = 2\n", *rows[40:]]))
    made.commit(crlf="one\r\nzwei\r\nthree\r\nfour", 日本語="a = 1\n\n\nb = 2")
    made.git("mv", "a.py", "b.py")
    (made.root / "gone.py").unlink()
    made.commit(b="".join([*rows[10:], *rows[:10], "end = 3"]))
    return made.root


def test_every_line_is_hit(history: Path) -> None:
    """Each line of both versions, in and outside of hunks, and ranges of them."""
    counts = landing.measure(history, 10)
    assert {name: counts[name] for name in MISSES} == dict.fromkeys(MISSES, 0)
    kinds = ("added", "removed", "context", "outside hunks")
    assert all(counts[f"positions, {kind}"] for kind in kinds), counts
    assert counts["ranges"]
    assert counts["added lines"]


def test_a_number_that_is_off_by_one_is_seen(history: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Were a line outside the hunks placed without their shift, the measurement would say so."""
    monkeypatch.setattr(positions, "_unfolded", lambda file, number, side: None)
    assert landing.measure(history, 10)["positions that miss"] > 0


def test_a_line_that_is_not_scored_is_seen(history: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """So it would if the engine lost a chunk."""
    monkeypatch.setattr(landing, "chunk_file", lambda *given: chunk_file(*given)[1:])
    assert landing.measure(history, 10)["added lines left out and named"] > 0
