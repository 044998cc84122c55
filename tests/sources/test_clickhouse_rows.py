"""ClickHouse: its types, settings that only read, and what is told when it cannot be reached (rules D1, D3).

The engine is chdb behind the same client: in this process, and behind ClickHouse's HTTP interface in another one.
"""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest

from experiment_pipeline.errors import ConfigurationError, SourceUnreachable
from experiment_pipeline.sources.databases import open_database
from experiment_pipeline.sources.source_rows import CursorRange, Database, SourceRows

ROOT = Path(__file__).parents[2]
MOMENT = datetime(2026, 11, 1, 10, 0, 0, 123456, UTC)
TYPES = {  # the expression: the type in Polars, and the value
    "toInt8(-7)": (pl.Int8(), -7),
    "toUInt64(7)": (pl.UInt64(), 7),
    "toFloat64(1.5)": (pl.Float64(), 1.5),
    "true": (pl.Boolean(), True),
    "toDecimal64(12.5, 2)": (pl.Decimal(18, 2), Decimal("12.50")),
    "toDecimal256(12.5, 2)": (pl.String(), "12.5"),
    "toInt256(7)": (pl.String(), "7"),
    "'\\xff'": (pl.String(), "\ufffd"),
    "toLowCardinality('a')": (pl.String(), "a"),
    "cast(null as Nullable(String))": (pl.String(), None),
    "toFixedString('ab', 4)": (pl.String(), "ab"),
    "cast('b' as Enum8('a' = 1, 'b' = 2))": (pl.String(), "b"),
    "toUUID('a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11')": (pl.String(), "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"),
    "toIPv4('10.0.0.1')": (pl.String(), "10.0.0.1"),
    "[1, 2]": (pl.String(), "[1,2]"),
    "toDate('2026-11-01')": (pl.Date(), date(2026, 11, 1)),
    "toDateTime('2026-11-01 10:00:00', 'UTC')": (pl.Datetime("ms", "UTC"), MOMENT.replace(microsecond=0)),
    "toDateTime('2026-11-01 11:00:00', 'Europe/Berlin')": (pl.Datetime("ms", "UTC"), MOMENT.replace(microsecond=0)),
    "toDateTime64('2026-11-01 10:00:00.123456', 6, 'UTC')": (pl.Datetime("us", "UTC"), MOMENT),
}


def read(rows: SourceRows) -> list[tuple[object, ...]]:
    with closing(rows):
        return pl.concat([pl.DataFrame(schema=rows.schema), *rows.batches()]).rows()


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Database:
    pytest.importorskip("chdb", reason="`make test-slow` installs it")
    return open_database(f"chdb://{tmp_path_factory.mktemp('shop')}/chdb", "shop")


@pytest.mark.slow
@pytest.mark.parametrize("expression", TYPES)
def test_clickhouse__type__is_read_exactly(shop: Database, expression: str) -> None:
    dtype, value = TYPES[expression]
    rows = shop.rows(f"select {expression} as it")
    assert (dict(rows.schema), read(rows)) == ({"it": dtype}, [(value,)])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "after", "found"),
    [
        (
            "toDateTime64('2026-11-01 10:00:00', 6, 'UTC') + toIntervalMicrosecond(n)",
            MOMENT.replace(microsecond=1),
            [2, 3],
        ),
        ("toDateTime('2026-11-01 10:00:00', 'Asia/Tokyo') + n", datetime(2026, 11, 1, 1, 0, 1, tzinfo=UTC), [2, 3]),
        ("toDate('2026-11-01') + n", date(2026, 11, 2), [2, 3]),
        ("toUInt64(18446744073709551612) + n", 18446744073709551613, [2, 3]),
    ],
)
def test_clickhouse__range__is_exact(shop: Database, kind: str, after: datetime | date | int, found: list[int]) -> None:
    query = f"select number + 1 as n, {kind} as at from numbers(3)"
    newest = shop.newest(query, "at")
    assert [row[0] for row in read(shop.rows(query, CursorRange("at", after, newest)))] == found
    assert read(shop.rows(query, CursorRange("at", newest))) == []


@pytest.mark.slow
@pytest.mark.parametrize(
    "kind", ["toDateTime64(0, 9)", "toFloat64(1)", "toUUID('a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11')"]
)
def test_clickhouse__cursor_of_another_type__is_refused(shop: Database, kind: str) -> None:
    with pytest.raises(ConfigurationError, match=r"cursor\.column: Column 'at' is .*: must be a time of microseconds"):
        shop.newest(f"select {kind} as at", "at")


@pytest.mark.slow
@pytest.mark.parametrize(
    "query",
    [
        "select * from file('/etc/passwd', LineAsString)",
        "select * from url('http://127.0.0.1:1/x', LineAsString)",
        "select * from (select * from file('/etc/passwd', LineAsString)) settings readonly = 0",
    ],
)
def test_clickhouse__functions_that_reach_outside__are_refused(shop: Database, query: str) -> None:
    refusal = r"^query: Must (be one SELECT statement.*readonly mode|not use file\(\))"
    with pytest.raises(ConfigurationError, match=refusal):
        shop.rows(query)


READS_FILES = (
    "select file('{0}') as u",
    "select `fi\\x6ce` /* '*/ ('{0}') as u -- '",
    "with file('{0}') as u select u",
    "select u from (select 'a''b' as u) where u in (select file('{0}'))",
    "select * apply(file) from (select '{0}' as u)",
    "select columns('u') apply(x -> file(x)) from (select '{0}' as u)",
    "select dictGet(file('{0}'), 'a', 1) as u",
    "select * from pYthon(sys)",
)


@pytest.mark.slow
@pytest.mark.parametrize("query", READS_FILES)
def test_chdb__function_that_reads_a_file_of_this_machine__is_refused_without_its_content(
    shop: Database, query: str, tmp_path: Path
) -> None:
    (tmp_path / "key").write_text("hunter2")
    with pytest.raises(ConfigurationError, match=r"^query: Must not use (file|pYthon)\(\): ") as refused:
        shop.rows(query.format(tmp_path / "key"))
    assert "hunter2" not in str(refused.value)


@pytest.mark.slow
def test_chdb__column_or_text_that_is_named_as_such_a_function__is_read(shop: Database) -> None:
    query = "select file, 'file(x)' as python, file in ('b') as `file (` from (select 'a' as file)"
    assert read(shop.rows(query)) == [("a", "file(x)", 0)]


@pytest.mark.slow
def test_clickhouse__more_rows_than_a_block__come_in_several(shop: Database) -> None:
    with closing(shop.rows("select number from numbers(200000)")) as rows:
        heights = [batch.height for batch in rows.batches()]
    assert (sum(heights), max(heights) < 100_000) == (200_000, True)


@pytest.mark.slow
def test_clickhouse__error_in_a_late_row__is_told_in_one_line(shop: Database) -> None:
    with pytest.raises(ConfigurationError, match="query: The server says: Value passed to 'throwIf'") as refused:
        read(shop.rows("select throwIf(number = 900000) as x from numbers(1000000)"))
    assert "\n" not in str(refused.value)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of ClickHouse's HTTP interface in a process of its own."""
    pytest.importorskip("chdb", reason="`make test-slow` installs it")
    command = [sys.executable, "-m", "tests.sources.clickhouse_server", str(tmp_path_factory.mktemp("server"))]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield f"clickhouse://reader:hunter2@127.0.0.1:{int(process.stdout.readline())}"
        process.kill()


@pytest.mark.slow
def test_clickhouse__over_http__streams_blocks_of_a_range(server: str) -> None:
    shop, query = open_database(server, "shop"), "select number, toString(number) as name from numbers(300000)"
    newest = shop.newest(query, "number")
    assert newest == 299_999
    with closing(shop.rows(query, CursorRange("number", after=9, until=newest))) as rows:
        batches = list(rows.batches())
    assert (len(batches) > 1, pl.concat(batches)["number"].sum()) == (True, sum(range(10, 300_000)))


@pytest.mark.slow
def test_clickhouse__over_http__only_reads(server: str) -> None:
    for query in ("drop table orders", "select * from file('/etc/passwd', LineAsString)"):
        with pytest.raises(ConfigurationError, match=r"^query: Must be one SELECT statement"):
            open_database(server, "shop").rows(query)
    with pytest.raises(ConfigurationError, match=r"^query: The server says: Unknown expression identifier `nope`\.$"):
        open_database(server, "shop").rows("select nope")


@pytest.mark.slow
def test_clickhouse__wrong_password__is_refused_without_it(server: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        open_database(server.replace("hunter2", "hunter3"), "shop").rows("select 1")
    assert str(refused.value) == "connections.shop: The server refuses the user or the password. Check both in the URL."


@pytest.mark.slow
def test_clickhouse__connection_that_is_lost_in_the_middle__is_told(server: str) -> None:
    rows = open_database(server, "shop")
    with pytest.raises(SourceUnreachable, match=r"connections\.shop: The rows broke off: the connection is lost"):
        rows.rows("select number, toString(number) as name from numbers(300000) -- cut here")


def test_clickhouse__unreachable_host__is_told_without_a_secret(caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(SourceUnreachable) as lost:
        open_database("clickhouse://ana:hunter2@127.0.0.1:1/shop", "shop").newest("select 1 as a", "a")
    assert (
        str(lost.value) == "connections.shop: The server cannot be reached. Check that it runs, its host and its port."
    )
    assert "hunter2" not in caplog.text


def test_clickhouse__missing_engine__names_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "chdb", None)
    with pytest.raises(
        ConfigurationError, match=r"chdb:// needs: pip install 'experiment-pipeline\[clickhouse\]' chdb\."
    ):
        open_database(f"chdb://{tmp_path}/chdb", "shop")
