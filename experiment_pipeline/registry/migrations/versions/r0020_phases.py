"""Phases of experiments: windows, shares, computations and state by phase; what there was is of phase 1."""

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None

KEYS = {  # tables whose primary key gets the phase, with the key
    "computations": ["experiment_id", "phase", "computation"],
    "health": ["experiment_id", "phase"],
    "live_stats": ["experiment_id", "phase"],
    "refresh_runs": ["run_id", "experiment_id", "phase"],
}
COLUMNS = ("experiments", "payloads", "planned_looks", "metric_measurements", "refresh_claims")


def upgrade() -> None:
    op.create_table(
        "ended_phases",
        sa.Column("experiment_id", sa.Integer(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("percentage_allocations", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(["experiment_id"], ["experiments.id"], name="fk_ended_phases_experiment_id"),
        sa.PrimaryKeyConstraint("experiment_id", "number", name="pk_ended_phases"),
    )
    for table in COLUMNS:
        op.add_column(table, _phase())
    for table, key in KEYS.items():
        with op.batch_alter_table(table) as altered:
            altered.add_column(_phase())
            altered.drop_constraint(f"pk_{table}", type_="primary")
            altered.create_primary_key(f"pk_{table}", key)
    op.add_column("attachments", sa.Column("added_in_phase", sa.Integer(), nullable=False, server_default="0"))
    op.execute("UPDATE attachments SET added_in_phase = 1 WHERE added_after_start")
    op.drop_column("attachments", "added_after_start")


def _phase() -> "sa.Column[int]":
    return sa.Column("phase", sa.Integer(), nullable=False, server_default="1")
