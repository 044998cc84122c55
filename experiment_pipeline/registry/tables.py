"""The control state: experiments and metrics, computations and claims, batches, keys, and the audit log.

Every time is UTC and comes back aware. JSON columns hold what the domain renders, never what a client sent.
"""

from datetime import datetime, timedelta

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ColumnElement,
    Float,
    ForeignKey,
    Index,
    Integer,
    String,
    Table,
    Text,
    UniqueConstraint,
    or_,
    select,
    text,
    union_all,
)

from experiment_pipeline.domain.refresh import Computation
from experiment_pipeline.registry import erasure_tables, notification_tables, outbox_tables, source_tables  # noqa: F401
from experiment_pipeline.registry.columns import DataVersion, UtcDateTime, is_id, metadata
from experiment_pipeline.registry.refresh_cost_tables import refresh_costs  # noqa: F401

VERSION_TABLE = "experiment_pipeline_version"  # Dagster's own storage claims Alembic's default name

environments = Table(
    "environments",
    metadata,
    Column("key", String(255), primary_key=True),  # rule E8
    Column("name", String(255), nullable=False),
    Column("warehouse", String(80)),  # the connection to where its events lie; null: the installation's engine
    Column("created_at", UtcDateTime, nullable=False),
    Column("keep_seconds", BigInteger),  # of its events; null: for ever (rule X8)
)

experiments = Table(
    "experiments",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("environment_key", ForeignKey("environments.key"), nullable=False),
    Column("key", String(80), nullable=False),
    Column("partition_key", String(120), nullable=False, unique=True),  # rule L6
    Column("name", String(255), nullable=False),
    Column("hypothesis", Text, nullable=False),
    Column("feature", String(2000), nullable=False),
    Column("status", String(20), nullable=False),
    Column("multiple_exposures", String(20), nullable=False),
    Column("refresh_interval_seconds", Integer, nullable=False),
    Column("design", JSON, nullable=False),
    Column("ignored_variants", JSON, nullable=False, server_default="[]"),
    Column("audience", JSON, nullable=False, server_default="{}"),  # canonical, rules M15, M19, M20, M23
    Column("post_stratify", String(40)),
    Column("prior", JSON(none_as_null=True)),  # null for none
    Column("created_at", UtcDateTime, nullable=False),
    Column("updated_at", UtcDateTime, nullable=False),
    Column("started_at", UtcDateTime),
    Column("ended_at", UtcDateTime),
    Column("deleted_at", UtcDateTime),
    Column("phase", Integer, nullable=False, server_default="1"),  # rule X9; status, start and end are of this one
    UniqueConstraint("environment_key", "key"),
    sqlite_autoincrement=True,  # ids, and so partition keys, are never used again
)
ACTIVE = text("status <> 'completed' AND deleted_at IS NULL")
Index(  # rule L2
    "uq_experiments_active_feature",
    experiments.c.environment_key,
    experiments.c.feature,
    unique=True,
    sqlite_where=ACTIVE,
    postgresql_where=ACTIVE,
)
Index("ix_experiments_environment_created", experiments.c.environment_key, experiments.c.created_at)

ended_phases = Table(  # rule X9: a restart adds one
    "ended_phases",
    metadata,
    Column("experiment_id", ForeignKey("experiments.id"), primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("started_at", UtcDateTime, nullable=False),
    Column("ended_at", UtcDateTime, nullable=False),
    Column("percentage_allocations", JSON, nullable=False),  # of the variants, in their order
)

phases = union_all(  # every phase with its window, those that were ended and the newest of each experiment
    select(ended_phases.c.experiment_id, ended_phases.c.number, ended_phases.c.started_at, ended_phases.c.ended_at),
    select(experiments.c.id, experiments.c.phase, experiments.c.started_at, experiments.c.ended_at),
).subquery("phases")

variants = Table(
    "variants",
    metadata,
    Column("experiment_id", ForeignKey("experiments.id"), primary_key=True),
    Column("position", Integer, primary_key=True),
    Column("key", String(2000)),  # rule L3: null is allowed, then SRM is skipped
    Column("role", String(20), nullable=False),
    Column("percentage_allocation", Float),
    # Keys are unique by the domain's check under the experiment's lock: 2,000 characters do not fit every index.
)

metrics = Table(
    "metrics",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("environment_key", ForeignKey("environments.key"), nullable=False),
    Column("name", String(255), nullable=False),
    Column("description", Text, nullable=False),
    Column("aggregation", String(20)),  # of a definition of version 1, as is the window; null in version 2
    Column("direction", String(20), nullable=False),
    Column("definition", JSON, nullable=False),  # canonical, rule M1
    Column("window_seconds", Integer),
    Column("unit", String(40), nullable=False, server_default=""),
    Column("created_at", UtcDateTime, nullable=False),
    Column("updated_at", UtcDateTime, nullable=False),
    Column("deleted_at", UtcDateTime),
    sqlite_autoincrement=True,
)
ALIVE = text("deleted_at IS NULL")
Index(
    "uq_metrics_alive_name",
    metrics.c.environment_key,
    metrics.c.name,
    unique=True,
    sqlite_where=ALIVE,
    postgresql_where=ALIVE,
)

attachments = Table(
    "attachments",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("experiment_id", ForeignKey("experiments.id"), nullable=False),
    Column("metric_id", ForeignKey("metrics.id"), nullable=False, index=True),
    Column("position", Integer, nullable=False),
    Column("expected_direction", String(20), nullable=False),
    Column("added_in_phase", Integer, nullable=False, server_default="0"),  # after its start, rule M22; 0: before all
    Column("margin", Float),  # of a guardrail, rule M16
    UniqueConstraint("experiment_id", "metric_id"),
    UniqueConstraint("experiment_id", "position"),
    sqlite_autoincrement=True,
)

computations = Table(  # rule R1: one row per (experiment, phase, computation), created with the phase
    "computations",
    metadata,
    Column("experiment_id", ForeignKey("experiments.id"), primary_key=True),
    Column("phase", Integer, primary_key=True, autoincrement=False, server_default="1"),
    Column("computation", String(20), primary_key=True),
    Column("as_of", UtcDateTime),
    Column("data_version", DataVersion),
    Column("computed_at", UtcDateTime),
    Column("payload", JSON(none_as_null=True)),
    Column("is_final", Boolean, nullable=False, default=False),
    Column("last_error_at", UtcDateTime),
    Column("failures", Integer, nullable=False, default=0),  # in a row, for the back-off of rule R4
    Column("refresh_requested_at", UtcDateTime),
    Column("last_duration_seconds", Float),
)


def is_of_phase(table: Table, experiment_id: int, phase: int | None) -> ColumnElement[bool]:
    """Return the condition for the rows that one experiment has in a phase; None for the newest one (rule X10)."""
    newest = select(experiments.c.phase).where(is_id(experiments.c.id, experiment_id)).scalar_subquery()
    return is_id(table.c.experiment_id, experiment_id) & (table.c.phase == (newest if phase is None else phase))


def is_computation(experiment_id: int, computation: Computation, phase: int | None = None) -> ColumnElement[bool]:
    """Return the condition for the row of a computation of one experiment's phase (rule R1); None: the newest."""
    return is_of_phase(computations, experiment_id, phase) & (computations.c.computation == computation.value)


payloads = Table(  # rule R1: the looks, every payload that was ever published
    "payloads",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("experiment_id", ForeignKey("experiments.id"), nullable=False),
    Column("phase", Integer, nullable=False, server_default="1"),
    Column("computation", String(20), nullable=False),
    Column("as_of", UtcDateTime, nullable=False),
    Column("data_version", DataVersion, nullable=False),
    Column("computed_at", UtcDateTime, nullable=False),
    Column("code_version", String(64), nullable=False),
    Column("run_id", String(255), nullable=False),
    Column("payload", JSON, nullable=False),
    Column("findings", JSON(none_as_null=True)),  # that did not pass; null: not kept, as older versions did
    Index("ix_payloads_look", "experiment_id", "computation", "computed_at"),
    sqlite_autoincrement=True,
)

planned_looks = Table(  # rule C7: written with the payload that is the look, never changed
    "planned_looks",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("experiment_id", ForeignKey("experiments.id"), nullable=False, index=True),
    Column("phase", Integer, nullable=False, server_default="1"),
    Column("metric_id", ForeignKey("metrics.id"), nullable=False),
    Column("treatment", String(2000), nullable=False),
    Column("number", Integer, nullable=False),  # the k-th of the design's looks
    Column("as_of", UtcDateTime, nullable=False),
    Column("information_fraction", Float, nullable=False),
    Column("boundary", Float),  # null: the look spends nothing
    Column("z", Float, nullable=False),
    Column("crossed", Boolean, nullable=False),
    sqlite_autoincrement=True,
)

health = Table(  # the findings of the newest results, replaced with them
    "health",
    metadata,
    Column("experiment_id", ForeignKey("experiments.id"), primary_key=True),
    Column("phase", Integer, primary_key=True, autoincrement=False, server_default="1"),
    Column("as_of", UtcDateTime, nullable=False),
    Column("data_version", DataVersion, nullable=False),
    Column("findings", JSON, nullable=False),
    Column(
        "late_counted_to", DataVersion, nullable=False, server_default="0"
    ),  # batch; later ones bring late events (R6)
)

metric_measurements = Table(  # of each metric the newest of each source and experiment; null: of everybody
    "metric_measurements",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("metric_id", ForeignKey("metrics.id"), nullable=False, index=True),
    Column("experiment_id", ForeignKey("experiments.id")),
    Column("phase", Integer, nullable=False, server_default="1"),  # of the experiment
    Column("source", String(20), nullable=False),
    Column("measured_at", UtcDateTime, nullable=False),
    Column("started_at", UtcDateTime, nullable=False),  # the window, with `as_of`
    Column("as_of", UtcDateTime, nullable=False),
    Column("data_version", DataVersion, nullable=False),
    Column("identities", BigInteger, nullable=False),
    Column("definition", JSON, nullable=False),  # that was measured, canonical
    Column("statistic", JSON, nullable=False),  # moments, as the metric is declared
    Column("uncapped", JSON(none_as_null=True)),  # the same without cap and floor; null: there are none, or not known
    Column("cap", Float),
    Column("floor", Float),
    Column("share_in_metric", Float, nullable=False, server_default="1"),  # of the identities
    sqlite_autoincrement=True,
)

live_stats = Table(  # those of the newest results, replaced with them
    "live_stats",
    metadata,
    Column("experiment_id", ForeignKey("experiments.id"), primary_key=True),
    Column("phase", Integer, primary_key=True, autoincrement=False, server_default="1"),
    Column("as_of", UtcDateTime, nullable=False),
    Column("data_version", DataVersion, nullable=False),
    Column("payload", JSON, nullable=False),
)

results_sql = Table(  # of the newest results, replaced with them
    "results_sql",
    metadata,
    Column("experiment_id", ForeignKey("experiments.id"), primary_key=True),
    Column("phase", Integer, primary_key=True, autoincrement=False),
    Column("as_of", UtcDateTime, nullable=False),
    Column("data_version", DataVersion, nullable=False),
    Column("sql", Text, nullable=False),
)

claims = Table(  # rule R2
    "refresh_claims",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("experiment_id", ForeignKey("experiments.id"), nullable=False),
    Column("phase", Integer, nullable=False, server_default="1"),
    Column("computation", String(20), nullable=False),
    Column("source", String(20), nullable=False),
    Column("requested_at", UtcDateTime, nullable=False),
    Column("run_key", String(255)),  # of the run that automation requested for it
    Column("as_of", UtcDateTime),
    Column("data_version", DataVersion),
    Column("served_by", String(255)),
    Column("served_at", UtcDateTime),
    Column("outcome", String(20)),  # published, failed or refused; null while it waits
    sqlite_autoincrement=True,
)
WAITING = text("outcome IS NULL")
Index(
    "ix_refresh_claims_waiting",
    claims.c.experiment_id,
    claims.c.requested_at,
    sqlite_where=WAITING,
    postgresql_where=WAITING,
)

runs = Table(  # rule R5: as-of and data version of a run, kept over retries and re-executions
    "refresh_runs",
    metadata,
    Column("run_id", String(255), primary_key=True),
    Column("experiment_id", ForeignKey("experiments.id"), primary_key=True),
    Column("phase", Integer, primary_key=True, autoincrement=False, server_default="1"),
    Column("as_of", UtcDateTime, nullable=False),
    Column("data_version", DataVersion, nullable=False),
    Column("opened_at", UtcDateTime, nullable=False),
)

leases = Table(  # rule R7: at most one run holds an experiment
    "leases",
    metadata,
    Column("experiment_id", ForeignKey("experiments.id"), primary_key=True),
    Column("run_id", String(255), nullable=False),
    Column("expires_at", UtcDateTime, nullable=False),
)

batches = Table(  # rule E6: batch n is the n-th ingestion
    "batches",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("planned_at", UtcDateTime, nullable=False),
    Column("committed_at", UtcDateTime),  # null: interrupted, to be finished before the next one is planned
    Column("accepted", Integer),
    Column("duplicates", Integer),
    Column("rejected", JSON),  # {reason: records}
    Column("by_environment", JSON),  # {environment: its counts}; null: of a release that did not count them
    Column("loss_accepted_at", UtcDateTime),  # null: nobody has accepted that anything of it is gone
    Column("timezone", String(64)),  # of timestamps without one; null: they were rejected
)

landing_objects = Table(  # rule E7: a landing object belongs to one batch, and is read again on request alone
    "landing_objects",
    metadata,
    Column("name", String(1024), primary_key=True),  # path below the landing zone
    Column("reading", Integer, primary_key=True, autoincrement=False, server_default="1"),
    Column("batch", ForeignKey("batches.number"), nullable=False, index=True),
    Column("environment_key", String(255), nullable=False),
    Column("landed_at", UtcDateTime, nullable=False),
    Column("bytes", BigInteger, nullable=False),
    Column("modified_at", UtcDateTime),  # of the file; null: not known
    Column("retried_batch", Integer),  # null: what is read is the file; else what this batch rejected of it
    Column("retried_reason", String(100)),  # for this reason
    Column("problem", Text),  # what was wrong with the object as a whole, e.g. truncated gzip
    Column("loss_accepted_at", UtcDateTime),  # null: its batch has to hold what was read of it
)
Index("ix_landing_objects_environment_batch", landing_objects.c.environment_key, landing_objects.c.batch)

landing_scans = Table(  # rule R6: when all that had landed was found to be in the lake; one row
    "landing_scans",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("scanned_at", UtcDateTime, nullable=False),
)

installation = Table(  # which installation this registry is of, and which lake belongs to it; one row, or none yet
    "installation",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("identity", String(36), nullable=False),
    Column("lake", String(64), nullable=False),  # the id of its table of events
    Column("created_at", UtcDateTime, nullable=False),
)

api_keys = Table(
    "api_keys",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("environment_key", ForeignKey("environments.key"), nullable=False, index=True),
    Column("scope", String(20), nullable=False),
    Column("prefix", String(16), nullable=False, unique=True),
    Column("digest", String(64), nullable=False),
    Column("name", String(255), nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("last_used_at", UtcDateTime),
    Column("revoked_at", UtcDateTime),
    Column("expires_at", UtcDateTime),  # null: never
    CheckConstraint("scope IN ('read', 'refresh', 'admin')", name="scope"),
    sqlite_autoincrement=True,
)

audit_log = Table(  # rule L5
    "audit_log",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("at", UtcDateTime, nullable=False),
    Column("actor", String(255), nullable=False),
    Column("environment_key", String(255), nullable=False),
    Column("subject", String(255), nullable=False),  # e.g. experiment:12
    Column("action", String(40), nullable=False),
    Column("before", JSON(none_as_null=True)),
    Column("after", JSON(none_as_null=True)),
    Index("ix_audit_log_subject", "environment_key", "subject"),
    sqlite_autoincrement=True,
)


def has_passed(moment: ColumnElement[datetime], interval: timedelta, now: datetime) -> ColumnElement[bool]:
    """Return the condition that a moment is null, or not within an interval of now (`times.is_within`)."""
    return or_(moment.is_(None), moment <= now - interval, moment >= now + interval)
