"""Databases of every kind that runs here: the same table, the same rows, the same refusals (rules D1-D3)."""

import sqlite3
from contextlib import closing
from pathlib import Path

import polars as pl
import psycopg
import pytest

from experiment_pipeline.errors import ConfigurationError
from experiment_pipeline.sources.databases import open_database
from experiment_pipeline.sources.source_rows import CursorRange, Database
from tests.sources.postgres_tables import new_database

ORDERS = [(1, "ana", "b"), (2, "bo", "B"), (3, "it's \\ ö", "c"), (4, "", "ä")]
ALL = "select id, name, code from orders"
CREATE = "create table orders (id {number}, name {text}, code {text}, maybe {null})"
INSERT = "insert into orders (id, name, code) values "
VALUES = ", ".join(
    f"({number}, '{name}', '{code}')" for number, name, code in [*ORDERS[:2], (3, "it''s \\ ö", "c"), ORDERS[3]]
)
POSTGRES, SQLITE, CHDB = "postgresql", "sqlite", "chdb"


def in_sqlite(folder: Path, _: pytest.FixtureRequest) -> str:
    with closing(sqlite3.connect(folder / "shop.db")) as connection:
        connection.execute(CREATE.format(number="integer", text="text", null="text"))
        connection.execute(INSERT + VALUES)
        connection.commit()
    return f"sqlite://{folder}/shop.db"


def in_postgres(_: Path, request: pytest.FixtureRequest) -> str:
    url = new_database(request.getfixturevalue("postgres_url"))
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(CREATE.format(number="bigint", text="text", null="text").encode())
        connection.execute((INSERT + VALUES).encode())
    return url


def in_chdb(folder: Path, _: pytest.FixtureRequest) -> str:
    pytest.importorskip("chdb", reason="`make test-slow` installs it")
    from clickhouse_connect import get_client

    table = CREATE.format(number="Int64", text="String", null="Nullable(String)")
    with closing(get_client(dsn=f"chdb://{folder}/chdb")) as client:
        client.command(f"{table} engine MergeTree order by id")
        client.command(INSERT + VALUES.replace("\\", "\\\\"))
    return f"chdb://{folder}/chdb"


MAKERS = {SQLITE: in_sqlite, POSTGRES: in_postgres, CHDB: in_chdb}


@pytest.fixture(params=[SQLITE, POSTGRES, pytest.param(CHDB, marks=pytest.mark.slow)], scope="module")
def shop(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Database:
    return open_database(MAKERS[request.param](tmp_path_factory.mktemp("shop"), request), "shop")


def read(database: Database, query: str, within: CursorRange | None = None) -> list[tuple[object, ...]]:
    with closing(database.rows(query, within)) as rows:
        return sorted(pl.concat([pl.DataFrame(schema=rows.schema), *rows.batches()]).rows())


def test_database__query__gives_every_row_with_its_types(shop: Database) -> None:
    assert read(shop, ALL) == ORDERS
    with closing(shop.rows(f"{ALL};  ")) as rows:
        assert dict(rows.schema) == {"id": pl.Int64, "name": pl.String, "code": pl.String}
        assert rows.first(2).height == 2


def test_database__query_with_comments_and_an_order__is_read_as_it_is(shop: Database) -> None:
    assert read(shop, "-- all\nselect id /* the number */ from orders order by id -- last") == [(1,), (2,), (3,), (4,)]


def test_database__query_without_rows__has_its_schema(shop: Database) -> None:
    assert read(shop, f"{ALL} where id > 9") == []
    assert shop.newest(f"{ALL} where id > 9", "id") is None


@pytest.mark.parametrize(
    ("within", "found"),
    [
        (CursorRange("id"), [1, 2, 3, 4]),
        (CursorRange("id", after=1, until=3), [2, 3]),
        (CursorRange("id", after=-9_000_000_000, until=1), [1]),
        (CursorRange("name", after="ana", until="it's \\ ö"), [2, 3]),
        (CursorRange("code", after="B", until="c"), [1, 3]),
    ],
)
def test_database__range__is_open_below_closed_above_and_compares_texts_by_bytes(
    shop: Database, within: CursorRange, found: list[int]
) -> None:
    assert [row[0] for row in read(shop, ALL, within)] == found


def test_database__first_rows_of_a_range__are_within_it(shop: Database) -> None:
    with closing(shop.rows(ALL, CursorRange("id", after=3))) as rows:
        assert rows.first(10)["id"].to_list() == [4]


def test_database__newest__is_the_largest_cursor(shop: Database) -> None:
    assert (shop.newest(ALL, "id"), shop.newest(ALL, "name"), shop.newest(ALL, "code")) == (4, "it's \\ ö", "ä")


@pytest.mark.parametrize(
    ("column", "message"),
    [
        ("idd", "cursor.column: There is no column 'idd'. Did you mean 'id'?"),
        ("maybe", "cursor.column: Column 'maybe' is null in some rows, which would never be read. Leave them out"),
        ("half", "cursor.column: Column 'half' is .*: must be a time of microseconds or coarser, a date, whole"),
    ],
)
def test_database__cursor_that_has_no_order_to_keep__is_refused(shop: Database, column: str, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        shop.newest("select id, maybe, id * 0.5 as half from orders", column)


@pytest.mark.parametrize(
    "query",
    [
        "drop table orders",
        "delete from orders",
        "update orders set name = 'x'",
        "insert into orders (id, name, code) values (9, 'x', 'x')",
        "create table copies as select * from orders",
        "select id from orders; select 2",
        "select id from orders); drop table orders; --",
        "with gone as (delete from orders returning id) select id from gone",
        "",
    ],
)
def test_database__query_that_is_not_one_select__is_refused_and_changes_nothing(shop: Database, query: str) -> None:
    with pytest.raises(ConfigurationError, match="query: Must be one SELECT statement: a source is read") as refused:
        read(shop, query)
    assert "\n" not in str(refused.value)
    assert read(shop, ALL) == ORDERS


@pytest.mark.parametrize(
    ("query", "message"), [("select nope from orders", "query: .* says: .*nope"), ("select 1 as one from nope", "nope")]
)
def test_database__unknown_table_or_column__is_named(shop: Database, query: str, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        read(shop, query)


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("mysql://ana:hunter2@host/shop", r"must begin with postgresql://, .*, sqlite://"),
        ("postgresq://ana:hunter2@host/shop", r"Did you mean 'postgresql'"),
        ("hunter2", "must begin with"),
        ("postgresql://ana:hunter2@host:port/shop", "Its URL cannot be read"),
        ("postgresql://ana:hunter2%@host/shop", "Its URL cannot be read: must be postgresql://USER:PASSWORD@HOST"),
        ("sqlite:///nowhere/shop.db", "There is no file '/nowhere/shop.db'"),
    ],
)
def test_open_database__url_that_cannot_be_read__is_refused_without_its_secrets(url: str, message: str) -> None:
    with pytest.raises(ConfigurationError, match=rf"connections\.shop: .*{message}") as refused:
        open_database(url, "shop")
    assert "hunter2" not in str(refused.value)


def test_rows__two_columns_of_one_name__are_refused(shop: Database) -> None:
    with pytest.raises(ConfigurationError, match="query: Two columns have the name 'code'"):
        shop.rows("select id, code, name as code from orders")


@pytest.mark.parametrize("end", [";", "; -- all of them", " -- it's all", "; /* a; b */"])
def test_rows__semicolon_or_comment_at_the_end_of_a_query__is_read(shop: Database, end: str) -> None:
    with closing(shop.rows(f"{ALL} where name <> ';--'{end}")) as rows:
        assert rows.first(9).height == len(ORDERS)
