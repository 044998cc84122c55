"""The costs of refreshes, added up for each experiment and asset, for Prometheus."""

import sqlalchemy as sa
from alembic import op

revision = "0028"
down_revision = "0027"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "refresh_costs",
        sa.Column("experiment_id", sa.Integer(), nullable=False),
        sa.Column("asset", sa.String(), nullable=False),
        sa.Column("incremental", sa.BigInteger(), nullable=False),
        sa.Column("full", sa.BigInteger(), nullable=False),
        sa.Column("rows_read", sa.BigInteger(), nullable=False),
        sa.Column("seconds_saved", sa.Float(), nullable=False),
        sa.Column("state_bytes", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["experiment_id"], ["experiments.id"], name="fk_refresh_costs_experiment_id"),
        sa.PrimaryKeyConstraint("experiment_id", "asset", name="pk_refresh_costs"),
    )


def downgrade() -> None:
    op.drop_table("refresh_costs")
