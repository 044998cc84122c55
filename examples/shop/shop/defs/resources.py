"""The warehouse that dbt builds."""

import dagster as dg
from dagster_duckdb import DuckDBResource


@dg.definitions
def resources() -> dg.Definitions:
    """Return the resource that the experiments read their tables from."""
    return dg.Definitions(resources={"duckdb": DuckDBResource(database=dg.EnvVar("SHOP_DUCKDB"))})
