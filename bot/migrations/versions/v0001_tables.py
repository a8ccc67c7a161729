"""Workers, leases, what was reviewed, watermarks: as made by the versions that kept no revision."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "tenken_workers",
        sa.Column("name", sa.String(100), primary_key=True),
        sa.Column("seen", sa.Double, nullable=False),
    )
    op.create_table(
        "tenken_leases",
        sa.Column("name", sa.String(200), primary_key=True),
        sa.Column("holder", sa.String(300), primary_key=True),
        sa.Column("worker", sa.String(100), nullable=False),
        sa.Column("shared", sa.Boolean, nullable=False),
    )
    op.create_table(
        "tenken_reviewed",
        sa.Column("project_id", sa.BigInteger, primary_key=True),
        sa.Column("iid", sa.BigInteger, primary_key=True),
        sa.Column("reviewed", sa.Text, nullable=False),
        sa.Column("at", sa.Double, nullable=False),
    )
    op.create_table(
        "tenken_watermarks",
        sa.Column("project_id", sa.BigInteger, primary_key=True),
        sa.Column("at", sa.Double, nullable=False),
    )


def downgrade() -> None:
    """Refuse: what is known of workers and merge requests would be lost."""
    raise NotImplementedError
