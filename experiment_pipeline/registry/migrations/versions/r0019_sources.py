"""Connections, sources with their versions, and the ranges that were read of them."""

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "connections",
        sa.Column("key", sa.String(length=80), nullable=False),
        sa.Column("url_env", sa.String(length=255), nullable=True),
        sa.Column("url", sa.Text(), nullable=True),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("updated_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("key", name="pk_connections"),
    )
    op.create_table(
        "sources",
        sa.Column("key", sa.String(length=80), nullable=False),
        sa.Column("environment_key", sa.String(length=255), nullable=False),
        sa.Column("connection", sa.String(length=80), nullable=True),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("declared", sa.JSON(), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("updated_at", MOMENT, nullable=False),
        sa.ForeignKeyConstraint(["environment_key"], ["environments.key"], name="fk_sources_environment_key"),
        sa.ForeignKeyConstraint(["connection"], ["connections.key"], name="fk_sources_connection"),
        sa.PrimaryKeyConstraint("key", name="pk_sources"),
    )
    op.create_index("ix_sources_environment_key", "sources", ["environment_key"])
    op.create_table(
        "source_versions",
        sa.Column("source", sa.String(length=80), nullable=False),
        sa.Column("version", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("declared", sa.JSON(), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.ForeignKeyConstraint(["source"], ["sources.key"], name="fk_source_versions_source"),
        sa.PrimaryKeyConstraint("source", "version", name="pk_source_versions"),
    )
    _create_ranges()


def _create_ranges() -> None:
    op.create_table(
        "source_ranges",
        sa.Column("source", sa.String(length=80), nullable=False),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=120), nullable=False),
        sa.Column("planned_at", MOMENT, nullable=False),
        sa.Column("after", sa.Text(), nullable=True),
        sa.Column("until", sa.Text(), nullable=True),
        sa.Column("landed_at", MOMENT, nullable=True),
        sa.Column("rows", sa.BigInteger(), nullable=True),
        sa.Column("records", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["source"], ["sources.key"], name="fk_source_ranges_source"),
        sa.ForeignKeyConstraint(
            ["source", "version"],
            ["source_versions.source", "source_versions.version"],
            name="fk_source_ranges_source_version",
        ),
        sa.PrimaryKeyConstraint("source", "number", name="pk_source_ranges"),
    )
    op.create_table(
        "source_files",
        sa.Column("source", sa.String(length=80), nullable=False),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("position", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
        sa.Column("modified_at", MOMENT, nullable=False),
        sa.ForeignKeyConstraint(
            ["source", "number"],
            ["source_ranges.source", "source_ranges.number"],
            name="fk_source_files_source_number",
        ),
        sa.PrimaryKeyConstraint("source", "number", "position", name="pk_source_files"),
    )
