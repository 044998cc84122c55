"""The share of identities that a measured metric is over: the others bring nothing to its sample."""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("metric_measurements") as measurements:
        measurements.add_column(sa.Column("share_in_metric", sa.Float(), nullable=False, server_default="1"))


def downgrade() -> None:
    with op.batch_alter_table("metric_measurements") as measurements:
        measurements.drop_column("share_in_metric")
