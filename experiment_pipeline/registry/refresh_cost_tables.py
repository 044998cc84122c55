"""Table of the registry for the costs of refreshes."""

from sqlalchemy import BigInteger, Column, Float, ForeignKey, String, Table

from experiment_pipeline.registry.columns import metadata

refresh_costs = Table(  # of all refreshes of an asset, added up; `state_bytes` of the newest
    "refresh_costs",
    metadata,
    Column("experiment_id", ForeignKey("experiments.id"), primary_key=True),
    Column("asset", String, primary_key=True),
    Column("incremental", BigInteger, nullable=False),
    Column("full", BigInteger, nullable=False),
    Column("rows_read", BigInteger, nullable=False),
    Column("seconds_saved", Float, nullable=False),
    Column("state_bytes", BigInteger, nullable=False),
)
