"""The control state.

Written out in full: a migration says what was true when it was made and never follows the code.
"""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:

    op.create_table(
        "audit_log",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("at", MOMENT, nullable=False),
        sa.Column("actor", sa.String(length=255), nullable=False),
        sa.Column("environment_key", sa.String(length=255), nullable=False),
        sa.Column("subject", sa.String(length=255), nullable=False),
        sa.Column("action", sa.String(length=40), nullable=False),
        sa.Column("before", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("after", sa.JSON(none_as_null=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_audit_log"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_audit_log_subject", "audit_log", ["environment_key", "subject"], unique=False)
    op.create_table(
        "batches",
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("planned_at", MOMENT, nullable=False),
        sa.Column("committed_at", MOMENT, nullable=True),
        sa.Column("accepted", sa.Integer(), nullable=True),
        sa.Column("duplicates", sa.Integer(), nullable=True),
        sa.Column("rejected", sa.JSON(), nullable=True),
        sa.PrimaryKeyConstraint("number", name="pk_batches"),
    )
    op.create_table(
        "environments",
        sa.Column("key", sa.String(length=255), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("key", name="pk_environments"),
    )
    op.create_table(
        "api_keys",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("environment_key", sa.String(length=255), nullable=False),
        sa.Column("scope", sa.String(length=20), nullable=False),
        sa.Column("prefix", sa.String(length=16), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("last_used_at", MOMENT, nullable=True),
        sa.Column("revoked_at", MOMENT, nullable=True),
        sa.CheckConstraint("scope IN ('read', 'refresh', 'admin')", name="ck_api_keys_scope"),
        sa.ForeignKeyConstraint(["environment_key"], ["environments.key"], name="fk_api_keys_environment_key"),
        sa.PrimaryKeyConstraint("id", name="pk_api_keys"),
        sa.UniqueConstraint("prefix", name="uq_api_keys_prefix"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_api_keys_environment_key", "api_keys", ["environment_key"], unique=False)
    op.create_table(
        "experiments",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("environment_key", sa.String(length=255), nullable=False),
        sa.Column("key", sa.String(length=80), nullable=False),
        sa.Column("partition_key", sa.String(length=120), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("hypothesis", sa.Text(), nullable=False),
        sa.Column("feature", sa.String(length=2000), nullable=False),
        sa.Column("status", sa.String(length=20), nullable=False),
        sa.Column("multiple_exposures", sa.String(length=20), nullable=False),
        sa.Column("refresh_interval_seconds", sa.Integer(), nullable=False),
        sa.Column("design", sa.JSON(), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("updated_at", MOMENT, nullable=False),
        sa.Column("started_at", MOMENT, nullable=True),
        sa.Column("ended_at", MOMENT, nullable=True),
        sa.Column("deleted_at", MOMENT, nullable=True),
        sa.ForeignKeyConstraint(["environment_key"], ["environments.key"], name="fk_experiments_environment_key"),
        sa.PrimaryKeyConstraint("id", name="pk_experiments"),
        sa.UniqueConstraint("environment_key", "key", name="uq_experiments_environment_key_key"),
        sa.UniqueConstraint("partition_key", name="uq_experiments_partition_key"),
        sqlite_autoincrement=True,
    )
    op.create_index(
        "ix_experiments_environment_created", "experiments", ["environment_key", "created_at"], unique=False
    )
    op.create_index(
        "uq_experiments_active_feature",
        "experiments",
        ["environment_key", "feature"],
        unique=True,
        sqlite_where=sa.text("status <> 'completed' AND deleted_at IS NULL"),
        postgresql_where=sa.text("status <> 'completed' AND deleted_at IS NULL"),
    )
    op.create_table(
        "landing_objects",
        sa.Column("name", sa.String(length=1024), nullable=False),
        sa.Column("batch", sa.Integer(), nullable=False),
        sa.Column("environment_key", sa.String(length=255), nullable=False),
        sa.Column("landed_at", MOMENT, nullable=False),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
        sa.Column("problem", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["batch"], ["batches.number"], name="fk_landing_objects_batch"),
        sa.PrimaryKeyConstraint("name", name="pk_landing_objects"),
    )
    op.create_index("ix_landing_objects_batch", "landing_objects", ["batch"], unique=False)
    op.create_index(
        "ix_landing_objects_environment_batch", "landing_objects", ["environment_key", "batch"], unique=False
    )
    op.create_table(
        "landing_scans",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("scanned_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_landing_scans"),
    )
    op.create_table(
        "metrics",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("environment_key", sa.String(length=255), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("aggregation", sa.String(length=20), nullable=False),
        sa.Column("direction", sa.String(length=20), nullable=False),
        sa.Column("definition", sa.JSON(), nullable=False),
        sa.Column("window_seconds", sa.Integer(), nullable=True),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("updated_at", MOMENT, nullable=False),
        sa.Column("deleted_at", MOMENT, nullable=True),
        sa.ForeignKeyConstraint(["environment_key"], ["environments.key"], name="fk_metrics_environment_key"),
        sa.PrimaryKeyConstraint("id", name="pk_metrics"),
        sqlite_autoincrement=True,
    )
    op.create_index(
        "uq_metrics_alive_name",
        "metrics",
        ["environment_key", "name"],
        unique=True,
        sqlite_where=sa.text("deleted_at IS NULL"),
        postgresql_where=sa.text("deleted_at IS NULL"),
    )
    op.create_table(
        "attachments",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("experiment_id", sa.Integer(), nullable=False),
        sa.Column("metric_id", sa.Integer(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("expected_direction", sa.String(length=20), nullable=False),
        sa.ForeignKeyConstraint(["experiment_id"], ["experiments.id"], name="fk_attachments_experiment_id"),
        sa.ForeignKeyConstraint(["metric_id"], ["metrics.id"], name="fk_attachments_metric_id"),
        sa.PrimaryKeyConstraint("id", name="pk_attachments"),
        sa.UniqueConstraint("experiment_id", "metric_id", name="uq_attachments_experiment_id_metric_id"),
        sa.UniqueConstraint("experiment_id", "position", name="uq_attachments_experiment_id_position"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_attachments_metric_id", "attachments", ["metric_id"], unique=False)
    op.create_table(
        "computations",
        sa.Column("experiment_id", sa.Integer(), nullable=False),
        sa.Column("computation", sa.String(length=20), nullable=False),
        sa.Column("as_of", MOMENT, nullable=True),
        sa.Column("data_version", sa.Integer(), nullable=True),
        sa.Column("computed_at", MOMENT, nullable=True),
        sa.Column("payload", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("is_final", sa.Boolean(), nullable=False),
        sa.Column("last_error_at", MOMENT, nullable=True),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("refresh_requested_at", MOMENT, nullable=True),
        sa.Column("last_duration_seconds", sa.Float(), nullable=True),
        sa.ForeignKeyConstraint(["experiment_id"], ["experiments.id"], name="fk_computations_experiment_id"),
        sa.PrimaryKeyConstraint("experiment_id", "computation", name="pk_computations"),
    )
    op.create_table(
        "leases",
        sa.Column("experiment_id", sa.Integer(), nullable=False),
        sa.Column("run_id", sa.String(length=255), nullable=False),
        sa.Column("expires_at", MOMENT, nullable=False),
        sa.ForeignKeyConstraint(["experiment_id"], ["experiments.id"], name="fk_leases_experiment_id"),
        sa.PrimaryKeyConstraint("experiment_id", name="pk_leases"),
    )
    op.create_table(
        "payloads",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("experiment_id", sa.Integer(), nullable=False),
        sa.Column("computation", sa.String(length=20), nullable=False),
        sa.Column("as_of", MOMENT, nullable=False),
        sa.Column("data_version", sa.Integer(), nullable=False),
        sa.Column("computed_at", MOMENT, nullable=False),
        sa.Column("code_version", sa.String(length=64), nullable=False),
        sa.Column("run_id", sa.String(length=255), nullable=False),
        sa.Column("payload", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(["experiment_id"], ["experiments.id"], name="fk_payloads_experiment_id"),
        sa.PrimaryKeyConstraint("id", name="pk_payloads"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_payloads_look", "payloads", ["experiment_id", "computation", "computed_at"], unique=False)
    op.create_table(
        "refresh_claims",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("experiment_id", sa.Integer(), nullable=False),
        sa.Column("computation", sa.String(length=20), nullable=False),
        sa.Column("source", sa.String(length=20), nullable=False),
        sa.Column("requested_at", MOMENT, nullable=False),
        sa.Column("run_key", sa.String(length=255), nullable=True),
        sa.Column("as_of", MOMENT, nullable=True),
        sa.Column("data_version", sa.Integer(), nullable=True),
        sa.Column("served_by", sa.String(length=255), nullable=True),
        sa.Column("served_at", MOMENT, nullable=True),
        sa.Column("outcome", sa.String(length=20), nullable=True),
        sa.ForeignKeyConstraint(["experiment_id"], ["experiments.id"], name="fk_refresh_claims_experiment_id"),
        sa.PrimaryKeyConstraint("id", name="pk_refresh_claims"),
        sqlite_autoincrement=True,
    )
    op.create_index(
        "ix_refresh_claims_waiting",
        "refresh_claims",
        ["experiment_id", "requested_at"],
        unique=False,
        sqlite_where=sa.text("outcome IS NULL"),
        postgresql_where=sa.text("outcome IS NULL"),
    )
    op.create_table(
        "refresh_runs",
        sa.Column("run_id", sa.String(length=255), nullable=False),
        sa.Column("experiment_id", sa.Integer(), nullable=False),
        sa.Column("as_of", MOMENT, nullable=False),
        sa.Column("data_version", sa.Integer(), nullable=False),
        sa.Column("opened_at", MOMENT, nullable=False),
        sa.ForeignKeyConstraint(["experiment_id"], ["experiments.id"], name="fk_refresh_runs_experiment_id"),
        sa.PrimaryKeyConstraint("run_id", "experiment_id", name="pk_refresh_runs"),
    )
    op.create_table(
        "variants",
        sa.Column("experiment_id", sa.Integer(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("key", sa.String(length=2000), nullable=True),
        sa.Column("role", sa.String(length=20), nullable=False),
        sa.Column("percentage_allocation", sa.Float(), nullable=True),
        sa.ForeignKeyConstraint(["experiment_id"], ["experiments.id"], name="fk_variants_experiment_id"),
        sa.PrimaryKeyConstraint("experiment_id", "position", name="pk_variants"),
    )


def downgrade() -> None:
    op.drop_table("variants")
    op.drop_table("refresh_runs")
    op.drop_table("refresh_claims")
    op.drop_table("payloads")
    op.drop_table("leases")
    op.drop_table("computations")
    op.drop_table("attachments")
    op.drop_table("metrics")
    op.drop_table("landing_scans")
    op.drop_table("landing_objects")
    op.drop_table("experiments")
    op.drop_table("api_keys")
    op.drop_table("environments")
    op.drop_table("batches")
    op.drop_table("audit_log")
