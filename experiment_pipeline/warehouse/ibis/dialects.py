"""The engines that statements are compiled for; those of NOT_RUN are compiled alone, and run on no engine here (N6)."""

from experiment_pipeline.errors import ConfigurationError
from experiment_pipeline.warehouse.ibis.clickhouse import CLICKHOUSE
from experiment_pipeline.warehouse.ibis.engine import Dialect
from experiment_pipeline.warehouse.ibis.postgres import POSTGRES
from experiment_pipeline.warehouse.ibis.spark import SPARK

NOT_RUN = (Dialect("bigquery"), Dialect("snowflake"), Dialect("trino"))
DIALECTS = {each.name: each for each in (CLICKHOUSE, POSTGRES, SPARK, *NOT_RUN)}


def dialect_of(name: str) -> Dialect:
    """Return a dialect by its name.

    Raises:
        ConfigurationError: there is none.
    """
    if name not in DIALECTS:
        raise ConfigurationError.of("engine", f"must be one of {', '.join(DIALECTS)}, got {name!r}.")
    return DIALECTS[name]
