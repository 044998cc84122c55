"""Margins of guardrails."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("attachments") as attachments:
        attachments.add_column(sa.Column("margin", sa.Float(), nullable=True))
