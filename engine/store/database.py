"""A database with its two kinds of transaction, brought up to date when it is opened.

SQL errors leave here as StoreError, with what to do where that is known.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path

from filelock import FileLock, Timeout
from sqlalchemy import Connection, Engine, Table, create_engine, event, make_url, text
from sqlalchemy.engine import URL
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from engine.errors import ConfigError, StoreError, unimportable
from engine.store.migrations import migrate

_BUSY_SECONDS = 30
_IMMEDIATE = "tenken_immediate"


class Database:
    """Where rows are read and written. Safe to share between threads."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self._is_sqlite = engine.dialect.name == "sqlite"
        self._writer = engine.execution_options(**{_IMMEDIATE: True})

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Give a connection that sees one state of the database."""
        with self._explained(), self.engine.connect() as connection, connection.begin():
            yield connection

    @contextmanager
    def writing(self, *tables: Table) -> Iterator[Connection]:
        """Give a connection whose changes all happen, or none; nobody else writes to `tables` meanwhile."""
        with self._explained(), self._writer.begin() as connection:
            if tables and not self._is_sqlite:  # SQLite has one writer at a time anyway
                names = ", ".join(table.name for table in tables)
                connection.execute(text(f"LOCK TABLE {names} IN SHARE ROW EXCLUSIVE MODE"))
            yield connection

    @property
    def place(self) -> str:
        """Where the database is, fit to be shown."""
        return _shown(self.engine.url)

    def close(self) -> None:
        """Give the connections back."""
        self.engine.dispose()

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except SQLAlchemyError as error:
            raise StoreError(f"{self.place}: {_first_line(error)}") from error


def open_database(url: str) -> Database:
    """Return the database at `url`, made and migrated as needed, by one process at a time.

    Raises ConfigError for a URL that is none, StoreError for a database that cannot be used.
    """
    parsed = parse_url(url)
    database = Database(engine_for(parsed))
    try:
        with database._explained(), _alone(parsed):
            if parsed.get_backend_name() == "sqlite":
                _prepare_file(database.engine)
            with database.writing() as connection:
                migrate(connection)
    except BaseException:
        database.close()
        raise
    return database


def sqlite_url(path: Path) -> str:
    """Return the URL of a database file."""
    return URL.create("sqlite", database=str(path)).render_as_string()


def parse_url(url: str) -> URL:
    """Return the parts of a database URL, with the driver we use; raises ConfigError."""
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        raise ConfigError("ENGINE_DATABASE_URL: not a database URL") from error
    backend = parsed.get_backend_name()
    if backend == "sqlite" and parsed.database not in (None, "", ":memory:"):
        return parsed.set(drivername="sqlite")
    if backend in ("postgresql", "postgres"):
        return parsed.set(drivername="postgresql+psycopg")
    raise ConfigError("ENGINE_DATABASE_URL: only postgresql://... and sqlite:///FILE can be used")


def engine_for(url: URL) -> Engine:
    """Return connections to that database, with transactions as `Database` needs them."""
    if url.get_backend_name() != "sqlite":
        try:
            # A server whose databases have no encoding (SQL_ASCII) would give bytes for texts.
            return create_engine(url, pool_pre_ping=True, connect_args={"client_encoding": "utf8"})
        except ModuleNotFoundError as missing:
            raise unimportable(missing, "psycopg", "postgres") from missing
    engine = create_engine(url, connect_args={"timeout": _BUSY_SECONDS})
    event.listen(engine, "connect", _configure)
    event.listen(engine, "begin", _begin)
    return engine


def _configure(connection: sqlite3.Connection, record: object) -> None:
    # Left to itself, the driver begins transactions too late for a reader, and none for CREATE TABLE.
    connection.isolation_level = None
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute(f"PRAGMA busy_timeout = {_BUSY_SECONDS * 1000}")


def _begin(connection: Connection) -> None:
    # A writer asks for the lock at once: one that reads first cannot wait for it, and fails.
    immediate = connection.get_execution_options().get(_IMMEDIATE, False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if immediate else "BEGIN")


@contextmanager
def _alone(url: URL) -> Iterator[None]:
    """Keep other processes from opening the same database file at the same time."""
    if url.get_backend_name() != "sqlite":
        with nullcontext():  # there the migration takes a lock of the server's
            yield
        return
    path = Path(str(url.database))
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with _lock(path):
            yield
    except Timeout as error:
        raise StoreError(f"{path}: another process has been opening it for {_BUSY_SECONDS} s") from error
    except OSError as error:
        raise StoreError(f"{path}: {error.strerror}; set ENGINE_DATA_DIR to a writable directory") from error


def _lock(path: Path) -> AbstractContextManager[object]:
    return FileLock(path.with_name(f"{path.name}.lock"), timeout=_BUSY_SECONDS)


def _prepare_file(engine: Engine) -> None:
    connection = engine.raw_connection()
    try:
        connection.execute("PRAGMA journal_mode = WAL")
    except sqlite3.Error as error:
        raise StoreError(f"{_shown(engine.url)}: {error}") from error
    finally:
        connection.close()


def _shown(url: URL) -> str:
    return str(url.database) if url.get_backend_name() == "sqlite" else url.render_as_string()


def _first_line(error: SQLAlchemyError) -> str:
    original = getattr(error, "orig", None) or error
    return str(original).strip().partition("\n")[0] or type(original).__name__
