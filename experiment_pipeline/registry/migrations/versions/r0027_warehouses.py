"""The warehouse of an environment, and data versions that are microseconds since 1970."""

import sqlalchemy as sa
from alembic import op

revision = "0027"
down_revision = "0026"
branch_labels = None
depends_on = None

NULLABLE = ("computations", "refresh_claims")
NOT_NULL = ("payloads", "health", "metric_measurements", "live_stats", "results_sql", "refresh_runs")
VERSIONS = (
    *((table, "data_version", True) for table in NULLABLE),
    *((table, "data_version", False) for table in NOT_NULL),
    ("health", "late_counted_to", False),
)


def upgrade() -> None:
    op.add_column("environments", sa.Column("warehouse", sa.String(80), nullable=True))
    _change(sa.Integer(), sa.BigInteger())


def downgrade() -> None:
    _change(sa.BigInteger(), sa.Integer())
    with op.batch_alter_table("environments") as environments:
        environments.drop_column("warehouse")


def _change(before: sa.types.TypeEngine[int], after: sa.types.TypeEngine[int]) -> None:
    """Change the columns of data versions; SQLite's integers have 64 bits already."""
    if op.get_context().dialect.name == "sqlite":
        return
    for table, column, is_nullable in VERSIONS:
        op.alter_column(table, column, existing_type=before, type_=after, existing_nullable=is_nullable)
