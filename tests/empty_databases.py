"""Empty databases for tests: files, or on the server that tests/postgres.sh starts."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import make_url

from engine.store.database import sqlite_url

POSTGRES = "TENKEN_TEST_POSTGRES"


@contextmanager
def empty_database(kind: str, path: Path, encoding: str = "UTF8") -> Iterator[str]:
    """Give the URL of a database that is there only inside; `encoding` is that of a server's."""
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
        connection.execute(f"CREATE DATABASE {name} ENCODING '{encoding}' LOCALE 'C' TEMPLATE template0")
        try:
            yield make_url(server).set(database=name).render_as_string(hide_password=False)
        finally:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)")
