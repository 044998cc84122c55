"""The SQL of the embedded engine."""

from functools import cache
from importlib.resources import files


@cache
def statement(stage: str) -> str:
    """The SQL of one stage, named after it."""
    return files("experiment_pipeline.warehouse").joinpath("sql", "duckdb", f"{stage}.sql").read_text("utf-8")
