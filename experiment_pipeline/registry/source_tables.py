"""Tables of the registry for connections, sources, and what was read of them."""

from sqlalchemy import JSON, BigInteger, Column, ForeignKey, ForeignKeyConstraint, Integer, String, Table, Text

from experiment_pipeline.registry.columns import UtcDateTime, metadata

connections = Table(
    "connections",
    metadata,
    Column("key", String(80), primary_key=True),
    Column("url_env", String(255)),  # the variable that holds the URL: no secret is kept here
    Column("url", Text),  # of files
    Column("created_at", UtcDateTime, nullable=False),
    Column("updated_at", UtcDateTime, nullable=False),
)

sources = Table(  # rule D0
    "sources",
    metadata,
    Column("key", String(80), primary_key=True),
    Column("environment_key", ForeignKey("environments.key"), nullable=False, index=True),
    Column("connection", ForeignKey("connections.key")),
    Column("version", Integer, nullable=False),
    Column("declared", JSON, nullable=False),  # as a manifest does
    Column("created_at", UtcDateTime, nullable=False),
    Column("updated_at", UtcDateTime, nullable=False),
    Column("failed_at", UtcDateTime),  # of its last pull; null where that worked
    Column("failure", Text),
)

source_versions = Table(  # rule D5: what each version was, as it was declared first
    "source_versions",
    metadata,
    Column("source", ForeignKey("sources.key"), primary_key=True),
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("declared", JSON, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
)

source_ranges = Table(  # rule D2
    "source_ranges",
    metadata,
    Column("source", ForeignKey("sources.key"), primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("version", Integer, nullable=False),
    Column("name", String(120), nullable=False),  # of the landing folder
    Column("planned_at", UtcDateTime, nullable=False),
    Column("after", Text),  # of the cursor, exclusive
    Column("until", Text),  # inclusive
    Column("landed_at", UtcDateTime),  # null: to be read, before the next one is planned
    Column("rows", BigInteger),
    Column("records", BigInteger),
    ForeignKeyConstraint(["source", "version"], ["source_versions.source", "source_versions.version"]),
)

source_files = Table(  # rule D1: what a range of files consists of
    "source_files",
    metadata,
    Column("source", String(80), primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("position", Integer, primary_key=True, autoincrement=False),
    Column("path", Text, nullable=False),
    Column("bytes", BigInteger, nullable=False),
    Column("modified_at", UtcDateTime, nullable=False),
    ForeignKeyConstraint(["source", "number"], ["source_ranges.source", "source_ranges.number"]),
)
