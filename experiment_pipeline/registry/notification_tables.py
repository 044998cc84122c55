"""Tables of notifications: targets, the outbox, and what became of each delivery."""

from sqlalchemy import JSON, Column, ForeignKey, Index, Integer, String, Table, Text, UniqueConstraint

from experiment_pipeline.registry.columns import UtcDateTime, metadata

notification_targets = Table(
    "notification_targets",
    metadata,
    Column("key", String(80), primary_key=True),
    Column("declared", JSON, nullable=False),  # the variables or files that hold its secrets, never these
    Column("created_at", UtcDateTime, nullable=False),
    Column("updated_at", UtcDateTime, nullable=False),
)

notifications = Table(  # the outbox: written in the transaction of what they tell
    "notifications",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("key", String(40), nullable=False, unique=True),  # the id in payloads, and the idempotency key
    Column("environment_key", String(255), nullable=False, index=True),
    Column("experiment_id", ForeignKey("experiments.id"), nullable=False),
    Column("phase", Integer, nullable=False),
    Column("event", String(40), nullable=False),
    Column("occasion", String(200), nullable=False),
    Column("experiment_key", String(80), nullable=False),
    Column("experiment_name", String(255), nullable=False),  # as it was then
    Column("created_at", UtcDateTime, nullable=False),
    Column("facts", JSON, nullable=False),
    UniqueConstraint("experiment_id", "phase", "event", "occasion"),
    sqlite_autoincrement=True,
)

notification_deliveries = Table(
    "notification_deliveries",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("notification_id", ForeignKey("notifications.id"), nullable=False),
    Column("target", ForeignKey("notification_targets.key"), nullable=False),
    Column("kind", String(20), nullable=False),
    Column("state", String(20), nullable=False),
    Column("attempts", Integer, nullable=False, server_default="0"),
    Column("next_attempt_at", UtcDateTime, nullable=False),
    Column("attempted_at", UtcDateTime),
    Column("delivered_at", UtcDateTime),
    Column("error", Text),
    UniqueConstraint("notification_id", "target"),
    Index("ix_notification_deliveries_target_state", "target", "state"),
    sqlite_autoincrement=True,
)
