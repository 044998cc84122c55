"""The engine's SQL statements, one file each."""

from functools import partial

from experiment_pipeline.durable_files import sql_text

statement = partial(sql_text, "experiment_pipeline.warehouse.duckdb")
