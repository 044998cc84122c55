"""Erasures: the keyed hashes of identities that must not come back, and what going on with one needs."""

import sqlalchemy as sa
from alembic import op

revision = "0029"
down_revision = "0028"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "erasure_key",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("secret", sa.String(64), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_erasure_key"),
    )
    op.create_table(
        "erasures",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("environment_key", sa.String(255), nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("erased_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("completed_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_erasures"),
        sa.UniqueConstraint("environment_key", "digest", name="uq_erasures_environment_key_digest"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "erased_objects",
        sa.Column("erasure_id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(1024), nullable=False),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["erasure_id"], ["erasures.id"], name="fk_erased_objects_erasure_id"),
        sa.PrimaryKeyConstraint("erasure_id", "name", name="pk_erased_objects"),
    )
    op.create_table(
        "erased_exposures",
        sa.Column("erasure_id", sa.Integer(), nullable=False),
        sa.Column("experiment_id", sa.Integer(), nullable=False),
        sa.Column("phase", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("erased_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["erasure_id"], ["erasures.id"], name="fk_erased_exposures_erasure_id"),
        sa.ForeignKeyConstraint(["experiment_id"], ["experiments.id"], name="fk_erased_exposures_experiment_id"),
        sa.PrimaryKeyConstraint("erasure_id", "experiment_id", "phase", name="pk_erased_exposures"),
    )


def downgrade() -> None:
    for table in ("erased_exposures", "erased_objects", "erasures", "erasure_key"):
        op.drop_table(table)
