"""Real engines with an empty table of events: `make test-engines` has what they need, `make test` passes them over."""

import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from uuid import uuid4

import polars as pl
import pytest

from experiment_pipeline.warehouse.ibis.statements import statement

if any(find_spec(name) is None for name in ("ibis", "chdb", "pyspark")):
    collect_ignore_glob = ["test_*.py"]

LOADED_AT = datetime(2026, 6, 1, tzinfo=UTC)
COLUMNS = (
    *("environment_key", "event", "feature_name", "identifier", "value", "timestamp", "event_id"),
    *("traits", "metadata", "loaded_at"),
)
MINUTE = timedelta(minutes=1)
TIME = pl.Datetime("us", "UTC")
SCHEMA = {name: TIME if name in {"timestamp", "loaded_at"} else pl.String() for name in COLUMNS}
SPARK_OF_FEW_ROWS = (  # compiling what a statement runs takes longer than running it: its code is interpreted
    "--driver-java-options -XX:TieredStopAtLevel=1 --conf spark.sql.codegen.wholeStage=false"
    " --conf spark.sql.codegen.factoryMode=NO_CODEGEN pyspark-shell"
)
Row = tuple[str, str, str | None, str, str | None, datetime, str | None, str | None, str | None, datetime]


@dataclass(frozen=True)
class Table:
    """The table of events of one engine, reached by its URL.

    `keeps_numbers` tells whether numbers in properties stay as they were written: 1e2 becomes 100 in a `jsonb`.
    """

    name: str
    url: str
    replace_rows: Callable[[Iterable[Row]], None]
    keeps_numbers: bool = True


@pytest.fixture(scope="session")
def chdb_folder() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="experiment-pipeline-chdb-"))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    from tests.postgres_server import postgres_server

    with postgres_server() as server:
        yield server.url


@pytest.fixture(scope="session")
def spark_folder() -> Iterator[Path]:
    os.environ["PYSPARK_SUBMIT_ARGS"] = SPARK_OF_FEW_ROWS
    folder = Path(tempfile.mkdtemp(prefix="experiment-pipeline-spark-"))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session", params=["clickhouse", "postgres", "spark"])
def table(request: pytest.FixtureRequest) -> Table:
    if request.param == "spark":
        folder = request.getfixturevalue("spark_folder") / "events"
        return Table("spark", f"spark+local://{folder}?memory=1g&partitions=2", lambda rows: fill_spark(folder, rows))
    create = statement(request.param, "table")
    if request.param == "clickhouse":
        url = f"chdb://{request.getfixturevalue('chdb_folder')}"
        with clickhouse(url) as client:
            client.command(create)
        return Table("clickhouse", url, lambda rows: fill_clickhouse(url, rows))
    url = request.getfixturevalue("postgres_url")
    with postgres(url) as connection:
        connection.execute(create)
    return Table("postgres", url, lambda rows: fill_postgres(url, rows), keeps_numbers=False)


@contextmanager
def clickhouse(url: str) -> Iterator[Any]:
    from clickhouse_connect import get_client

    with closing(get_client(dsn=url)) as client:
        yield client


@contextmanager
def postgres(url: str) -> Iterator[Any]:
    import psycopg

    with psycopg.connect(url, autocommit=True) as connection:
        yield connection


def fill_clickhouse(url: str, rows: Iterable[Row]) -> None:
    with clickhouse(url) as client:
        client.command("truncate table events")
        found = list(rows)
        if found:
            client.insert("events", found, column_names=COLUMNS)


def fill_postgres(url: str, rows: Iterable[Row]) -> None:
    with postgres(url) as connection, connection.cursor() as cursor:
        cursor.execute("truncate table events")
        cursor.executemany(
            f"insert into events ({', '.join(COLUMNS)}) values ({', '.join(['%s'] * len(COLUMNS))})",  # noqa: S608
            [tuple(row) for row in rows],
        )


def fill_spark(folder: Path, rows: Iterable[Row]) -> None:
    """Write one Parquet file in place of the last one, as another program would."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    pl.DataFrame(list(rows), schema=SCHEMA, orient="row").write_parquet(folder / f"{uuid4().hex}.parquet")
