"""PostgreSQL: its types, its transaction that only reads, and what is told when it refuses or is lost (D1, D3)."""

import traceback
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import polars as pl
import psycopg
import pytest
from sqlalchemy import make_url

from experiment_pipeline.errors import ConfigurationError, SourceUnreachable
from experiment_pipeline.sources import postgres_rows
from experiment_pipeline.sources.databases import open_database
from experiment_pipeline.sources.source_rows import CursorRange, SourceRows
from tests.sources.postgres_tables import new_database, run

READER, GUARDED = f"reader_{uuid4().hex}", f"guarded_{uuid4().hex}"
PASSWORD = "s3cret/pass:w0rd"
MOMENT = "2026-11-01 10:00:00.123456"
TYPES = {  # the expression: the type in Polars, and the value
    "7::smallint": (pl.Int16(), 7),
    "7::bigint": (pl.Int64(), 7),
    "1.5::real": (pl.Float32(), 1.5),
    "1.5::double precision": (pl.Float64(), 1.5),
    "true": (pl.Boolean(), True),
    "12.50::numeric": (pl.String(), "12.50"),
    "123456789012345678901234567890.12::numeric(40, 2)": (pl.String(), "123456789012345678901234567890.12"),
    "'a  '::char(5)": (pl.String(), "a"),
    "'ä'::varchar(5)": (pl.String(), "ä"),
    "'paid'::state": (pl.String(), "paid"),
    "'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'::uuid": (pl.String(), "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"),
    """'{"a": 1}'::jsonb""": (pl.String(), '{"a": 1}'),
    "'10.0.0.1'::inet": (pl.String(), "10.0.0.1/32"),
    "12.5::money": (pl.String(), "12.50"),
    "array['a', 'b']": (pl.String(), "{a,b}"),
    "'1 day'::interval": (pl.String(), "1 day"),
    "'10:00'::time": (pl.String(), "10:00:00"),
    "'\\x01'::bytea": (pl.Binary(), b"\x01"),
    "null": (pl.String(), None),
    f"'{MOMENT}+02'::timestamptz": (pl.Datetime("us", "UTC"), datetime(2026, 11, 1, 8, 0, 0, 123456, UTC)),
    f"'{MOMENT}'::timestamp": (pl.Datetime("us"), datetime(2026, 11, 1, 10, 0, 0, 123456)),  # noqa: DTZ001 - it has none
    "'infinity'::timestamptz": (pl.Datetime("us", "UTC"), None),
    "'20260-01-01'::timestamp": (pl.Datetime("us"), None),
    "'2026-11-01'::date": (pl.Date(), date(2026, 11, 1)),
    "'-infinity'::date": (pl.Date(), None),
}


@pytest.fixture(scope="module")
def url(postgres_url: str) -> str:
    url = new_database(postgres_url)
    run(
        url,
        "create type state as enum ('open', 'paid')",
        "create table orders (id bigint, loaded_at timestamptz, placed timestamp, day date)",
        "insert into orders select n, timestamptz '2026-11-01 00:00Z' + n * interval '1 microsecond', "
        "timestamp '2026-11-01' + n * interval '1 hour', date '2026-11-01' + n::int from generate_series(1, 3) n",
        f"create role {READER} login",
    )
    return url


def read(rows: SourceRows) -> list[tuple[object, ...]]:
    with closing(rows):
        return pl.concat([pl.DataFrame(schema=rows.schema), *rows.batches()]).rows()


def refused(url: str, query: str = "select id from orders") -> str:
    with pytest.raises(ConfigurationError) as error:
        read(open_database(url, "shop").rows(query))
    return str(error.value)


@pytest.mark.parametrize("expression", TYPES)
def test_postgres__type__is_read_exactly(url: str, expression: str) -> None:
    dtype, value = TYPES[expression]
    rows = open_database(url, "shop").rows(f"select {expression} as it")
    assert (dict(rows.schema), read(rows)) == ({"it": dtype}, [(value,)])


@pytest.mark.parametrize(
    ("column", "after"),
    [
        ("loaded_at", datetime(2026, 11, 1, 0, 0, 0, 1, UTC)),
        ("placed", datetime(2026, 11, 1, 1)),  # noqa: DTZ001 - the column has no zone
        ("day", date(2026, 11, 2)),
    ],
)
def test_postgres__range_of_times__is_exact_to_the_microsecond(url: str, column: str, after: datetime | date) -> None:
    shop = open_database(url, "shop")
    newest = shop.newest("select * from orders", column)
    assert newest is not None
    rows = shop.rows("select * from orders order by id", CursorRange(column, after, newest))
    assert [row[0] for row in read(rows)] == [2, 3]
    assert read(shop.rows("select * from orders", CursorRange(column, newest))) == []


@pytest.mark.parametrize("kind", ["timestamptz", "timestamp", "date"])
def test_postgres__infinite_cursor__is_refused(url: str, kind: str) -> None:
    with pytest.raises(ConfigurationError, match="The largest value of column 'at' is no time between the years"):
        open_database(url, "shop").newest(f"select 'infinity'::{kind} as at", "at")


@pytest.mark.parametrize("kind", ["numeric", "uuid", "json", "boolean"])
def test_postgres__cursor_of_another_type__is_refused_by_its_own_name(url: str, kind: str) -> None:
    with pytest.raises(ConfigurationError, match=f"cursor.column: Column 'at' is {kind[:4]}"):
        open_database(url, "shop").newest(f"select null::{kind} as at", "at")


@pytest.mark.parametrize(
    "query",
    [
        "select set_config('transaction_read_only', 'off', false)",
        "select nextval('numbers')",
        "select lo_create(0)",
        "select id from orders for update",
    ],
)
def test_postgres__function_that_writes__is_refused(url: str, query: str) -> None:
    run(url, "create sequence if not exists numbers")
    assert refused(url, query).startswith("query: ")
    with psycopg.connect(url) as connection:
        row = connection.execute("select is_called from numbers").fetchone()
    assert row == (False,)


def test_postgres__two_columns_of_one_name__are_refused(url: str) -> None:
    assert refused(url, "select 1 as a, 2 as a") == "query: Two columns have the name 'a': give each one of its own."


def test_postgres__error_in_a_late_row__is_told_in_one_line(url: str) -> None:
    query = "select 1 / (n - 900000) as x from generate_series(1, 1000000) n"
    assert refused(url, query) == "query: The server says: division by zero."


def test_postgres__missing_rights__name_the_table(url: str) -> None:
    reader = make_url(url).set(username=READER).render_as_string()
    assert refused(reader) == "query: The server says: permission denied for table orders. Grant its role SELECT on it."


@pytest.fixture
def guarded(url: str) -> Iterator[str]:
    """The URL of a role that has a password; the server asks it of no other."""
    with psycopg.connect(url) as connection:
        found = connection.execute("show hba_file").fetchone()
    assert found is not None
    rules = Path(found[0])
    before = rules.read_text()
    run(url, f"create role {GUARDED} login password '{PASSWORD}'", f"grant select on orders to {GUARDED}")
    rules.write_text(f"local all {GUARDED} scram-sha-256\n{before}")
    run(url, "select pg_reload_conf()")
    yield make_url(url).set(username=GUARDED, password=PASSWORD).render_as_string(hide_password=False)
    rules.write_text(before)
    run(url, "select pg_reload_conf()", f"drop owned by {GUARDED}", f"drop role {GUARDED}")


def test_postgres__wrong_password__is_refused_and_the_right_one_reads(guarded: str) -> None:
    wrong = make_url(guarded).set(password="hunter2").render_as_string(hide_password=False)
    told = refused(wrong)
    with pytest.raises(ConfigurationError) as error:
        open_database(wrong, "shop").newest("select id from orders", "id")
    assert "hunter2" not in "".join(traceback.format_exception(error.value))
    assert told.startswith("connections.shop: The server refuses the user or the password.")
    assert "hunter2" not in told
    assert len(read(open_database(guarded, "shop").rows("select id from orders"))) == 3


def test_postgres__message_with_the_password_in_it__hides_it(guarded: str) -> None:
    told = refused(guarded, f"select '{PASSWORD}'::integer as x")
    assert told == 'query: The server says: invalid input syntax for type integer: "***".'


def test_postgres__unknown_role_or_database__is_refused_without_its_name(url: str) -> None:
    nobody = make_url(url).set(username="hunter2").render_as_string()
    assert refused(nobody) == (
        "connections.shop: The server refuses the user or the password. Check both in the URL, and the user's rights."
    )
    assert "database" in refused(make_url(url).set(database="nowhere").render_as_string())


def test_postgres__unreachable_host__is_told_without_a_secret() -> None:
    shop = open_database("postgresql://ana:hunter2@127.0.0.1:1/shop", "shop")
    with pytest.raises(SourceUnreachable) as lost:
        shop.newest("select 1 as a", "a")
    assert str(lost.value) == (
        "connections.shop: The server cannot be reached: refused. Check that it runs, its host and its port."
    )


def test_postgres__query_that_takes_too_long__is_ended_and_told(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres_rows, "STATEMENT_TIMEOUT", timedelta(milliseconds=50))
    rows = open_database(url, "shop").rows("select pg_sleep(600)::text as x")
    with closing(rows), pytest.raises(SourceUnreachable, match=r"The server ended the query: .* statement timeout"):
        list(rows.batches())


def test_postgres__connection_that_is_lost_between_batches__is_told(url: str) -> None:
    rows = open_database(url, "shop").rows("select n, repeat('x', 200) as x from generate_series(1, 2000000) n")
    with closing(rows):
        batches = rows.batches()
        next(batches)
        others = "from pg_stat_activity where query like '%repeat(%' and pid <> pg_backend_pid()"
        run(url, f"select pg_terminate_backend(pid) {others}")
        with pytest.raises(SourceUnreachable, match="The connection to the server is lost"):
            list(batches)


def test_postgres__rows_that_are_left_in_the_middle__close(url: str) -> None:
    rows = open_database(url, "shop").rows("select n, repeat('x', 200) as x from generate_series(1, 2000000) n")
    batch = next(rows.batches())
    rows.close()
    assert 0 < batch.height < 1_000_000
    assert read(open_database(url, "shop").rows("select count(*) as n from orders")) == [(3,)]
