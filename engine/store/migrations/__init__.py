"""The database's revisions, oldest first in `versions/`, and the step from any of them to the newest."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Connection, inspect, text

from engine.errors import StoreError

HEAD = "0002"
"""The newest revision. Known without Alembic, whose import takes longer than everything else here."""

REVISIONS = ("0001", HEAD)

_LOCK = 0x74656E6B656E  # any number that no one else takes on the same server


def migrate(connection: Connection, target: str = HEAD) -> None:
    """Bring the database up to `target` within the running transaction; all of it happens, or nothing."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
    current = revision(connection)
    if current == target:
        return
    if current is not None and current not in REVISIONS:
        raise StoreError(f"the database is of revision {current}, made by a newer tenken: upgrade this one")
    _upgrade(connection, target)


def revision(connection: Connection) -> str | None:
    """Return the database's revision, or None for an empty one."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one_or_none()


def _upgrade(connection: Connection, target: str) -> None:
    from alembic import command
    from alembic.config import Config

    config = Config(attributes={"connection": connection})
    # ConfigParser reads % in a path as the beginning of a name.
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    command.upgrade(config, target)
