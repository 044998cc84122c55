"""The last failure of each source's pulls, until one works."""

import sqlalchemy as sa
from alembic import op

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("sources", sa.Column("failed_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("sources", sa.Column("failure", sa.Text(), nullable=True))


def downgrade() -> None:
    with op.batch_alter_table("sources") as sources:
        sources.drop_column("failure")
        sources.drop_column("failed_at")
