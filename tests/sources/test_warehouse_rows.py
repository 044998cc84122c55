"""Snowflake and BigQuery, which do not run here: what their drivers are given (rule D1)."""

from datetime import UTC, date, datetime

import pytest

from experiment_pipeline.domain.connection_url import ConnectionUrl
from experiment_pipeline.domain.source_cursors import CursorValue
from experiment_pipeline.errors import ConfigurationError
from experiment_pipeline.sources.databases import open_database
from experiment_pipeline.sources.warehouse_rows import (
    bigquery_literal,
    bigquery_options,
    snowflake_literal,
    snowflake_options,
)

MOMENT = datetime(2026, 11, 1, 10, 0, 0, 123456, UTC)


def test_snowflake__options__are_those_of_the_url() -> None:
    url = ConnectionUrl("snowflake://ana:hunter%2F2@acme-eu1/SHOP/PUBLIC?warehouse=W&role=R", "shop")
    assert snowflake_options(url) == {
        "username": "ana",
        "password": "hunter/2",
        "adbc.snowflake.sql.account": "acme-eu1",
        "adbc.snowflake.sql.db": "SHOP",
        "adbc.snowflake.sql.schema": "PUBLIC",
        "adbc.snowflake.sql.warehouse": "W",
        "adbc.snowflake.sql.role": "R",
        "adbc.snowflake.sql.client_option.use_high_precision": "false",
        "adbc.snowflake.sql.client_option.max_timestamp_precision": "microseconds",
    }


def test_bigquery__options__are_those_of_the_url() -> None:
    url = ConnectionUrl("bigquery://acme-1/shop?credentials=/keys/key.json&location=EU", "shop")
    assert bigquery_options(url) == {
        "adbc.bigquery.sql.project_id": "acme-1",
        "adbc.bigquery.sql.dataset_id": "shop",
        "adbc.bigquery.sql.location": "EU",
        "adbc.bigquery.sql.auth_type": "adbc.bigquery.sql.auth_type.json_credential_file",
        "adbc.bigquery.sql.auth_credentials": "/keys/key.json",
    }


@pytest.mark.parametrize("text", ["snowflake://ana@acme/SHOP", "snowflake://ana:hunter2@acme", "snowflake://"])
def test_snowflake__url_without_a_part__is_refused_with_its_form(text: str) -> None:
    with pytest.raises(ConfigurationError, match="must be snowflake://USER:PASSWORD@ACCOUNT") as refused:
        snowflake_options(ConnectionUrl(text, "shop"))
    assert "hunter2" not in str(refused.value)


def test_bigquery__url_without_a_dataset__is_refused_with_its_form() -> None:
    with pytest.raises(ConfigurationError, match="must be bigquery://PROJECT/DATASET"):
        bigquery_options(ConnectionUrl("bigquery://acme", "shop"))


@pytest.mark.parametrize("scheme", ["snowflake", "bigquery"])
def test_warehouse__missing_driver__names_the_extra(scheme: str) -> None:
    with pytest.raises(ConfigurationError, match=rf"pip install 'experiment-pipeline\[{scheme}\]'"):
        open_database(f"{scheme}://ana:hunter2@acme/SHOP", "shop")


@pytest.mark.parametrize(
    ("value", "snowflake", "bigquery"),
    [
        (7, "7", "7"),
        ("it's \\\n", r"'it\'s \\\n'", r"'it\'s \\\n'"),
        (date(2026, 11, 1), "'2026-11-01'::date", "date '2026-11-01'"),
        (MOMENT, "'2026-11-01 10:00:00.123456+00:00'::timestamp_tz", "timestamp '2026-11-01 10:00:00.123456+00:00'"),
        (
            MOMENT.replace(tzinfo=None),
            "'2026-11-01 10:00:00.123456'::timestamp_ntz",
            "datetime '2026-11-01 10:00:00.123456'",
        ),
    ],
)
def test_warehouse__literals__are_quoted(value: CursorValue, snowflake: str, bigquery: str) -> None:
    assert (snowflake_literal(value), bigquery_literal(value)) == (snowflake, bigquery)
