"""Up to which batch events that came after final results are counted; where they are final already, from now on."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("health", sa.Column("late_counted_to", sa.Integer(), nullable=False, server_default="0"))
    op.execute("update health set late_counted_to = (select coalesce(max(number), 0) from batches)")


def downgrade() -> None:
    with op.batch_alter_table("health") as health:
        health.drop_column("late_counted_to")
