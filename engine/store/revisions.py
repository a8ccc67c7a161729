"""Revisions of a database's tables, and the step from any of them to the newest."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection, inspect, text

from engine.errors import StoreError

ENVIRONMENT = Path(__file__).parent / "migrations"
"""Where Alembic finds what runs the revisions of every folder."""


@dataclass(frozen=True, slots=True)
class Revisions:
    """One set of tables. Several sets may share a database, each with a version of its own."""

    names: tuple[
        str, ...
    ]  # oldest first; known without Alembic, whose import takes longer than all else here
    folder: Path  # holds a module for each
    table: str  # that keeps which of them the database is of
    lock: int  # any number that nobody else takes on the same server
    before: str = ""  # a table of the oldest revision, made by versions of this program that kept no revision

    def bring(self, connection: Connection, target: str | None = None) -> None:
        """Bring the tables up to `target` within the running transaction; all of it happens, or nothing."""
        wanted = target or self.names[-1]
        if connection.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": self.lock})
        current = self.current(connection)
        if current == wanted:
            return
        if current is not None and current not in self.names:
            raise StoreError(
                f"the database is of revision {current}, made by a newer tenken: upgrade this one"
            )
        adopted = current is None and bool(self.before) and inspect(connection).has_table(self.before)
        self.upgrade(connection, wanted, adopt=adopted)

    def current(self, connection: Connection) -> str | None:
        """Return the revision, or None for an empty database."""
        if not inspect(connection).has_table(self.table):
            return None
        return connection.execute(text(f"SELECT version_num FROM {self.table}")).scalar_one_or_none()

    def upgrade(self, connection: Connection, target: str, *, adopt: bool = False) -> None:
        """Run what lies between; with `adopt` the tables of the oldest revision are there already."""
        from alembic import command
        from alembic.config import Config

        config = Config(attributes={"connection": connection, "table": self.table})
        for option, path in (("script_location", ENVIRONMENT), ("version_locations", self.folder)):
            # ConfigParser reads % in a path as the beginning of a name.
            config.set_main_option(option, str(path).replace("%", "%%"))
        config.set_main_option("path_separator", "newline")
        if adopt:
            command.stamp(config, self.names[0])
        command.upgrade(config, target)
