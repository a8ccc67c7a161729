"""The database's revisions, oldest first in `versions/`, and the step from any of them to the newest."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Connection

from engine.store.revisions import Revisions

HEAD = "0002"
"""The newest revision."""

REVISIONS = ("0001", HEAD)

ALL = Revisions(REVISIONS, Path(__file__).parent / "versions", "alembic_version", lock=0x74656E6B656E)


def migrate(connection: Connection, target: str = HEAD) -> None:
    """Bring the database up to `target` within the running transaction; all of it happens, or nothing."""
    ALL.bring(connection, target)


def revision(connection: Connection) -> str | None:
    """Return the database's revision, or None for an empty one."""
    return ALL.current(connection)
