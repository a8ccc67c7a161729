"""Tiny adapters, and empty databases of each kind."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from empty_databases import empty_database
from tiny_adapters import write_tiny_adapter

MakeAdapter = Callable[..., Path]


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
