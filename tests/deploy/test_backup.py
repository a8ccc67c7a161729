"""deploy/backup.py copies what is being written, whole, and keeps the copy before."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import threading
from contextlib import closing
from pathlib import Path

SCRIPT = Path(__file__).parents[2] / "deploy" / "backup.py"


def run(*words: object) -> subprocess.CompletedProcess[str]:
    # -S: without the packages of this environment; Python alone has to do.
    command = [sys.executable, "-S", str(SCRIPT), *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)


def database(path: Path, rows: int) -> None:
    with closing(sqlite3.connect(path, timeout=60)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("CREATE TABLE IF NOT EXISTS t (a INTEGER, b INTEGER)")
        with connection:
            connection.executemany("INSERT INTO t VALUES (?, ?)", ((n, n) for n in range(rows)))


def count(path: Path) -> int:
    with closing(sqlite3.connect(path, timeout=60)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert connection.execute("SELECT count(*) FROM t WHERE a != b").fetchone() == (0,)
        return int(connection.execute("SELECT count(*) FROM t").fetchone()[0])


def test_a_directory_is_copied_and_can_take_its_place(tmp_path: Path) -> None:
    """Databases with what is still in their logs, files as they are, nothing temporary; all for the owner."""
    data = tmp_path / "tenken"
    (data / "adapters" / "team-1").mkdir(parents=True)
    (data / "adapters" / "team-1" / "manifest.json").write_text("{}")
    (data / ".upload-1").mkdir()
    (data / "bot.db.lock").touch()
    database(data / "bot.db", 50)
    with closing(sqlite3.connect(data / "bot.db")) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM t").fetchone()  # keeps the log from being emptied
        database(data / "bot.db", 50)
        assert (data / "bot.db-wal").stat().st_size > 0
        done = run(tmp_path / "backups", data)
    assert (done.returncode, done.stderr) == (0, "")
    copy = tmp_path / "backups" / "tenken"
    assert {path.name for path in copy.rglob("*")} == {"adapters", "team-1", "manifest.json", "bot.db"}
    assert count(copy / "bot.db") == 100
    assert (copy / "bot.db").stat().st_mode & 0o077 == 0


def test_a_database_that_is_being_written_is_copied_whole(tmp_path: Path) -> None:
    """Each transaction adds ten rows: no copy has a part of one."""
    data, stop = tmp_path / "data", threading.Event()
    data.mkdir()
    database(data / "bot.db", 10)

    def write() -> None:
        while not stop.is_set():
            database(data / "bot.db", 10)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for number in range(3):
            assert run(tmp_path / str(number), data).returncode == 0
    finally:
        stop.set()
        writer.join()
    for number in range(3):
        assert count(tmp_path / str(number) / "data" / "bot.db") % 10 == 0


def test_the_copy_before_is_kept(tmp_path: Path) -> None:
    """As .old, and only that one."""
    data = tmp_path / "data"
    data.mkdir()
    for number in range(3):
        (data / "tokens.json").write_text(str(number))
        assert run(tmp_path / "backups", data).returncode == 0
    assert sorted(path.name for path in (tmp_path / "backups").iterdir()) == ["data", "data.old"]
    assert (tmp_path / "backups" / "data" / "tokens.json").read_text() == "2"
    assert (tmp_path / "backups" / "data.old" / "tokens.json").read_text() == "1"


def test_what_cannot_be_copied_leaves_the_last_copy_alone(tmp_path: Path) -> None:
    """A damaged database ends it with one line; what was there before is there still."""
    data = tmp_path / "data"
    data.mkdir()
    database(data / "bot.db", 500)
    assert run(tmp_path / "backups", data).returncode == 0
    with closing(sqlite3.connect(data / "bot.db")) as connection:
        connection.execute("PRAGMA journal_mode = DELETE")
    content = bytearray((data / "bot.db").read_bytes())
    content[4096:] = b"\xff" * (len(content) - 4096)
    (data / "bot.db").write_bytes(content)
    done = run(tmp_path / "backups", data)
    assert done.returncode == 3
    assert len(done.stderr.splitlines()) == 1
    assert count(tmp_path / "backups" / "data" / "bot.db") == 500
    assert [path.name for path in (tmp_path / "backups").iterdir()] == ["data"]
    assert run(tmp_path / "backups", tmp_path / "nowhere").returncode == 3
    assert run(tmp_path / "backups").returncode == 2


def test_directories_of_one_name_are_refused(tmp_path: Path) -> None:
    """Such as two volumes' `_data`: the second copy would take the first one's place."""
    sources = [tmp_path / volume / "_data" for volume in ("engine", "bot")]
    for source in sources:
        source.mkdir(parents=True)
    done = run(tmp_path / "backups", *sources)
    assert (done.returncode, done.stdout) == (2, "")
    assert "'_data'" in done.stderr
    assert not (tmp_path / "backups").exists()
