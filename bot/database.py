"""The bot's database: SQLite in the data directory, or Postgres for several workers. Connections, no rows.

DBOS and our own tables share it. SQL errors leave here as StoreError.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from filelock import FileLock, Timeout
from sqlalchemy import event
from sqlalchemy.exc import ArgumentError, DBAPIError, SQLAlchemyError

from bot.migrations import migrate
from engine.errors import ConfigError, StoreError

_BUSY_SECONDS = 30
_OPENING_SECONDS = 30
_IDLE_SECONDS = 10.0


class Database:
    """Where deliveries, jobs and what is known of merge requests are kept. Safe to share between threads.

    `engine` is for work that may be done again after a power failure. What is written with `durable` has
    reached the disk when the transaction ends; with Postgres both do. Its connections are for that alone, so
    that a delivery waits for nobody else's, and are not tried out first: see `was_cut`.
    """

    def __init__(self, url: sa.URL) -> None:
        self.url = url
        self.is_sqlite = url.get_backend_name() == "sqlite"
        if self.is_sqlite:
            self.engine = _sqlite(url, "NORMAL", _BUSY_SECONDS)
            # GitLab waits ten seconds for an answer: to say no in time beats to wait for a lock.
            self.durable = _sqlite(url, "FULL", 5)
        else:
            self.engine = _postgres(url, pool_pre_ping=True, pool_size=10)
            self.durable = _postgres(url, pool_size=2)

    def create(self) -> None:
        """Make our tables, or bring them up to date, one process at a time."""
        with self.explained(), self._alone(), self.writing() as connection:
            migrate(connection)

    @contextmanager
    def reading(self) -> Iterator[sa.Connection]:
        """Give a connection for reading."""
        with self.explained(), self.engine.connect() as connection:
            yield connection

    @contextmanager
    def writing(self, *, durable: bool = False) -> Iterator[sa.Connection]:
        """Give a connection whose changes all happen, or none."""
        with self.explained(), (self.durable if durable else self.engine).begin() as connection:
            if self.is_sqlite:
                # Asked for at once: a transaction that reads first cannot wait for the lock, and fails.
                connection.exec_driver_sql("BEGIN IMMEDIATE")
            yield connection

    def now(self, connection: sa.Connection) -> float:
        """Return the time in seconds, by one clock for all workers."""
        if self.is_sqlite:
            return time.time()  # all on one host
        return float(connection.execute(sa.text("SELECT extract(epoch FROM clock_timestamp())")).scalar_one())

    @property
    def place(self) -> str:
        """Where the database is, fit to be shown."""
        return str(self.url.database) if self.is_sqlite else self.url.render_as_string()

    def close(self) -> None:
        """Give the connections back."""
        self.engine.dispose()
        self.durable.dispose()

    @contextmanager
    def explained(self) -> Iterator[None]:
        """Turn SQL errors inside into StoreError."""
        try:
            yield
        except SQLAlchemyError as error:
            reason = str(getattr(error, "orig", None) or error).strip().partition("\n")[0]
            raise StoreError(f"{self.place}: {reason or type(error).__name__}") from error

    @contextmanager
    def _alone(self) -> Iterator[None]:
        if not self.is_sqlite:
            yield
            return
        path = Path(str(self.url.database))
        try:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            with FileLock(path.with_name(f"{path.name}.lock"), timeout=_OPENING_SECONDS):
                yield
        except Timeout as error:
            raise StoreError(f"{path}: another process has been opening it for too long") from error
        except OSError as error:
            raise StoreError(f"{path}: {error.strerror}; BOT_DATA_DIR names where it is") from error


def was_cut(error: StoreError) -> bool:
    """Whether a server has closed the connection while nothing was done with it; the next one is new."""
    cause = error.__cause__
    return isinstance(cause, DBAPIError) and cause.connection_invalidated


def database_url(given: str | None, data_dir: Path) -> sa.URL:
    """Return the URL of the database, with the driver we use; raises ConfigError for what is none."""
    if given is None:
        return sa.URL.create("sqlite", database=str(data_dir.expanduser() / "bot.db"))
    try:
        url = sa.make_url(given)
    except ArgumentError as error:
        raise ConfigError("BOT_DATABASE_URL: not a database URL") from error
    backend = url.get_backend_name()
    if backend == "sqlite" and url.database not in (None, "", ":memory:"):
        return url.set(drivername="sqlite")
    if backend in ("postgresql", "postgres"):
        return url.set(drivername="postgresql+psycopg")
    raise ConfigError("BOT_DATABASE_URL: only postgresql://... and sqlite:///FILE can be used")


def _postgres(url: sa.URL, **options: Any) -> sa.Engine:
    # A server whose databases have no encoding (SQL_ASCII) would give bytes for texts.
    engine = sa.create_engine(url, connect_args={"client_encoding": "utf8"}, **options)

    @event.listens_for(engine, "connect")
    def configure(connection: sa.engine.interfaces.DBAPIConnection, record: object) -> None:
        # A worker that is frozen in the middle of a transaction must not keep its locks from the others.
        cursor = connection.cursor()
        cursor.execute(f"SET idle_in_transaction_session_timeout = {int(1000 * _IDLE_SECONDS)}")
        cursor.close()
        connection.commit()

    return engine


def _sqlite(url: sa.URL, synchronous: str, busy_seconds: int) -> sa.Engine:
    engine = sa.create_engine(url, pool_size=10, connect_args={"timeout": busy_seconds})

    @event.listens_for(engine, "connect")
    def configure(connection: sa.engine.interfaces.DBAPIConnection, record: object) -> None:
        # As DBOS wants it: the driver opens a transaction before the first write, and takes the lock.
        connection.isolation_level = "IMMEDIATE"
        cursor = connection.cursor()
        cursor.execute("PRAGMA journal_mode = WAL")
        cursor.execute(f"PRAGMA synchronous = {synchronous}")
        cursor.execute("PRAGMA foreign_keys = ON")
        cursor.close()

    return engine
