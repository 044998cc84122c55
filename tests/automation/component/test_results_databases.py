"""The table of results in DuckDB, PostgreSQL and ClickHouse: a look's rows once, all of them or none (P9)."""

from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
import duckdb
import psycopg
import pytest

from experiment_pipeline.automation.component.results_databases import ResultsDatabase, results_database
from experiment_pipeline.domain.connection_url import ConnectionUrl
from experiment_pipeline.errors import ConfigurationError, SourceUnreachable
from experiment_pipeline.results.results_table import COLUMNS, ColumnType
from experiment_pipeline.sources.databases import open_database
from tests.automation.component.project import RUNNING, Project, project_in
from tests.sources.postgres_tables import new_database
from tests.sources.test_databases import read

TABLE = "experiment_results"
AS_OF = datetime(2026, 1, 19, 1, 2, 3, 456789, tzinfo=UTC)
VALUES = {ColumnType.TEXT: 'it\'s "ö"\n\\N', ColumnType.WHOLE: 3, ColumnType.NUMBER: 0.1 + 0.2}
VALUES |= {ColumnType.TRUTH: False, ColumnType.TIME: AS_OF}
FULL: dict[str, object] = {column.name: VALUES[column.type] for column in COLUMNS}
EMPTY: dict[str, object] = {**dict.fromkeys(FULL), "experiment": "checkout", "environment": "e", "phase": 1}
LOOK_1 = [{**EMPTY, "look": 1, "metric": metric, "treatment": "b", "as_of": AS_OF} for metric in ("bought", "paid")]
LOOK_2 = [{**EMPTY, "look": 2, "metric": "bought", "treatment": "b", "lift": -0.25}]
STORED = f"select look, metric, lift from {TABLE}"


@pytest.fixture(params=["duckdb", "postgresql", pytest.param("chdb", marks=pytest.mark.slow)])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "postgresql":
        return new_database(request.getfixturevalue("postgres_url"))
    if request.param == "chdb":
        pytest.importorskip("chdb", reason="`make test-slow` installs it")
    return f"{request.param}://{tmp_path}/shop"


def database_of(url: str) -> ResultsDatabase:
    return results_database(ConnectionUrl(url, "shop"))


def rows_of(url: str, query: str = STORED) -> list[tuple[object, ...]]:
    if url.startswith("duckdb"):
        with duckdb.connect(url.removeprefix("duckdb://")) as connection:
            return sorted(connection.execute(query).fetchall())
    return read(open_database(url, "shop"), query)


def test_results_database__looks__are_each_there_once_however_often_they_are_written(url: str) -> None:
    database = database_of(url)
    assert not database.holds(TABLE, LOOK_1[0])
    for rows in (LOOK_1, LOOK_2, LOOK_1):
        database.write(TABLE, rows)
        assert database.holds(TABLE, rows[0])
    assert rows_of(url) == [(1, "bought", None), (1, "paid", None), (2, "bought", -0.25)]


def test_results_database__look_with_fewer_rows_than_before__has_those_alone(url: str) -> None:
    database = database_of(url)
    database.write(TABLE, LOOK_1)
    database.write(TABLE, LOOK_1[1:])
    assert rows_of(url) == [(1, "paid", None)]


def test_results_database__value_of_every_type__is_as_it_was(url: str) -> None:
    database_of(url).write(TABLE, [FULL])
    shown = "experiment, phase, effect, is_final"
    assert rows_of(url, f"select {shown} from {TABLE}") == [tuple(FULL[name] for name in shown.split(", "))]
    [(as_of,)] = rows_of(url, f"select as_of from {TABLE}")
    assert as_of == AS_OF


def url_of_reader(url: str, *tables: str) -> str:
    """The URL of an account that may read these tables, and nothing else."""
    with psycopg.connect(url, autocommit=True) as connection:
        name = f"reader_of_{connection.info.dbname}"
        connection.execute(f"create role {name} login password 'se-cret'".encode())
        for table in tables:
            schema, _, _ = table.rpartition(".")
            connection.execute(f"grant usage on schema {schema or 'public'} to {name}".encode())
            connection.execute(f"grant select on {table} to {name}".encode())
    parts = psycopg.conninfo.conninfo_to_dict(url)
    reader = f"postgresql://{name}:se-cret@/{parts['dbname']}?host={parts['host']}"
    return reader + (f"&port={parts['port']}" if "port" in parts else "")


def test_results_database__account_that_only_reads__is_told_and_nothing_is_written(postgres_url: str) -> None:
    url = new_database(postgres_url)
    database_of(url).write(TABLE, LOOK_1)
    reader = url_of_reader(url, TABLE)
    told = rf"results\.table: Cannot be written to {TABLE}: permission denied for table {TABLE}"
    with pytest.raises(ConfigurationError, match=told) as refusal:
        database_of(reader).write(TABLE, LOOK_2)
    assert "se-cret" not in str(refusal.value)
    assert len(rows_of(url)) == 2


def test_results_database__row_that_the_table_refuses__leaves_the_look_as_it_was(url: str) -> None:
    database = database_of(url)
    database.write(TABLE, LOOK_1)
    with pytest.raises(ConfigurationError, match=rf"results\.table: Cannot be written to {TABLE}: "):
        database.write(TABLE, [LOOK_2[0], {**LOOK_2[0], "metric": "paid", "treatment_n": "no number"}])
    assert rows_of(url) == [(1, "bought", None), (1, "paid", None)]


@pytest.mark.parametrize("scheme", ["postgresql", "clickhouse"])
def test_results_database__server_that_is_gone__is_unreachable(scheme: str) -> None:
    with pytest.raises(SourceUnreachable, match=r"connections\.shop: ") as error:
        database_of(f"{scheme}://me:se-cret@127.0.0.1:9/shop").write(TABLE, LOOK_1)
    assert "se-cret" not in str(error.value)


def test_results_database__database_that_results_are_not_written_to__is_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"results\.table: Must be left out: .* not to snowflake://"):
        database_of("snowflake://me:pw@account/db")


def copy_tables(project: Project, url: str) -> None:
    """Copy the project's tables into PostgreSQL."""
    with psycopg.connect(url, autocommit=True) as connection, connection.cursor() as cursor:
        cursor.execute("create schema analytics")
        cursor.execute(
            "create table analytics.fct_exposures (user_id text, experiment text, variation text, exposed_at timestamp)"
        )
        cursor.execute("create table analytics.fct_orders (user_id text, ordered_at timestamp, amount float)")
        for table, places in (("fct_exposures", "%s, %s, %s, %s"), ("fct_orders", "%s, %s, %s")):
            rows = project.sql(f"select * from analytics.{table}")
            cursor.executemany(f"insert into analytics.{table} values ({places})".encode(), rows)


def test_component__results_table_of_a_connection__gets_the_rows_of_a_look(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, postgres_url: str
) -> None:
    url = new_database(postgres_url)
    with project_in(tmp_path) as project:
        project.make_tables({"checkout": (50, 50)})
        copy_tables(project, url)
        monkeypatch.setenv("SHOP_URL", url)
        project.write(
            {"warehouse": "shop", "connections": {"shop": {"url_env": "SHOP_URL"}}, "results": {"table": TABLE}}
        )
        with dg.DagsterInstance.ephemeral() as instance:
            ran = project.run(instance, "checkout")
    assert ran.result.success, ran.failure
    assert rows_of(url, f"select experiment, look, metric, treatment_n from {TABLE}") == [("checkout", 1, "bought", 50)]


@pytest.mark.slow
def test_component__account_that_only_reads__computes_and_refuses_a_results_table__p8(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, postgres_url: str
) -> None:
    url = new_database(postgres_url)
    shop = {"warehouse": "shop", "connections": {"shop": {"url_env": "SHOP_URL"}}}
    with project_in(tmp_path) as project, dg.DagsterInstance.ephemeral() as instance:
        project.make_tables({"checkout": (50, 50)})
        copy_tables(project, url)
        monkeypatch.setenv("SHOP_URL", url_of_reader(url, "analytics.fct_exposures", "analytics.fct_orders"))
        project.write(shop, {"checkout": RUNNING})
        ran = project.run(instance, "checkout")
        assert (ran.result.success, ran.materialised) == (True, ["checkout"]), ran.failure
        project.write({**shop, "results": {"table": f"analytics.{TABLE}"}}, {"checkout": RUNNING})
        refused = project.run(instance, "checkout")
    assert (refused.result.success, refused.materialised) == (False, [])
    assert f"results.table: Cannot be written to analytics.{TABLE}: permission denied" in refused.failure
    assert "se-cret" not in refused.failure
    assert rows_of(url, f"select 1 from pg_tables where tablename = '{TABLE}'") == []
