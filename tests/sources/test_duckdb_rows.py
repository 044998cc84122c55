"""DuckDB database files: read-only, streamed, and by the rows that a cursor has not passed (rules D1, D2)."""

from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import polars as pl
import pytest

from experiment_pipeline.domain.source_ranges import ReadSoFar
from experiment_pipeline.domain.sources import Connection, Cursor, RowsKind, Source
from experiment_pipeline.errors import ConfigurationError, SourceUnreachable
from experiment_pipeline.sources.duckdb_rows import DuckDBDatabase, is_database
from experiment_pipeline.sources.pull import open_ranges
from experiment_pipeline.sources.source_rows import CursorRange


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "shop.db"
    with duckdb.connect(str(path)) as connection:
        connection.execute(
            "create table orders as select i as number, 'it''s ' || i as name, cast(i as decimal(18, 2)) as amount, "
            "timestamptz '2026-01-05 00:00:00+01' + interval 1 hour * i as loaded_at, "
            "date '2026-01-05' + cast(i as int) as day, nullif(i, 2) as holes, i / 3 as share from range(5) t(i)"
        )
    return path


@pytest.fixture
def database(file: Path) -> DuckDBDatabase:
    return DuckDBDatabase(str(file), "shop")


def read(database: DuckDBDatabase, query: str, within: CursorRange | None = None) -> pl.DataFrame:
    with closing(database.rows(query, within)) as rows:
        return pl.concat(rows.batches())


@pytest.mark.parametrize("column", ["number", "name", "loaded_at", "day"])
def test_duckdb__range_of_a_cursor__has_the_rows_after_one_value_up_to_another(
    database: DuckDBDatabase, column: str
) -> None:
    query = "select * from orders order by number; "
    values = read(database, query)[column].to_list()
    found = read(database, query, CursorRange(column, values[1], values[3]))
    assert found["number"].to_list() == [2, 3]
    assert database.newest(query, column) == values[4]


def test_duckdb__cursor_that_is_null_or_of_no_order__is_refused(database: DuckDBDatabase) -> None:
    for column, message in (
        ("holes", r"cursor\.column: Column 'holes' is null in some rows"),
        ("share", r"cursor\.column: Column 'share' is of type Float64: must be"),
        ("loaded", r"cursor\.column: There is no column 'loaded'\. Did you mean 'loaded_at'\?"),
    ):
        with pytest.raises(ConfigurationError, match=message):
            database.newest("select * from orders", column)


@pytest.mark.parametrize("query", ["drop table orders", "select 1; select 2", "", "create table t as select 1"])
def test_duckdb__query_that_does_more_than_read__is_refused(database: DuckDBDatabase, query: str) -> None:
    with pytest.raises(ConfigurationError, match="query: Must be one SELECT statement"):
        database.rows(query)


def test_duckdb__query_that_fails_on_the_way__names_the_field(database: DuckDBDatabase) -> None:
    failing = "select case when number < 4 then 1 else cast(name as int) end as it from orders"
    with pytest.raises(ConfigurationError, match=r"query: DuckDB says: .*Could not convert string"):
        read(database, failing)
    with pytest.raises(ConfigurationError, match=r"query: DuckDB says: Catalog Error: .*order_lines"):
        database.rows("select * from order_lines")


def test_duckdb__file_that_is_written_at_the_moment__may_be_read_later(database: DuckDBDatabase, file: Path) -> None:
    with duckdb.connect(str(file)), pytest.raises(SourceUnreachable, match=r"connections\.shop: This process has the"):
        database.rows("select * from orders")
    assert len(read(database, "select * from orders")) == 5


def test_duckdb__file__is_known_by_what_it_begins_with(file: Path, tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("a\n1\n")
    assert is_database(str(file))
    assert not is_database(str(tmp_path / "rows.csv"))
    assert is_database(str(tmp_path / "none.duckdb"))
    with pytest.raises(ConfigurationError, match=r"connections\.shop: There is no database .*none\.duckdb"):
        DuckDBDatabase(str(tmp_path / "none.duckdb"), "shop")


def test_open_ranges__url_of_a_database_file__reads_by_its_cursor(file: Path) -> None:
    source = Source(
        key="orders",
        environment_key="prod",
        version=1,
        mappings=(),
        connection="shop",
        query="select * from orders",
        cursor=Cursor("loaded_at", timedelta(0)),
        rows=RowsKind.APPEND,
    )
    ranges = open_ranges(source, Connection(key="shop", url=f"duckdb://{file}"), {})
    newest = datetime(2026, 1, 5, 3, tzinfo=UTC).isoformat()
    assert ranges.state(ReadSoFar()) == {"read_until": None, "newest": newest}
