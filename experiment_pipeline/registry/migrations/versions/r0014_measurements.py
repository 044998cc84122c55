"""Measurements of metrics by previews and refreshes: what the size of an experiment is planned from."""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "metric_measurements",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("metric_id", sa.Integer(), nullable=False),
        sa.Column("experiment_id", sa.Integer(), nullable=True),
        sa.Column("source", sa.String(20), nullable=False),
        sa.Column("measured_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("as_of", sa.DateTime(timezone=True), nullable=False),
        sa.Column("data_version", sa.Integer(), nullable=False),
        sa.Column("identities", sa.BigInteger(), nullable=False),
        sa.Column("definition", sa.JSON(), nullable=False),
        sa.Column("statistic", sa.JSON(), nullable=False),
        sa.Column("uncapped", sa.JSON(), nullable=True),
        sa.Column("cap", sa.Float(), nullable=True),
        sa.Column("floor", sa.Float(), nullable=True),
        sa.ForeignKeyConstraint(["metric_id"], ["metrics.id"], name="fk_metric_measurements_metric_id"),
        sa.ForeignKeyConstraint(["experiment_id"], ["experiments.id"], name="fk_metric_measurements_experiment_id"),
        sa.PrimaryKeyConstraint("id", name="pk_metric_measurements"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_metric_measurements_metric_id", "metric_measurements", ["metric_id"])


def downgrade() -> None:
    op.drop_table("metric_measurements")
