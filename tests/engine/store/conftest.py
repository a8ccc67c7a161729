"""Tiny adapters, and empty databases of each kind."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import make_url
from tiny_adapters import write_tiny_adapter

from engine.store.database import sqlite_url

MakeAdapter = Callable[..., Path]

POSTGRES = "TENKEN_TEST_POSTGRES"


@pytest.fixture
def make_adapter(tmp_path: Path) -> MakeAdapter:
    """Make adapters below the test's directory, each in one of its own."""
    made: list[Path] = []

    def make(name: str = "tiny", fill: int = 1, **manifest: object) -> Path:
        made.append(write_tiny_adapter(tmp_path / "made" / str(len(made)), name, fill, **manifest))
        return made[-1]

    return make


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of an empty database: a file, then one on the server that tests/postgres.sh starts."""
    with empty_database(str(request.param), tmp_path / "data" / "tenken.db") as url:
        yield url


@pytest.fixture
def other_database_url(database_url: str, tmp_path: Path) -> Iterator[str]:
    """The URL of a second empty database of the same kind."""
    kind = database_url.partition(":")[0]
    with empty_database(kind, tmp_path / "data" / "other.db") as url:
        yield url


@contextmanager
def empty_database(kind: str, path: Path) -> Iterator[str]:
    """Give the URL of a database that is there only inside."""
    if kind == "sqlite":
        path.parent.mkdir(exist_ok=True)
        yield sqlite_url(path)
        return
    server = os.environ.get(POSTGRES)
    if not server:
        pytest.skip(f"no Postgres server: run by tests/postgres.sh, or set {POSTGRES}")
    psycopg = pytest.importorskip("psycopg")
    name = f"tenken_{uuid.uuid4().hex}"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
        try:
            yield make_url(server).set(database=name).render_as_string(hide_password=False)
        finally:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)")
