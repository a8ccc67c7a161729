"""Fixtures that several of the bot's tests need."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from empty_databases import empty_database

from bot.database import Database, database_url


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """An empty database with our tables."""
    with empty_database(str(request.param), tmp_path / "data" / "bot.db") as url:
        made = Database(database_url(url, tmp_path))
        made.create()
        yield made
        made.close()
