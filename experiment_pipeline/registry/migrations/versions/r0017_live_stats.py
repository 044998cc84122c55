"""Live statistics of every experiment, for dashboards that follow it."""

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "live_stats",
        sa.Column("experiment_id", sa.Integer(), nullable=False),
        sa.Column("as_of", sa.DateTime(timezone=True), nullable=False),
        sa.Column("data_version", sa.Integer(), nullable=False),
        sa.Column("payload", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(["experiment_id"], ["experiments.id"], name="fk_live_stats_experiment_id"),
        sa.PrimaryKeyConstraint("experiment_id", name="pk_live_stats"),
    )


def downgrade() -> None:
    op.drop_table("live_stats")
