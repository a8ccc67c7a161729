"""Our tables: made from nothing, taken over from versions that kept no revision, opened by many at once."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from empty_databases import empty_database

from bot.database import Database, database_url
from bot.gitlab import MergeRequestRef
from bot.incremental import Memory
from bot.memory import Memories
from bot.migrations import ALL, HEAD, REVISIONS, migrate
from bot.tables import METADATA
from bot.workers import Lease, Leases, Workers
from engine.errors import StoreError
from engine.store.database import open_database

ROOT = Path(__file__).parents[2]
OPEN = "import sys; from bot.database import *; Database(database_url(sys.argv[1], None)).create()"
WITHOUT_A_REVISION = (
    "CREATE TABLE tenken_workers (name VARCHAR(100) NOT NULL, seen {double} NOT NULL, PRIMARY KEY (name))",
    "CREATE TABLE tenken_leases (name VARCHAR(200) NOT NULL, holder VARCHAR(300) NOT NULL, "
    "worker VARCHAR(100) NOT NULL, shared BOOLEAN NOT NULL, PRIMARY KEY (name, holder))",
    "CREATE TABLE tenken_reviewed (project_id BIGINT NOT NULL, iid BIGINT NOT NULL, reviewed TEXT NOT NULL, "
    "at {double} NOT NULL, PRIMARY KEY (project_id, iid))",
    "CREATE TABLE tenken_watermarks (project_id {serial} NOT NULL, at {double} NOT NULL, "
    "PRIMARY KEY (project_id))",
    "INSERT INTO tenken_workers VALUES ('one', 1)",
    "INSERT INTO tenken_leases VALUES ('mr:7!3', 'review', 'one', false)",
    "INSERT INTO tenken_reviewed VALUES (7, 3, '{{}}', 1)",
    "INSERT INTO tenken_watermarks VALUES (7, 1)",
)


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of an empty database."""
    with empty_database(str(request.param), tmp_path / "data" / "bot.db") as made:
        yield made


@pytest.fixture
def bare(url: str) -> Iterator[Database]:
    """An empty database."""
    database = Database(database_url(url, Path()))
    yield database
    database.close()


def schema(database: Database) -> dict[str, object]:
    """Return what the database has, as far as both kinds of database tell it alike."""
    with database.reading() as connection:
        seen = sa.inspect(connection)
        return {
            table: (
                [(column["name"], column["nullable"]) for column in seen.get_columns(table)],
                seen.get_pk_constraint(table)["constrained_columns"],
            )
            for table in sorted(set(seen.get_table_names()) - {ALL.table})
        }


def test_the_revisions_end_at_the_tables(bare: Database, tmp_path: Path) -> None:
    """One after the other they make exactly the tables that the code speaks of."""
    declared = Database(database_url(None, tmp_path / "declared"))
    (tmp_path / "declared").mkdir()
    with declared.writing() as connection:
        METADATA.create_all(connection)
    bare.create()
    assert schema(bare) == schema(declared)
    declared.close()


def test_a_database_without_a_revision_is_taken_over(bare: Database) -> None:
    """As the first versions made it: its rows stay, and what is new is added."""
    kinds = {"double": "DOUBLE PRECISION", "serial": "BIGINT"}
    with bare.writing() as connection:
        for statement in WITHOUT_A_REVISION:
            connection.execute(sa.text(statement.format(**kinds)))
    before = schema(bare)
    bare.create()
    bare.create()
    after = schema(bare)
    assert {name: after[name] for name in before} == before
    assert after.keys() - before.keys() == {"tenken_drafts"}
    with bare.reading() as connection:
        assert ALL.current(connection) == HEAD
    assert Memories(bare).load(MergeRequestRef(7, 3)) == Memory()
    assert Leases(bare, "one").holds(Lease("mr:7!3"), "review")
    assert Workers(bare, "two", 60).silent() == ("one",)


@pytest.mark.parametrize("older", REVISIONS[:-1])
def test_each_older_revision_is_brought_up(older: str, bare: Database) -> None:
    """What was in it still is."""
    with bare.writing() as connection:
        migrate(connection, older)
        connection.execute(sa.text("INSERT INTO tenken_watermarks VALUES (7, 1)"))
    bare.create()
    with bare.reading() as connection:
        assert ALL.current(connection) == HEAD
        assert connection.execute(sa.text("SELECT project_id FROM tenken_watermarks")).scalar_one() == 7


def test_the_head_is_alembics(bare: Database) -> None:
    """The revisions that are known without Alembic are those it finds."""
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("script_location", str(ROOT / "engine" / "store" / "migrations"))
    config.set_main_option("version_locations", str(ALL.folder))
    config.set_main_option("path_separator", "newline")
    found = [script.revision for script in ScriptDirectory.from_config(config).walk_revisions()]
    assert tuple(reversed(found)) == REVISIONS


def test_the_engine_may_have_its_tables_in_the_same_database(url: str, bare: Database) -> None:
    """Each has a version of its own."""
    bare.create()
    open_database(url).close()
    bare.create()
    with bare.reading() as connection:
        assert {"alembic_version", ALL.table} <= set(sa.inspect(connection).get_table_names())


def test_a_newer_database_is_refused(bare: Database) -> None:
    """It is left alone, with a text that says so."""
    bare.create()
    with bare.writing() as connection:
        connection.execute(sa.text(f"UPDATE {ALL.table} SET version_num = '9999'"))
    with pytest.raises(StoreError, match="9999, made by a newer tenken"):
        bare.create()


def test_many_processes_open_an_empty_database(url: str, bare: Database) -> None:
    """Whoever comes second waits, and finds it done."""
    command = [sys.executable, "-c", OPEN, url]
    running = [subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True) for _ in range(3)]
    assert [(process.communicate()[1], process.returncode) for process in running] == [("", 0)] * 3
    bare.create()
