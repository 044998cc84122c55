"""Notifications: their targets, an outbox, and the state of every delivery."""

import sqlalchemy as sa
from alembic import op

revision = "0024"
down_revision = "0023"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "notification_targets",
        sa.Column("key", sa.String(80), nullable=False),
        sa.Column("declared", sa.JSON(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("key", name="pk_notification_targets"),
    )
    _outbox()
    _deliveries()


def _outbox() -> None:
    op.create_table(
        "notifications",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("key", sa.String(40), nullable=False),
        sa.Column("environment_key", sa.String(255), nullable=False),
        sa.Column("experiment_id", sa.Integer(), nullable=False),
        sa.Column("phase", sa.Integer(), nullable=False),
        sa.Column("event", sa.String(40), nullable=False),
        sa.Column("occasion", sa.String(200), nullable=False),
        sa.Column("experiment_key", sa.String(80), nullable=False),
        sa.Column("experiment_name", sa.String(255), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("facts", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(["experiment_id"], ["experiments.id"], name="fk_notifications_experiment_id"),
        sa.PrimaryKeyConstraint("id", name="pk_notifications"),
        sa.UniqueConstraint("key", name="uq_notifications_key"),
        sa.UniqueConstraint(
            "experiment_id",
            "phase",
            "event",
            "occasion",
            name="uq_notifications_experiment_id_phase_event_occasion",
        ),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_notifications_environment_key", "notifications", ["environment_key"])


def _deliveries() -> None:
    op.create_table(
        "notification_deliveries",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("notification_id", sa.Integer(), nullable=False),
        sa.Column("target", sa.String(80), nullable=False),
        sa.Column("kind", sa.String(20), nullable=False),
        sa.Column("state", sa.String(20), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False, server_default="0"),
        sa.Column("next_attempt_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("attempted_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("delivered_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(
            ["notification_id"], ["notifications.id"], name="fk_notification_deliveries_notification_id"
        ),
        sa.ForeignKeyConstraint(["target"], ["notification_targets.key"], name="fk_notification_deliveries_target"),
        sa.PrimaryKeyConstraint("id", name="pk_notification_deliveries"),
        sa.UniqueConstraint("notification_id", "target", name="uq_notification_deliveries_notification_id_target"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_notification_deliveries_target_state", "notification_deliveries", ["target", "state"])


def downgrade() -> None:
    for table in ("notification_deliveries", "notifications", "notification_targets"):
        op.drop_table(table)
