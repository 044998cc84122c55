"""Pulls of a database: the cursor passes no row that may still arrive, and every row counts once (rules D2, D3)."""

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import psycopg
import pytest

from experiment_pipeline.domain.fields import adapter
from experiment_pipeline.domain.source_ranges import RangeContent, ReadSoFar, SourceRange
from experiment_pipeline.domain.sources import ConnectionDraft, SourceDraft
from experiment_pipeline.errors import ConfigurationError, SourceUnreachable
from experiment_pipeline.lake.ingestion import ingest
from experiment_pipeline.lake.lake import Lake
from experiment_pipeline.landing.listing import Listing
from experiment_pipeline.registry.registry import Registry
from experiment_pipeline.sources.pull import OnBatch, Pull, open_ranges
from tests.conftest import MakeDatabase
from tests.lake.ledger import NOW, stored
from tests.sources.postgres_tables import new_database, run

QUERY = "select id, user_id, placed_at, amount, loaded_at, day from orders"
AS = {"event": "purchased", "identifier": "user_id", "timestamp": "placed_at", "value": "amount", "event_id": "id"}
TABLE = (
    "create table orders (id bigint, user_id text, placed_at timestamptz, amount numeric(10, 2), "
    "loaded_at timestamptz, day date generated always as ((loaded_at at time zone 'UTC')::date) stored)"
)
NOON = datetime(2026, 2, 20, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


class Shop:
    """A table of orders in PostgreSQL, the source that reads it, and what has landed."""

    def __init__(self, root: Path, registry: Registry, server: str) -> None:
        self.root, self.registry, self.landing = root, registry, root / "landing"
        self.url = new_database(server)
        run(self.url, TABLE)
        registry.environments.create("prod", "prod", actor="test", now=NOW)
        registry.connections.declare("shop", ConnectionDraft(url_env="SHOP_URL"), actor="test", now=NOW)
        self.declare()

    def declare(self, **changes: Any) -> None:
        """Declare the source anew."""
        cursor = {"column": "loaded_at", "overlap": "PT1H"}
        fields = {"as": AS, "connection": "shop", "query": QUERY, "cursor": cursor, **changes}
        draft = adapter(SourceDraft).validate_python({name: value for name, value in fields.items() if value})
        self.registry.sources.declare("orders", "prod", draft, actor="test", now=NOW)

    def sell(self, number: int, loaded_at: datetime) -> None:
        moment = loaded_at.isoformat()
        run(self.url, f"insert into orders values ({number}, 'u{number}', '{moment}', {number}.50, '{moment}')")

    def pull(self, on_batch: OnBatch = lambda _, __: None, **since: Any) -> list[SourceRange]:
        source = self.registry.sources.find("orders")
        ranges = open_ranges(source, self.registry.connections.find("shop"), {"SHOP_URL": self.url})
        return Pull(source, ranges, self.registry.source_ranges, self.landing, lambda: NOW, on_batch).run(**since)

    def landed(self) -> list[str]:
        """The orders in the landing zone, with repetitions."""
        names = [found.name for found in Listing(self.landing).names()] if self.landing.exists() else []
        return sorted(key for name in names for key in pl.read_parquet(self.landing / name)["event_id"])

    def in_lake(self) -> Counter[str]:
        """The orders that count, after ingestion."""
        lake = Lake(self.root / "lake", threads=1)
        ingest(lake, self.registry.batches, self.landing, NOW)
        return Counter(row["event_id"] for row in stored(lake))


@pytest.fixture
def shop(tmp_path: Path, make_database: MakeDatabase, postgres_url: str) -> Iterator[Shop]:
    registry = Registry.open(make_database("sqlite"))
    yield Shop(tmp_path, registry, postgres_url)
    registry.close()


def test_pull__new_rows__land_with_the_bounds_of_the_cursor(shop: Shop) -> None:
    shop.sell(1, NOON)
    shop.sell(2, NOON + HOUR)
    (first,) = shop.pull()
    assert (first.after, first.until) == (None, "2026-02-20T13:00:00+00:00")
    assert (first.rows, first.records, shop.landed()) == (2, 2, ["1", "2"])
    found = next(iter(Listing(shop.landing).names()))
    assert pl.read_parquet(shop.landing / found.name).to_dicts()[0] == {
        "event": "purchased",
        "identifier": "u1",
        "timestamp": "2026-02-20T12:00:00.000Z",
        "value": "1.5",
        "event_id": "1",
    }
    shop.sell(3, NOON + 5 * HOUR)
    (second,) = shop.pull()
    assert (second.number, second.after, second.rows) == (2, "2026-02-20T12:00:00+00:00", 2)


def test_pull__row_that_appears_late__is_read_with_the_overlap_and_the_others_count_once(shop: Shop) -> None:
    shop.sell(1, NOON)
    shop.pull()
    shop.sell(2, NOON - HOUR / 2)
    shop.pull()
    assert shop.in_lake() == {"1": 1, "2": 1}


def test_pull__transaction_that_commits_after_a_later_one__is_read(shop: Shop) -> None:
    shop.declare(cursor={"column": "loaded_at"})
    with psycopg.connect(shop.url) as slow:
        moment = (NOON - timedelta(minutes=4)).isoformat()
        slow.execute(f"insert into orders values (1, 'u1', '{moment}', 1, '{moment}')".encode())
        shop.sell(2, NOON)
        shop.pull()
        assert shop.in_lake() == {"2": 1}
        slow.commit()
    shop.pull()
    assert shop.in_lake() == {"1": 1, "2": 1}


@pytest.mark.parametrize("cursor", ["day", "id"])
def test_pull__cursor_of_days_or_numbers__reads_on(shop: Shop, cursor: str) -> None:
    shop.declare(cursor={"column": cursor})
    shop.sell(1, NOON)
    shop.pull()
    shop.sell(2, NOON + HOUR)
    shop.pull()
    assert shop.in_lake() == {"1": 1, "2": 1}


def test_pull__idle_table__lands_its_overlap_once_and_again_only_with_a_row_that_appears_late(shop: Shop) -> None:
    shop.sell(1, NOON)
    shop.sell(2, NOON + HOUR)
    assert [each.rows for each in shop.pull()] == [2]
    assert [each.rows for each in shop.pull()] == [1]  # once, since other bounds were read before
    assert shop.pull() == []
    assert shop.pull() == []
    shop.sell(3, NOON + HOUR / 2)
    assert [each.rows for each in shop.pull()] == [2]
    assert shop.pull() == []
    assert shop.in_lake() == Counter({"1": 1, "2": 1, "3": 1})


def test_pull__cursor_without_overlap__reads_nothing_where_nothing_is_new(shop: Shop) -> None:
    shop.declare(cursor={"column": "id"})
    assert shop.pull() == []
    shop.sell(1, NOON)
    assert [each.rows for each in shop.pull()] == [1]
    assert shop.pull() == []


def test_pull__query_without_a_cursor__reads_all_rows_and_they_count_once(shop: Shop) -> None:
    shop.declare(cursor=None)
    shop.sell(1, NOON)
    shop.pull()
    shop.sell(2, NOON - 99 * HOUR)
    assert [(each.after, each.until, each.rows) for each in shop.pull()] == [(None, None, 2)]
    assert shop.in_lake() == {"1": 1, "2": 1}


@pytest.mark.parametrize(
    ("cursor", "since", "found"),
    [("loaded_at", NOON, ["2", "3"]), ("day", NOON, ["3"])],
)
def test_pull__since__leaves_rows_up_to_that_moment(shop: Shop, cursor: str, since: datetime, found: list[str]) -> None:
    shop.declare(cursor={"column": cursor})
    for number, moment in enumerate((NOON, NOON + HOUR, NOON + 24 * HOUR), start=1):
        shop.sell(number, moment)
    shop.pull(since=since)
    shop.declare(cursor={"column": cursor, "overlap": "PT0S"})
    shop.pull()  # they are left for good
    assert sorted(shop.in_lake()) == found


def test_pull__since_that_would_leave_every_row__is_refused(shop: Shop) -> None:
    shop.sell(1, NOON)
    with pytest.raises(ConfigurationError, match="--since: Would leave every row that is new: the cursor's largest"):
        shop.pull(since=NOON + HOUR)
    assert [each.rows for each in shop.pull()] == [1]


@pytest.mark.parametrize("column", ["loaded_at", "day", "placed_local"])
def test_pull__row_whose_cursor_lies_in_the_future__waits_for_its_time_and_stops_no_other(
    shop: Shop, column: str
) -> None:
    run(
        shop.url,
        "alter table orders add placed_local timestamp generated always as (loaded_at at time zone 'UTC') stored",
    )
    shop.declare(cursor={"column": column}, query="select * from orders")
    shop.sell(1, NOON)
    shop.sell(99, NOON + timedelta(days=30_000))
    shop.pull()
    assert shop.in_lake() == {"1": 1}
    shop.sell(2, NOON + 24 * HOUR)
    shop.pull()
    assert shop.in_lake() == {"1": 1, "2": 1}
    run(shop.url, "delete from orders where id = 2")
    with pytest.raises(ConfigurationError, match=r"goes backwards.*Pull the source with --again"):
        shop.pull()


def test_pull__other_cursor__begins_anew_and_the_one_before_goes_on_where_it_was(shop: Shop) -> None:
    shop.declare(cursor={"column": "id"})
    shop.sell(900, NOON)
    shop.pull()
    shop.sell(5, NOON + HOUR)
    shop.declare(cursor={"column": "loaded_at", "overlap": "PT0S"})
    (anew,) = shop.pull()
    assert (anew.after, anew.rows, shop.in_lake()) == (None, 2, {"900": 1, "5": 1})
    shop.declare(cursor={"column": "id"})
    assert shop.pull() == []
    shop.sell(901, NOON)
    (on,) = shop.pull()
    assert (on.after, on.rows) == ("900", 1)


def test_pull__other_connection__begins_anew(shop: Shop) -> None:
    shop.sell(1, NOON)
    shop.pull()
    shop.registry.connections.declare("other", ConnectionDraft(url_env="SHOP_URL"), actor="test", now=NOW)
    shop.declare(connection="other")
    (anew,) = shop.pull()
    assert (anew.after, shop.in_lake()) == (None, {"1": 1})


@pytest.mark.parametrize("changes", [{"cursor": {"column": "id"}}, {"cursor": None}])
def test_pull__since_without_a_cursor_of_times__is_refused(shop: Shop, changes: dict[str, Any]) -> None:
    shop.declare(**changes)
    shop.sell(1, NOON)
    with pytest.raises(ConfigurationError, match="--since: Needs a cursor"):
        shop.pull(since=NOON)


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        ("delete from orders where id = 2", r"sources\.orders\.cursor\.column: Column 'loaded_at' goes backwards"),
        ("alter table orders drop column amount", r"sources\.orders\.query: .*column \"amount\" does not exist"),
        (
            "update orders set loaded_at = null where id = 1",
            r"sources\.orders\.cursor\.column: .* is null in some rows",
        ),
        ("alter table orders alter loaded_at type timestamp", r"is of another type than before"),
    ],
)
def test_pull__table_that_changed_between_two_pulls__lands_nothing_and_keeps_what_has(
    shop: Shop, statement: str, message: str
) -> None:
    run(shop.url, "alter table orders drop column day")
    shop.declare(query=QUERY.replace(", day", ""))
    for number, moment in ((1, NOON), (2, NOON + HOUR)):
        shop.sell(number, moment)
    shop.pull()
    run(shop.url, statement)
    with pytest.raises(ConfigurationError, match=message):
        shop.pull()
    assert shop.landed() == ["1", "2"]
    assert len(shop.registry.source_ranges.list("orders")) == 1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"as": {**AS, "identifier": "usr"}}, r"sources\.orders\.as\.identifier: There is no column 'usr'"),
        ({"cursor": {"column": "loaded"}}, r"sources\.orders\.cursor\.column: There is no column 'loaded'"),
        ({"query": "delete from orders"}, r"sources\.orders\.query: Must be one SELECT statement"),
        ({"cursor": {"column": "id", "overlap": "PT1H"}}, r"sources\.orders\.cursor\.overlap: Must be left out"),
        (
            {"query": QUERY.replace("placed_at", "placed_at at time zone 'UTC' as placed_at")},
            "times without a zone",
        ),
    ],
)
def test_pull__what_cannot_be_read__is_refused_and_the_registry_is_as_before(
    shop: Shop, changes: dict[str, Any], message: str
) -> None:
    shop.sell(1, NOON)
    shop.declare(**changes)
    with pytest.raises(ConfigurationError, match=message):
        shop.pull()
    assert (shop.landed(), list(shop.registry.source_ranges.list("orders"))) == ([], [])


def test_pull__connection_that_is_lost__lands_nothing_and_the_next_pull_reads_the_same_range(shop: Shop) -> None:
    columns = "n, 'u' || n, timestamptz '2026-02-20', n, timestamptz '2026-02-20', repeat('x', 200)"
    run(
        shop.url,
        "alter table orders add filler text",
        "insert into orders (id, user_id, placed_at, amount, loaded_at, filler) "
        f"select {columns} from generate_series(1, 400000) n",
    )
    shop.declare(query=QUERY.replace(" from", ", filler from"), cursor={"column": "loaded_at", "overlap": "PT0S"})
    cut = iter(
        ["select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'experiment-pipeline'"]
    )

    def cut_once(*_: object) -> None:
        run(shop.url, *[statement for statement in [next(cut, None)] if statement])

    with pytest.raises(SourceUnreachable, match=r"connections\.shop: The connection to the server is lost"):
        shop.pull(cut_once)
    assert shop.landed() == []
    planned = shop.registry.source_ranges.open_range("orders")
    assert planned is not None
    shop.sell(400_001, NOON + 9 * HOUR)
    again, _ = shop.pull()
    assert (again.name, again.rows) == (planned.name, 400_000)
    assert len(shop.landed()) == 400_001


def test_state__tells_how_far_the_cursor_was_read(shop: Shop) -> None:
    source = shop.registry.sources.find("orders")
    ranges = open_ranges(source, shop.registry.connections.find("shop"), {"SHOP_URL": shop.url})
    assert ranges.state(ReadSoFar()) == {"read_until": None, "newest": None}
    shop.sell(1, NOON)
    shop.pull()
    read = shop.registry.source_ranges.read_so_far("orders")
    assert ranges.state(read) == {"read_until": "2026-02-20T12:00:00+00:00", "newest": "2026-02-20T12:00:00+00:00"}
    assert list(ranges.unread(ReadSoFar())) == [RangeContent(until="2026-02-20T12:00:00+00:00")]
