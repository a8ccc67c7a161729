"""Copy what a bot and an engine remember, while they run: python3 backup.py TARGET DIRECTORY...

Each directory is a data directory (ENGINE_DATA_DIR, BOT_DATA_DIR). SQLite files are copied by SQLite itself,
so that a copy is whole whatever is being written; all else as it is. TARGET/NAME appears whole or not at all,
and an older copy is kept until then as TARGET/NAME.old. With Postgres the databases are its own: pg_dump.

Needs nothing but Python.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import sys
import tempfile
from contextlib import closing
from pathlib import Path

_MAGIC = b"SQLite format 3\0"
_LEFT_OUT = ("-wal", "-shm", "-journal", ".lock")
_SCRATCH = ".upload-"


def main(*words: str) -> int:
    """Copy, and say what was copied."""
    if len(words) < 2:
        print(__doc__, file=sys.stderr)
        return 2
    target, *sources = map(Path, words)
    names = [source.name for source in sources]
    if twice := next((name for name in names if names.count(name) > 1), None):
        print(
            f"backup.py: two directories are called {twice!r}; each copy has its directory's name",
            file=sys.stderr,
        )
        return 2
    try:
        for source in sources:
            print(f"{source} -> {back_up(source, target)}")
    except (OSError, sqlite3.Error) as error:
        print(f"backup.py: {error}", file=sys.stderr)
        return 3
    return 0


def back_up(source: Path, target: Path) -> Path:
    """Return the copy of `source` in `target`."""
    if not source.is_dir():
        raise NotADirectoryError(f"{source} is no directory")
    target.mkdir(parents=True, exist_ok=True, mode=0o700)
    with tempfile.TemporaryDirectory(dir=target, prefix=".copying-") as scratch:
        made = Path(scratch) / source.name
        _copy(source, made)
        kept, old = target / source.name, target / f"{source.name}.old"
        if kept.exists():
            shutil.rmtree(old, ignore_errors=True)
            kept.rename(old)
        made.rename(kept)
    return kept


def _copy(source: Path, target: Path) -> None:
    target.mkdir(mode=0o700)
    for entry in sorted(source.iterdir()):
        if entry.is_symlink() or entry.name.endswith(_LEFT_OUT) or entry.name.startswith(_SCRATCH):
            continue
        if entry.is_dir():
            _copy(entry, target / entry.name)
        elif entry.is_file():
            _copy_file(entry, target / entry.name)


def _copy_file(source: Path, target: Path) -> None:
    with source.open("rb") as file:
        is_database = file.read(len(_MAGIC)) == _MAGIC
    if not is_database:
        shutil.copyfile(source, target)
    else:
        with closing(sqlite3.connect(source)) as there, closing(sqlite3.connect(target)) as here:
            there.backup(here)
            (verdict,) = here.execute("PRAGMA integrity_check").fetchone()
            if verdict != "ok":
                raise sqlite3.DatabaseError(f"{source} is damaged: {verdict}")
    os.chmod(target, 0o600)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
