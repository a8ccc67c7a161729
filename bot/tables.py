"""Our own tables beside those of DBOS. `Database.create` makes them; they only ever get further columns."""

from __future__ import annotations

import sqlalchemy as sa

METADATA = sa.MetaData()

WORKERS = sa.Table(
    "tenken_workers",
    METADATA,
    sa.Column("name", sa.String(100), primary_key=True),
    sa.Column("seen", sa.Double, nullable=False),  # seconds since 1970, by the clock of the database
)

LEASES = sa.Table(
    "tenken_leases",
    METADATA,
    sa.Column("name", sa.String(200), primary_key=True),
    sa.Column("holder", sa.String(300), primary_key=True),
    sa.Column("worker", sa.String(100), nullable=False),
    sa.Column("shared", sa.Boolean, nullable=False),
)

REVIEWED = sa.Table(
    "tenken_reviewed",
    METADATA,
    sa.Column("project_id", sa.BigInteger, primary_key=True),
    sa.Column("iid", sa.BigInteger, primary_key=True),
    sa.Column("reviewed", sa.Text, nullable=False),  # JSON of `bot.memory.Reviewed`
    sa.Column("at", sa.Double, nullable=False),
)

WATERMARKS = sa.Table(
    "tenken_watermarks",
    METADATA,
    sa.Column("project_id", sa.BigInteger, primary_key=True),
    sa.Column("at", sa.Double, nullable=False),  # seconds since 1970, by GitLab's clock
)
