"""The revisions of our own tables, oldest first in `versions/`. DBOS brings its tables up to date itself."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Connection

from engine.store.revisions import Revisions

HEAD = "0002"
"""The newest revision."""

REVISIONS = ("0001", HEAD)

ALL = Revisions(
    REVISIONS,
    Path(__file__).parent / "versions",
    "tenken_bot_version",  # the engine's tables may be in the same database
    lock=0x7E4E_6B65,
    before="tenken_workers",
)


def migrate(connection: Connection, target: str = HEAD) -> None:
    """Bring the tables up to `target` within the running transaction; all of it happens, or nothing."""
    ALL.bring(connection, target)
