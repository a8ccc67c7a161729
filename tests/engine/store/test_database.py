"""The database: made from nothing, brought up from each revision, opened by many at once."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from empty_databases import empty_database
from sqlalchemy import Connection, inspect, text

from engine.errors import ConfigError, StoreError
from engine.store.database import Database, engine_for, open_database, parse_url, sqlite_url
from engine.store.migrations import HEAD, REVISIONS, migrate, revision
from engine.store.revisions import Revisions
from engine.store.tables import metadata

ROOT = Path(__file__).parents[3]
PROMOTION = text(
    "INSERT INTO promotions (project, version, action, below, actor, at) "
    "VALUES ('p', 'v', 'promote', :below, '', '2026-01-01 00:00:00')"
)
OPEN = "import sys; from engine.store.database import open_database; open_database(sys.argv[1]).close()"


def bare(url: str) -> Database:
    """Return a database as it is, without the migrations."""
    return Database(engine_for(parse_url(url)))


def schema(database: Database) -> dict[str, object]:
    """Return what the database has, as far as both kinds of database tell it alike."""
    with database.reading() as connection:
        seen = inspect(connection)
        return {
            table: {
                "columns": [(c["name"], c["nullable"]) for c in seen.get_columns(table)],
                "key": seen.get_pk_constraint(table)["constrained_columns"],
                "unique": [u["column_names"] for u in seen.get_unique_constraints(table)],
                "indexes": sorted(str(i["name"]) for i in seen.get_indexes(table)),
            }
            for table in sorted(set(seen.get_table_names()) - {"alembic_version"})
        }


def test_migrations_end_at_the_tables(database_url: str, other_database_url: str) -> None:
    """The revisions, one after the other, make exactly the tables that the code speaks of."""
    migrated = open_database(database_url)
    declared = bare(other_database_url)
    with declared.writing() as connection:
        metadata.create_all(connection)
    assert schema(migrated) == schema(declared)
    migrated.close()
    declared.close()


@pytest.mark.parametrize("older", REVISIONS[:-1])
def test_upgrades_from_each_older_revision_keep_rows(older: str, database_url: str) -> None:
    """A database of any revision opens, and what was in it still is."""
    database = bare(database_url)
    with database.writing() as connection:
        migrate(connection, older)
        connection.execute(PROMOTION, {"below": None})
    database.close()
    upgraded = open_database(database_url)
    with upgraded.reading() as connection:
        assert revision(connection) == HEAD
        assert connection.execute(text("SELECT version FROM promotions")).scalar_one() == "v"
    upgraded.close()


def test_head_is_alembics() -> None:
    """The revision that is known without Alembic is the one Alembic finds."""
    from alembic.script import ScriptDirectory

    scripts = ScriptDirectory(str(ROOT / "engine" / "store" / "migrations"))
    assert scripts.get_current_head() == HEAD
    assert tuple(reversed([script.revision for script in scripts.walk_revisions()])) == REVISIONS


def test_failed_migration_leaves_nothing(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A revision that fails half way takes the earlier ones back with it."""
    upgrade = Revisions.upgrade

    def fail(self: Revisions, connection: Connection, target: str, *, adopt: bool = False) -> None:
        upgrade(self, connection, "0001")
        raise RuntimeError("power cut")

    monkeypatch.setattr(Revisions, "upgrade", fail)
    with pytest.raises(RuntimeError, match="power cut"):
        open_database(database_url)
    database = bare(database_url)
    assert schema(database) == {}
    database.close()


def test_many_processes_open_an_empty_database(database_url: str) -> None:
    """Whoever comes second waits, and finds it done."""
    command = [sys.executable, "-c", OPEN, database_url]
    running = [subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True) for _ in range(4)]
    assert [(process.communicate()[1], process.returncode) for process in running] == [("", 0)] * 4


@pytest.mark.postgres
def test_a_database_without_an_encoding_will_do(tmp_path: Path) -> None:
    """Debian makes a server in SQL_ASCII where no locale is set; texts come back as they were."""
    with empty_database("postgres", tmp_path, "SQL_ASCII") as url:
        database = open_database(url)
        with database.writing() as connection:
            assert connection.execute(text("SELECT '点検 ✅'")).scalar_one() == "点検 ✅"
        assert schema(database)
        database.close()


def test_newer_database_is_refused(database_url: str) -> None:
    """A database that a newer tenken made is left alone, with a text that says so."""
    database = open_database(database_url)
    with database.writing() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    database.close()
    with pytest.raises(StoreError, match="9999, made by a newer tenken"):
        open_database(database_url)


@pytest.mark.parametrize(
    "url", ["nonsense", "mysql://host/db", "sqlite://", "sqlite:///:memory:", "postgresql"]
)
def test_other_databases_are_refused(url: str) -> None:
    """Only a file or a Postgres server can keep what two processes share."""
    with pytest.raises(ConfigError, match="ENGINE_DATABASE_URL"):
        open_database(url)


def test_password_is_never_shown() -> None:
    """A server that cannot be reached is named without the password."""
    pytest.importorskip("psycopg")
    with pytest.raises(StoreError) as caught:
        open_database("postgresql://tenken:hunter2@127.0.0.1:1/none?connect_timeout=2")
    assert "hunter2" not in str(caught.value)
    assert "127.0.0.1" in str(caught.value)


def test_file_that_is_no_database_is_an_error(tmp_path: Path) -> None:
    """Text under the database's name is refused, not overwritten."""
    path = tmp_path / "tenken.db"
    path.write_text("not a database, but long enough to look like one\n" * 50)
    with pytest.raises(StoreError, match="not a database"):
        open_database(sqlite_url(path))
    assert path.read_text().startswith("not a database")


def test_directory_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    """The message says which setting helps."""
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="ENGINE_DATA_DIR"):
        open_database(sqlite_url(tmp_path / "file" / "tenken.db"))


def test_sqlite_is_set_up_for_several_processes(tmp_path: Path) -> None:
    """Readers never wait for a writer, a second writer waits, and references hold."""
    database = open_database(sqlite_url(tmp_path / "tenken.db"))
    with database.reading() as connection:
        values = [
            connection.exec_driver_sql(f"PRAGMA {name}").scalar_one()
            for name in ("journal_mode", "busy_timeout", "foreign_keys")
        ]
    assert values == ["wal", 30_000, 1]
    with pytest.raises(StoreError, match="FOREIGN KEY"), database.writing() as connection:
        connection.execute(PROMOTION, {"below": 7})
    database.close()


def test_names_with_signs_are_only_names(tmp_path: Path) -> None:
    """A directory may be called anything: no character of it is syntax to the URL."""
    directory = tmp_path / "a %25?x=#y ü"
    database = open_database(sqlite_url(directory / "tenken.db"))
    database.close()
    with sqlite3.connect(directory / "tenken.db") as connection:
        assert connection.execute("SELECT version_num FROM alembic_version").fetchall() == [(HEAD,)]
    connection.close()
