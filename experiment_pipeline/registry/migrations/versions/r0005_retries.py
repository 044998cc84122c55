"""Rejected records that are taken in again: which batch had rejected them, and why."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("landing_objects", sa.Column("retried_batch", sa.Integer(), nullable=True))
    op.add_column("landing_objects", sa.Column("retried_reason", sa.String(length=100), nullable=True))


def downgrade() -> None:
    op.execute("DELETE FROM landing_objects WHERE retried_batch IS NOT NULL")
    with op.batch_alter_table("landing_objects") as objects:
        objects.drop_column("retried_reason")
        objects.drop_column("retried_batch")
