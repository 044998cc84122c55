"""Metrics of version 2: the whole definition is in its JSON, and the aggregation beside it is of version 1."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("metrics") as metrics:
        metrics.alter_column("aggregation", existing_type=sa.String(20), nullable=True)
        metrics.add_column(sa.Column("unit", sa.String(40), nullable=False, server_default=""))
