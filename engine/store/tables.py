"""The tables as they are now; how they came to be is `engine.store.migrations`."""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy import (
    JSON,
    CheckConstraint,
    Column,
    DateTime,
    Dialect,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
    text,
)


class UtcTime(TypeDecorator[datetime]):
    """A time with its zone, also where the database keeps none."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Return what is stored."""
        return value and value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Return what was stored."""
        return value and (value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC))


_CHAMPION = text("state = 'champion'")

metadata = MetaData()

adapters = Table(
    "adapters",
    metadata,
    Column("project", String(255), primary_key=True),
    Column("version", String(80), primary_key=True),
    Column("name", String(64), nullable=False),
    Column("path", String(255), nullable=False),
    Column("base_model", String(255), nullable=False),
    Column("base_sha256", String(64), nullable=False),
    Column("state", String(16), nullable=False),
    Column("scores", JSON, nullable=False),
    Column("created", UtcTime, nullable=False),
    Column("added", UtcTime, nullable=False),
    CheckConstraint("state IN ('candidate', 'champion', 'retired', 'rejected')", "known_state"),
    Index("one_champion", "project", unique=True, sqlite_where=_CHAMPION, postgresql_where=_CHAMPION),
)
"""An adapter in a project. The state of the one that serves is the only pointer to it."""

promotions = Table(
    "promotions",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("project", String(255), nullable=False, index=True),
    Column("version", String(80), nullable=False),
    Column("action", String(16), nullable=False),
    Column("below", Integer, ForeignKey("promotions.id")),
    Column("actor", String(255), nullable=False),
    Column("at", UtcTime, nullable=False),
    sqlite_autoincrement=True,
)
"""Who was champion when. `below` is the row to return to on a roll back; rows outlive their adapters."""

feedback = Table(
    "feedback",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("project", String(255), nullable=False),
    Column("fingerprint", String(16), nullable=False),
    Column("verdict", String(16), nullable=False),
    Column("adapter", String(80), nullable=False),
    Column("source", String(16), nullable=False),
    Column("role", String(32), nullable=False),
    Column("reason", Text, nullable=False),
    Column("created", UtcTime, nullable=False),
    UniqueConstraint("project", "fingerprint", "verdict", "adapter", "source", "role", name="said_once"),
    sqlite_autoincrement=True,
)
"""What people did with findings; the same said again only moves its time."""
