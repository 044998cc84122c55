"""What a pull would do: nothing of the registry, the landing zone or the lake changes for it."""

import json
import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.cli.conftest import Run

MANIFEST = """
environments: {prod: {}}
connections:
  shop: {url: "sqlite://shop.db"}
sources:
  orders:
    files: orders/*.csv
    as: {event: purchased, identifier: user, timestamp: at}
  refunds:
    connection: shop
    query: select * from refunds
    cursor: {column: id}
    as: {event: refunded, identifier: user, timestamp: at}
"""
ROW = "7,2026-11-02T10:00:00Z\n"


@pytest.fixture
def shop(run: Run, tmp_path: Path) -> Run:
    """A folder with one file of orders, and a table with one refund."""
    (tmp_path / "orders").mkdir()
    (tmp_path / "orders" / "a.csv").write_text(f"user,at\n{ROW}")
    with closing(sqlite3.connect(tmp_path / "shop.db")) as database:
        database.execute("create table refunds (id integer, user text, at text)")
        database.execute("insert into refunds values (3, 'u', '2026-11-02T10:00:00Z')")
        database.commit()
    (tmp_path / "shop.yaml").write_text(MANIFEST)
    assert run("apply", tmp_path / "shop.yaml").exit_code == 0
    return run


def test_dry_run__of_files__names_what_is_new_and_lands_nothing(shop: Run, tmp_path: Path) -> None:
    path = tmp_path / "orders" / "a.csv"
    told = shop("sources", "pull", "orders", "--dry-run")
    assert told.output == (
        f"Source orders: would read 1 files of 31 bytes, in 1 ranges.\n  {path}, 31 bytes\n"
        "This was a dry run: no row was read, nothing has landed.\n"
    ), told.output
    assert "Nothing new has landed" in shop("lake", "ingest").output
    assert json.loads(shop("sources", "pull", "orders", "--json").stdout)["accepted"] == 1
    assert "Source orders: nothing is new.\n" in shop("sources", "pull", "orders", "--dry-run").output


def test_dry_run__again__says_what_would_be_removed_and_keeps_it__d5(shop: Run, tmp_path: Path) -> None:
    shop("sources", "pull", "orders")
    told = shop("sources", "pull", "orders", "--again", "--dry-run")
    assert told.exit_code == 0, told.output
    removed = "would remove what it has brought (1 records of 1 ranges), and put what it reads now in its place."
    assert removed in told.output
    planned = json.loads(shop("sources", "pull", "orders", "--again", "--dry-run", "--json").stdout)
    (tmp_path / "orders" / "a.csv").write_text("user,at\n")
    assert (planned["dry_run"], planned["removes_records"], len(planned["ranges"])) == (True, 1, 1)
    assert "Nothing new has landed" in shop("lake", "ingest").output


def test_dry_run__since__leaves_older_files_and_keeps_no_moment(shop: Run, tmp_path: Path) -> None:
    old = tmp_path / "orders" / "old.csv"
    old.write_text(f"user,at\n{ROW.replace('7,', '8,')}")
    os.utime(old, (1_700_000_000, 1_700_000_000))
    since = ("--since", "2024-01-01T00:00:00Z")
    planned = json.loads(shop("sources", "pull", "orders", *since, "--dry-run", "--json").stdout)
    assert [each["files"] for each in planned["ranges"]] == [[str(tmp_path / "orders" / "a.csv")]]
    assert json.loads(shop("sources", "pull", "orders", "--json").stdout)["accepted"] == 2


def test_dry_run__of_a_cursor__gives_its_bounds(shop: Run) -> None:
    assert "would read the rows whose id is up to 3." in shop("sources", "pull", "refunds", "--dry-run").output
    shop("sources", "pull", "refunds")
    assert "nothing is new." in shop("sources", "pull", "refunds", "--dry-run").output


def test_list__shows_positions_unread_files_and_the_last_failure_until_a_pull_works(shop: Run, tmp_path: Path) -> None:
    shop("sources", "pull", "refunds")
    path = tmp_path / "orders" / "a.csv"
    path.write_text("user,when\n1,2\n")
    assert shop("sources", "pull", "orders").exit_code == 2
    assert shop("sources", "pull", "refunds", "--since", "2026-11-01T00:00:00Z").exit_code in {0, 2}
    orders, refunds = json.loads(shop("sources", "list", "--json").stdout)
    assert (orders["unread_files"], orders["read_until"]) == (1, None)
    assert orders["failure"]["message"].startswith("sources.orders.as.timestamp: There is no column 'at'")
    assert (refunds["unread_files"], refunds["read_until"], refunds["failure"]) == (None, "3", None)
    shown = shop("sources", "list").output
    assert "The last pull of orders failed at " in shown
    path.write_text(f"user,at\n{ROW}")
    assert shop("sources", "pull", "orders").exit_code == 0
    orders, _ = json.loads(shop("sources", "list", "--json").stdout)
    assert (orders["unread_files"], orders["failure"]) == (0, None)
