"""Pulls of files: every row lands once, and a mistake lands nothing (rules D1-D3, D5)."""

import fcntl
import os
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from experiment_pipeline.domain.fields import adapter
from experiment_pipeline.domain.source_ranges import ReadSoFar, SourceRange
from experiment_pipeline.domain.sources import Connection, Source, SourceDraft
from experiment_pipeline.errors import ConfigurationError, Conflict
from experiment_pipeline.landing.listing import Listing
from experiment_pipeline.registry.registry import Registry
from experiment_pipeline.sources.landing_folder import folder_of_range
from experiment_pipeline.sources.pull import LOCK, OnBatch, Pull, open_ranges
from tests.conftest import MakeDatabase
from tests.lake.ledger import NOW

AS = {"event": "purchased", "identifier": "user", "timestamp": "at", "value": "amount"}


class Shop:
    """A folder of orders, the source that reads it, and what has landed."""

    def __init__(self, root: Path, registry: Registry) -> None:
        self.root, self.registry = root, registry
        self.landing = root / "landing"
        registry.environments.create("prod", "prod", actor="test", now=NOW)
        self.declare()

    def declare(self, **changes: Any) -> Source:
        """Declare the source anew."""
        fields = {"as": AS, "files": f"{self.root}/orders/*.csv", **changes}
        draft = adapter(SourceDraft).validate_python(fields)
        return self.registry.sources.declare("orders", "prod", draft, actor="test", now=NOW)

    def write(self, name: str, *users: str, time: str = "2026-01-05T00:00:00Z") -> Path:
        """Write a file of orders, one of each user."""
        path = self.root / "orders" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("user,at,amount\n" + "".join(f"{user},{time},1.5\n" for user in users))
        return path

    def pull(self, on_batch: OnBatch = lambda _, __: None, **since: Any) -> list[SourceRange]:
        source = self.registry.sources.find("orders")
        files = open_ranges(source, None, {})
        ledger = self.registry.source_ranges
        return Pull(source, files, ledger, self.landing, lambda: NOW, on_batch).run(**since)

    def landed(self) -> list[str]:
        """Who is in the landing zone, with repetitions."""
        names = [found.name for found in Listing(self.landing).names()] if self.landing.exists() else []
        return sorted(user for name in names for user in pl.read_parquet(self.landing / name)["identifier"])

    def folder(self, planned: SourceRange) -> Path:
        return folder_of_range(self.landing, "prod", "orders", planned.name)


@pytest.fixture
def shop(tmp_path: Path, make_database: MakeDatabase) -> Iterator[Shop]:
    registry = Registry.open(make_database("sqlite"))
    yield Shop(tmp_path, registry)
    registry.close()


def test_pull__new_files__land_once_with_their_counts(shop: Shop) -> None:
    shop.write("a.csv", "1", "2")
    (first,) = shop.pull()
    assert (first.number, first.version, first.rows, first.records) == (1, 1, 2, 2)
    assert shop.pull() == []
    shop.write("b.csv", "3")
    (second,) = shop.pull()
    assert [Path(file.path).name for file in second.files] == ["b.csv"]
    assert shop.landed() == ["1", "2", "3"]
    progress = shop.registry.source_ranges.progress()["orders"]
    assert (progress.ranges, progress.rows, progress.records, progress.landed_at) == (2, 3, 3, NOW)


def test_pull__records__are_what_the_mapping_says(shop: Shop) -> None:
    shop.declare(timezone="Europe/Berlin")
    shop.write("a.csv", "007", time="2026-01-05 00:00:00")
    shop.pull()
    (found,) = Listing(shop.landing).names()
    assert pl.read_parquet(shop.landing / found.name).to_dicts() == [
        {"event": "purchased", "identifier": "007", "timestamp": "2026-01-04T23:00:00.000Z", "value": "1.5"}
    ]


def test_pull__wide_rows__land_one_record_for_each_mapping(shop: Shop) -> None:
    shop.declare(**{"as": [AS, {**AS, "event": {"constant": "counted"}, "value": None, "metadata": ["amount"]}]})
    shop.write("a.csv", "1", "2")
    (landed,) = shop.pull()
    assert (landed.rows, landed.records, shop.landed()) == (2, 4, ["1", "1", "2", "2"])


def test_pull__file_that_changed__is_read_again(shop: Shop) -> None:
    path = shop.write("a.csv", "1")
    shop.pull()
    shop.write("a.csv", "1", "2")
    os.utime(path, (1, 1))
    (again,) = shop.pull()
    assert (again.number, again.rows) == (2, 2)


def test_pull__other_mapping__is_a_new_version_in_the_name_of_later_ranges_alone(shop: Shop) -> None:
    shop.write("a.csv", "1")
    (first,) = shop.pull()
    assert shop.declare(**{"as": {**AS, "event": "bought"}}).version == 2
    assert shop.pull() == []
    shop.write("b.csv", "2")
    (second,) = shop.pull()
    assert (first.name.split("-")[0], second.name.split("-")[0]) == ("v1", "v2")


def test_pull__query__reads_what_it_selects(shop: Shop) -> None:
    shop.declare(query="select * from files where user <> '1'")
    shop.write("a.csv", "1", "2")
    assert [each.rows for each in shop.pull()] == [1]
    assert shop.landed() == ["2"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"as": {**AS, "identifier": "usr"}}, r"sources\.orders\.as\.identifier: There is no column 'usr'"),
        ({"query": "select * from file"}, r"sources\.orders\.query: Catalog Error"),
        ({"query": "select * exclude (amount) from files"}, r"sources\.orders\.as\.value: There is no column 'amount'"),
        ({"files": "/nowhere/*.csv"}, r"sources\.orders\.files: There is no file"),
    ],
)
def test_pull__what_cannot_be_read__is_refused_and_the_registry_is_as_before(
    shop: Shop, changes: dict[str, Any], message: str
) -> None:
    shop.write("a.csv", "1")
    shop.declare(**changes)
    with pytest.raises(ConfigurationError, match=message):
        shop.pull()
    assert shop.landed() == []
    assert shop.registry.source_ranges.list("orders") == []
    shop.declare(query=None)
    assert len(shop.pull()) == 1


def test_pull__times_without_a_zone__land_nothing(shop: Shop) -> None:
    shop.write("a.csv", "1", time="2026-01-05 00:00:00")
    with pytest.raises(ConfigurationError, match=r"as\.timestamp: '2026-01-05 00:00:00' has no time zone"):
        shop.pull()
    assert shop.landed() == []


def test_pull__column_that_disappears_between_two_pulls__keeps_what_has_landed(shop: Shop) -> None:
    shop.write("a.csv", "1")
    shop.pull()
    (shop.root / "orders" / "b.csv").write_text("user,at\n2,2026-01-05T00:00:00Z\n")
    with pytest.raises(ConfigurationError, match="There is no column 'amount'"):
        shop.pull()
    assert shop.landed() == ["1"]


def test_pull__file_that_changes_while_it_is_read__lands_nothing_and_comes_with_the_next_pull(shop: Shop) -> None:
    shop.write("a.csv", "1")

    def grow(_: SourceRange, __: int) -> None:
        shop.write("a.csv", "1", "2")

    with pytest.raises(Conflict, match="has changed while it was read"):
        shop.pull(grow)
    assert shop.landed() == []
    assert [each.rows for each in shop.pull()] == [2]


def test_pull__since__leaves_older_files(shop: Shop) -> None:
    os.utime(shop.write("a.csv", "1"), (1, 1))
    shop.write("b.csv", "2")
    assert [each.rows for each in shop.pull(since=NOW - timedelta(days=3_650))] == [1]
    assert shop.landed() == ["2"]
    assert shop.pull() == []  # for good
    assert [len(each.files) for each in shop.pull(again=True)] == [2]


def interrupt(shop: Shop) -> SourceRange:
    """Leave a range of one file as a process does that dies after planning it."""
    (content,) = open_ranges(shop.registry.sources.find("orders"), None, {}).unread(ReadSoFar())
    planned = SourceRange("orders", 1, 1, "v1-1-abc", NOW, files=content.files)
    shop.registry.source_ranges.plan(planned)
    return planned


def test_pull__after_a_crash__reads_the_same_range_into_the_same_folder(shop: Shop) -> None:
    shop.write("a.csv", "1")
    planned = interrupt(shop)
    shop.write("b.csv", "2")
    first, second = shop.pull()
    assert (first.name, first.files, second.number) == (planned.name, planned.files, 2)
    assert shop.folder(planned).exists()
    assert shop.landed() == ["1", "2"]


def test_pull__after_a_crash_that_had_landed__closes_the_range_without_reading(shop: Shop) -> None:
    path = shop.write("a.csv", "1", "2")
    (landed,) = shop.pull()
    with shop.registry.engine.begin() as connection:
        connection.exec_driver_sql("update source_ranges set landed_at = null, rows = null, records = null")
    path.unlink()
    (closed,) = shop.pull()
    assert closed == replace(landed, rows=None, records=2)
    assert shop.landed() == ["1", "2"]


@pytest.mark.parametrize("change", ["file", "mapping"])
def test_pull__after_a_crash__what_has_changed_since_is_planned_anew(shop: Shop, change: str) -> None:
    shop.write("a.csv", "1")
    planned = interrupt(shop)
    left = shop.folder(planned).with_name(f".{planned.name}")
    left.mkdir(parents=True)
    if change == "file":
        shop.write("a.csv", "1", "2")
    else:
        shop.declare(**{"as": {**AS, "event": "bought"}})
    (landed,) = shop.pull()
    assert (landed.number, landed.name == planned.name) == (1, False)
    assert shop.landed() == (["1", "2"] if change == "file" else ["1"])
    assert not left.exists()


def test_pull__while_another_process_pulls__is_refused(shop: Shop) -> None:
    shop.write("a.csv", "1")
    shop.pull()
    with (shop.landing / "events/env_key=prod/sources/orders" / LOCK).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(Conflict, match="Another process pulls the source 'orders'"):
            shop.pull()


def test_open_ranges__connection__is_the_url_of_its_variable(shop: Shop) -> None:
    shop.write("a.csv", "1")
    connection = Connection(key="exports", url_env="EXPORTS_URL")
    url = f"duckdb://{shop.root}/orders"
    source = replace(shop.registry.sources.find("orders"), files=None, connection="exports")
    assert open_ranges(source, connection, {"EXPORTS_URL": url}).state(ReadSoFar()) == {"files": 1, "unread": 1}
    with pytest.raises(ConfigurationError, match=r"exports\.url_env: The environment variable EXPORTS_URL is not"):
        open_ranges(source, connection, {})
    with pytest.raises(ConfigurationError, match=r"^connections\.exports: Its URL must begin with .*sqlite://"):
        open_ranges(source, connection, {"EXPORTS_URL": "ftp://me:secret@host"})


def test_pull__again__is_one_range_of_everything_that_replaces_what_there_is__d5(shop: Shop) -> None:
    shop.write("a.csv", "1")
    shop.pull()
    shop.write("b.csv", "2")
    (landed,) = shop.pull(again=True)
    assert landed.name.startswith("again-v1-2-")
    assert [Path(file.path).name for file in landed.files] == ["a.csv", "b.csv"]
    assert (landed.rows, len(list(shop.folder(landed).iterdir())) > 0) == (2, True)
    assert shop.pull() == []


def test_pull__again__where_nothing_would_be_in_the_place__is_refused__d5(shop: Shop) -> None:
    shop.write("a.csv", "1")
    shop.pull()
    shop.declare(query="select * from files where user = 'nobody'")
    with pytest.raises(ConfigurationError, match=r"sources\.orders\.query: Gives no rows now: --again would remove"):
        shop.pull(again=True)
    assert shop.registry.source_ranges.open_range("orders") is None
    assert shop.landed() == ["1"]


def test_pull__again_after_a_crash_of_it__finishes_that__d5(shop: Shop) -> None:
    shop.write("a.csv", "1")

    def crash(*_: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        shop.pull(crash, again=True)
    (landed,) = shop.pull(again=True)
    assert (landed.number, landed.name.startswith("again-v1-1-"), shop.landed()) == (1, True, ["1"])


def test_pull__again_after_a_crash_that_had_landed__reads_what_is_there_now__d5(shop: Shop) -> None:
    shop.write("a.csv", "1")
    (landed,) = shop.pull(again=True)
    with shop.registry.engine.begin() as connection:
        connection.exec_driver_sql("update source_ranges set landed_at = null, rows = null, records = null")
    shop.write("b.csv", "2")
    shop.declare(query="select * from files where user <> '1'")
    closed, anew = shop.pull(again=True)
    assert (closed.name, closed.rows, closed.records) == (landed.name, None, 1)
    assert (anew.number, anew.name.startswith("again-v2-2-"), anew.records) == (2, True, 1)
    assert shop.landed() == ["1", "2"]


def test_pull__again_after_a_crash_of_another_range__reads_each_row_once__d5(shop: Shop) -> None:
    shop.write("a.csv", "1")
    interrupt(shop)
    (landed,) = shop.pull(again=True)
    assert (landed.number, landed.name.startswith("again-"), shop.landed()) == (1, True, ["1"])


def test_pull__since_that_would_leave_all_that_is_new__is_refused(shop: Shop) -> None:
    shop.write("a.csv", "1")
    with pytest.raises(ConfigurationError, match="--since: Would leave every file that is new: the last is of "):
        shop.pull(since=NOW + timedelta(days=3_650))
    assert list(shop.registry.source_ranges.list("orders")) == []
    assert [each.rows for each in shop.pull()] == [1]


def test_pull__of_rows_that_supersede_others__lands_their_cursors__d7(shop: Shop) -> None:
    shop.declare(**{"as": AS | {"event_id": "user"}, "rows": "latest", "cursor": {"column": "at"}})
    shop.write("a.csv", "1")
    (landed,) = shop.pull()
    (part,) = shop.folder(landed).iterdir()
    assert pl.read_parquet(part)["source_cursor"].to_list() == [1_767_571_200_000_000]
