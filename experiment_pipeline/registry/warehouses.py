"""Warehouses: where the events of each environment are analysed (rule D0)."""

from collections.abc import Mapping
from dataclasses import dataclass

from experiment_pipeline.domain.connection_url import ConnectionUrl
from experiment_pipeline.domain.environments import EMBEDDED
from experiment_pipeline.domain.sources import url_of
from experiment_pipeline.registry.engine import Database, reading
from experiment_pipeline.registry.environments import Environments
from experiment_pipeline.registry.sources import Connections


@dataclass(frozen=True, slots=True)
class Warehouses:
    """Store of the warehouses that environments name, beside the installation's own.

    A default is the value of EXPERIMENT_PIPELINE_WAREHOUSE, for environments that name none: `duckdb`, or a URL.
    """

    database: Database

    def url(self, environment_key: str, default: str, environ: Mapping[str, str]) -> ConnectionUrl | None:
        """Return the URL of the warehouse of an environment; None for the embedded engine.

        Raises:
            NotFound: no environment has this key.
            ConfigurationError: the variable that holds the URL is not set, or its text is none.
        """
        with reading(self.database) as connection:
            named = Environments(connection).get(environment_key).warehouse
            if named == EMBEDDED or (named is None and default == EMBEDDED):
                return None
            if named is None:
                return ConnectionUrl(default, "EXPERIMENT_PIPELINE_WAREHOUSE")
            return ConnectionUrl(url_of(Connections(connection).find(named), environ), named)

    def in_place(self, default: str) -> frozenset[str]:
        """Return the keys of the environments whose events are analysed where they lie."""
        with reading(self.database) as connection:
            known = Environments(connection).list()
        return frozenset(each.key for each in known if (each.warehouse or default) != EMBEDDED)
