"""Our own tables as they are now, beside those of DBOS. How they came to be is `bot.migrations`.

A change here is a revision there; a test holds the two together.
"""

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

DRAFTS = sa.Table(
    "tenken_drafts",
    METADATA,
    sa.Column("project_id", sa.BigInteger, primary_key=True),
    sa.Column("iid", sa.BigInteger, primary_key=True),
    sa.Column("at", sa.Double, nullable=False),  # when it was seen so last, seconds since 1970
)
