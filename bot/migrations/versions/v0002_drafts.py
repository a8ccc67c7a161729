"""Merge requests that were seen as drafts."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "tenken_drafts",
        sa.Column("project_id", sa.BigInteger, primary_key=True),
        sa.Column("iid", sa.BigInteger, primary_key=True),
        sa.Column("at", sa.Double, nullable=False),
    )


def downgrade() -> None:
    """Refuse: that a draft became ready would not be noticed."""
    raise NotImplementedError
