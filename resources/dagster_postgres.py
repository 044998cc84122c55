"""Dagster's storage in PostgreSQL, as `deploy/dagster-postgres.yaml` names it."""

from collections.abc import Mapping
from typing import Any

from dagster._serdes import ConfigurableClassData
from dagster_postgres import DagsterPostgresStorage
from dagster_postgres.utils import get_token_provider_from_config, pg_url_from_config
from sqlalchemy import make_url
from typing_extensions import override

DRIVER = "postgresql+psycopg2"


class PostgresStorage(DagsterPostgresStorage):
    """Dagster's own storage, for a PostgreSQL URL that names any driver or none.

    SQLAlchemy 2.1 opens `postgresql://` with psycopg 3, and PostgreSQL refuses some of Dagster's statements in the form
    in which that driver sends them: the webserver answers 500 and nothing is launched. So psycopg2 is chosen here.
    """

    @override
    @classmethod
    def from_config_value(
        cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]
    ) -> "PostgresStorage":
        url = make_url(pg_url_from_config(config_value)).set(drivername=DRIVER)
        return cls(
            postgres_url=url.render_as_string(hide_password=False),
            should_autocreate_tables=config_value.get("should_autocreate_tables", True),
            inst_data=inst_data,
            token_provider=get_token_provider_from_config(config_value),
        )
