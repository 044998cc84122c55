"""Secondary metrics that were attached after the start of their experiment."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("attachments") as attachments:
        attachments.add_column(sa.Column("added_after_start", sa.Boolean(), nullable=False, server_default=sa.false()))
