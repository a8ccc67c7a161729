"""Adapters, and which of them were champion when."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

_CHAMPION = sa.text("state = 'champion'")


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "adapters",
        sa.Column("project", sa.String(255), primary_key=True),
        sa.Column("version", sa.String(80), primary_key=True),
        sa.Column("name", sa.String(64), nullable=False),
        sa.Column("path", sa.String(255), nullable=False),
        sa.Column("base_model", sa.String(255), nullable=False),
        sa.Column("base_sha256", sa.String(64), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("scores", sa.JSON, nullable=False),
        sa.Column("created", sa.DateTime(timezone=True), nullable=False),
        sa.Column("added", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("state IN ('candidate', 'champion', 'retired', 'rejected')", "known_state"),
    )
    op.create_index(
        "one_champion",
        "adapters",
        ["project"],
        unique=True,
        sqlite_where=_CHAMPION,
        postgresql_where=_CHAMPION,
    )
    op.create_table(
        "promotions",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("project", sa.String(255), nullable=False, index=True),
        sa.Column("version", sa.String(80), nullable=False),
        sa.Column("action", sa.String(16), nullable=False),
        sa.Column("below", sa.Integer, sa.ForeignKey("promotions.id")),
        sa.Column("actor", sa.String(255), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sqlite_autoincrement=True,
    )


def downgrade() -> None:
    """Refuse: an older tenken would not know what to do with the rest."""
    raise NotImplementedError
