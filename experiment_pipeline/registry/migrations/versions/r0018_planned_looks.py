"""Planned looks of experiments."""

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "planned_looks",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("experiment_id", sa.Integer(), nullable=False),
        sa.Column("metric_id", sa.Integer(), nullable=False),
        sa.Column("treatment", sa.String(length=2000), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("as_of", sa.DateTime(timezone=True), nullable=False),
        sa.Column("information_fraction", sa.Float(), nullable=False),
        sa.Column("boundary", sa.Float(), nullable=True),
        sa.Column("z", sa.Float(), nullable=False),
        sa.Column("crossed", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(["experiment_id"], ["experiments.id"], name="fk_planned_looks_experiment_id"),
        sa.ForeignKeyConstraint(["metric_id"], ["metrics.id"], name="fk_planned_looks_metric_id"),
        sa.PrimaryKeyConstraint("id", name="pk_planned_looks"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_planned_looks_experiment_id", "planned_looks", ["experiment_id"])
