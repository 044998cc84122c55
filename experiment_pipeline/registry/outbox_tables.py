"""Tables of the registry for what waits to be written to the Delta tables, and the batches that it is written in."""

from sqlalchemy import Boolean, Column, ForeignKey, Integer, Table

from experiment_pipeline.registry.columns import UtcDateTime, metadata

table_outbox = Table(  # what was published and is not in every Delta table yet
    "table_outbox",
    metadata,
    Column("payload_id", ForeignKey("payloads.id"), primary_key=True, autoincrement=False),
    Column("batch", Integer),  # that it is written in; null: none was planned yet
)

table_batches = Table(  # the newest alone stays
    "table_batches",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("is_rebuild", Boolean, nullable=False),  # writes everything anew
    Column("planned_at", UtcDateTime, nullable=False),
    Column("written_at", UtcDateTime),  # null: interrupted, to be finished before the next one is planned
)
