"""`sources`: what a manifest declares is listed, checked, shown and read, from the command line (rules D0, D3, D4)."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import polars as pl
import pytest

from tests.cli.conftest import Run

MANIFEST = """
environments: {prod: {}}
connections:
  shop: {url_env: NOWHERE_URL}
  numbers: {url: "sqlite://numbers.db"}
sources:
  orders:
    files: exports/orders-*.csv
    timezone: UTC
    every: PT1H
    as: {event: purchased, identifier: customer, timestamp: placed, value: total, metadata: [currency]}
  numbers:
    connection: numbers
    query: select 1 as customer, 1 as placed
    as: {event: purchased, identifier: customer, timestamp: placed}
  elsewhere:
    connection: shop
    query: select * from orders
    as: {event: purchased, identifier: customer, timestamp: placed}
"""
ORDERS = "customer,placed,total,currency\n007,2026-11-02 10:00:00,12.5,EUR\n8,soon,1,EUR\n"


@pytest.fixture
def shop(run: Run, tmp_path: Path) -> Run:
    """A manifest with sources beside a folder of orders."""
    (tmp_path / "exports").mkdir()
    (tmp_path / "exports" / "orders-1.csv").write_text(ORDERS)
    (tmp_path / "experiments.yaml").write_text(MANIFEST)
    (tmp_path / "numbers.db").touch()
    assert run("apply", tmp_path / "experiments.yaml").exit_code == 0
    return run


def test_check__shows_the_mapping_the_events_and_what_is_rejected(shop: Run) -> None:
    shown = shop("sources", "check", "orders")
    assert shown.exit_code == 0, shown.output
    assert "1 files, 1 of them new or changed" in shown.output
    assert "column customer" in shown.output
    assert '"identifier":"007","timestamp":"2026-11-02T10:00:00.000Z","value":"12.5"' in shown.output
    assert "rejected, bad_timestamp: 1" in shown.output
    assert "Nothing new has landed" in shop("lake", "ingest").output


def test_check__json__has_the_columns_and_counts(shop: Run) -> None:
    shown = json.loads(shop("sources", "check", "orders", "--json").stdout)
    assert (shown["files"], shown["unread"], shown["judged"]) == (1, 1, 2)
    assert shown["columns"]["total"] == "text"
    assert shown["rejected"] == {"bad_timestamp": 1}


def test_preview__shows_the_rows_as_they_are(shop: Run) -> None:
    shown = shop("sources", "preview", "orders", "--rows", "1")
    assert shown.exit_code == 0, shown.output
    assert "customer (text)" in shown.output
    assert "2026-11-02 10:00:00" in shown.output
    assert "soon" not in shown.output
    rows = json.loads(shop("sources", "preview", "orders", "--json").stdout)["rows"]
    assert rows[0] == {"customer": "007", "placed": "2026-11-02 10:00:00", "total": "12.5", "currency": "EUR"}


def test_pull__lands_and_ingests_what_is_new_once(shop: Run, tmp_path: Path) -> None:
    first = json.loads(shop("sources", "pull", "orders", "--json").stdout)
    assert [(each["rows"], each["records"]) for each in first["ranges"]] == [(2, 2)]
    assert (first["accepted"], first["rejected"]) == (1, {"bad_timestamp": 1})
    again = shop("sources", "pull", "orders")
    assert "Source orders: nothing is new." in again.output
    (tmp_path / "exports" / "orders-2.csv").write_text(ORDERS.replace("007", "9").replace("soon", "2026-11-03"))
    second = shop("sources", "pull", "orders")
    assert "Source orders: 1 files, 2 rows, 2 records." in second.output
    assert "2 new events" in second.output


def test_list__shows_how_far_each_source_is_read(shop: Run) -> None:
    before = {each["source"]: each["read"] for each in json.loads(shop("sources", "list", "--json").stdout)}
    assert before == {"orders": None, "numbers": None, "elsewhere": None}
    shop("sources", "pull", "orders")
    listed = {each["source"]: each for each in json.loads(shop("sources", "list", "-e", "prod", "--json").stdout)}
    assert listed["orders"]["read"]["rows"] == 2
    assert listed["orders"]["every"] == "PT1H"
    table = shop("sources", "list").output
    assert "connection shop" in table
    assert "never" in table


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["check", "order"], "No source 'order'. Did you mean 'orders'?"),
        (["pull", "orders", "--since", "yesterday"], "--since: Must be a time with a zone"),
        (["pull", "numbers", "--since", "2026-11-01T00:00:00Z"], "Error: --since: Needs a cursor"),
        (["pull", "elsewhere"], "connections.shop.url_env: The environment variable NOWHERE_URL is not set"),
        (["preview", "elsewhere"], "connections.shop.url_env: The environment variable NOWHERE_URL is not set"),
    ],
)
def test_sources__bad_request__is_refused_in_one_line(shop: Run, arguments: list[str], message: str) -> None:
    refused = shop("sources", *arguments)
    assert refused.exit_code == 2
    assert message in refused.output
    assert refused.output.count("\n") == 1


@pytest.mark.parametrize("command", ["check", "pull"])
def test_sources__column_that_is_missing__is_named_with_the_source(shop: Run, tmp_path: Path, command: str) -> None:
    (tmp_path / "exports" / "orders-1.csv").write_text("customer,placed,totl,currency\n7,2026-11-02,1,EUR\n")
    refused = shop("sources", command, "orders")
    assert refused.exit_code == 2
    assert "sources.orders.as.value: There is no column 'total'. Did you mean 'totl'?" in refused.output
    assert "Nothing new has landed" in shop("lake", "ingest").output


@pytest.mark.parametrize("command", ["check", "preview", "pull"])
def test_sources__database_that_is_not_reached__is_told_in_one_line_without_its_password(
    shop: Run, command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NOWHERE_URL", "postgresql://ana:hunter2@127.0.0.1:1/shop")
    refused = shop("sources", command, "elsewhere")
    assert refused.exit_code == 1
    assert refused.output.startswith("Error: connections.shop: The server cannot be reached: refused.")
    assert refused.output.count("\n") == 1
    assert "hunter2" not in refused.output


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("ftp://ana:hunter2@host/shop", "connections.shop: Its URL must begin with"),
        ("duckdb://ana:hunter2@host/shop", "connections.shop.url_env: The path in NOWHERE_URL must begin at the root"),
        ("sqlite:///nowhere/shop.db", "connections.shop: There is no file '/nowhere/shop.db'"),
        ("sqlite://{file}", "connections.shop: The file cannot be read"),
    ],
)
def test_sources__connection_that_is_refused__has_one_name_and_no_secret(
    shop: Run, tmp_path: Path, url: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NOWHERE_URL", url.format(file=tmp_path / "experiments.yaml"))
    for command in ("check", "preview", "pull"):
        refused = shop("sources", command, "elsewhere")
        assert refused.exit_code == 2
        assert refused.output.startswith(f"Error: {message}")
        assert "hunter2" not in refused.output


def test_sources__sqlite__is_checked_pulled_and_read_on(
    shop: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NOWHERE_URL", f"sqlite://{tmp_path}/shop.db")
    with closing(sqlite3.connect(tmp_path / "shop.db")) as database:
        database.execute("create table orders (id integer, customer text, placed text)")
        database.execute("insert into orders values (7, '007', '2026-11-02T10:00:00Z')")
        database.commit()
        (tmp_path / "experiments.yaml").write_text(
            MANIFEST.replace("from orders\n", "from orders\n    cursor: {column: id}\n")
        )
        assert shop("apply", tmp_path / "experiments.yaml").exit_code == 0
        checked = shop("sources", "check", "elsewhere")
        assert "The cursor's largest value is 7; nothing has been read." in checked.output
        assert '"identifier":"007"' in checked.output
        assert "Source elsewhere: 1 rows, 1 records, up to 7." in shop("sources", "pull", "elsewhere").output
        assert "Source elsewhere: nothing is new." in shop("sources", "pull", "elsewhere").output
        database.execute("insert into orders values (8, '8', '2026-11-02T10:00:00Z')")
        database.commit()
    pulled = json.loads(shop("sources", "pull", "elsewhere", "--json").stdout)
    assert [(each["after"], each["until"], each["rows"]) for each in pulled["ranges"]] == [("7", "8", 1)]
    assert json.loads(shop("sources", "check", "elsewhere", "--json").stdout)["read_until"] == "8"


LATEST = """
environments: {prod: {}}
sources:
  orders:
    files: exports/orders-*.csv
    timezone: UTC
    rows: latest
    cursor: {column: changed}
    as: {event: purchased, identifier: customer, timestamp: placed, value: total, event_id: number}
  accounts:
    files: exports/accounts.csv
    as: {anonymous: device, known: customer}
"""


def test_pull__corrected_row_links_and_again__change_what_today_sees_alone__d5_d6_d7(run: Run, tmp_path: Path) -> None:
    (tmp_path / "exports").mkdir()
    header, row = "number,customer,placed,total,changed\n", "A-1,7,2026-11-02 10:00:00,{},2026-11-0{}\n"
    (tmp_path / "exports" / "orders-1.csv").write_text(header + row.format(12.5, 2))
    (tmp_path / "exports" / "accounts.csv").write_text("device,customer\ncookie-1,7\ncookie-1,7\n")
    (tmp_path / "experiments.yaml").write_text(LATEST)
    assert run("apply", tmp_path / "experiments.yaml").exit_code == 0
    assert "1 new events" in run("sources", "pull", "orders").output
    assert "1 new events, 1 duplicates" in run("sources", "pull", "accounts").output
    (tmp_path / "exports" / "orders-2.csv").write_text(header + row.format(2.5, 3))
    corrected = json.loads(run("sources", "pull", "orders", "--json").stdout)
    assert (corrected["accepted"], corrected["removed"]) == (1, 1)
    again = run("sources", "pull", "orders", "--again")
    assert again.exit_code == 0, again.output
    assert "1 new events, 1 duplicates, 0 rejected, 1 events of earlier batches removed" in again.output


def test_pull__again_with_since__is_refused(shop: Run) -> None:
    refused = shop("sources", "pull", "orders", "--again", "--since", "2026-11-01T00:00:00Z")
    assert refused.exit_code == 2
    assert "--since: Cannot be combined with --again" in refused.output


SHIFTING = """
environments: {prod: {}}
connections: {shop: {url: "sqlite://shop.db"}}
sources:
  parquet: {files: "parquet/*.parquet", as: {event: a, identifier: id, timestamp: at, value: v, event_id: nr}}
  lines: {files: "lines.jsonl", as: {event: b, identifier: id, timestamp: at, value: v, event_id: nr}}
  table:
    connection: shop
    query: select * from t
    as: {event: c, identifier: id, timestamp: at, value: v, event_id: nr}
"""


def _write_values(folder: Path, *values: float) -> None:
    """Write rows of these values as Parquet, JSON lines and a table, which have the type of all of them."""
    rows = pl.DataFrame({"nr": [f"n{number}" for number in range(len(values))]}).with_columns(
        pl.col("nr").alias("id"), pl.lit("2026-11-02T10:00:00Z").alias("at"), pl.Series("v", values, strict=False)
    )
    (folder / "parquet").mkdir(exist_ok=True)
    rows.write_parquet(folder / "parquet" / "rows.parquet")
    rows.write_ndjson(folder / "lines.jsonl")
    with closing(sqlite3.connect(folder / "shop.db")) as database:
        database.execute("drop table if exists t")
        database.execute("create table t (nr text, id text, at text, v numeric)")
        database.executemany("insert into t values (?, ?, ?, ?)", rows.select("nr", "id", "at", "v").rows())
        database.commit()


@pytest.mark.parametrize("source", ["parquet", "lines", "table"])
def test_pull__rows_whose_column_has_another_type_now__count_once__e4(run: Run, tmp_path: Path, source: str) -> None:
    (tmp_path / "experiments.yaml").write_text(SHIFTING)
    assert run("apply", tmp_path / "experiments.yaml").exit_code == 0
    _write_values(tmp_path, 10, 20)
    assert json.loads(run("sources", "pull", source, "--json").stdout)["accepted"] == 2
    _write_values(tmp_path, 10, 20, 9.5)
    read = json.loads(run("sources", "pull", source, "--json").stdout)
    assert (read["accepted"], read["duplicates"]) == (1, 2)


def test_pull__values_that_are_no_numbers__are_counted__e5(shop: Run, tmp_path: Path) -> None:
    header = "customer,placed,total,currency\n"
    rows = "".join(f"{number},2026-11-02 10:00:00,{total},EUR\n" for number, total in enumerate(["9,50", "n/a", "1"]))
    (tmp_path / "exports" / "orders-1.csv").write_text(header + rows.replace("9,50", '"9,50"'))
    pulled = shop("sources", "pull", "orders")
    assert "2 of 3 values are no numbers, such as '9,50': sums, means and quantiles leave them out" in pulled.output
    (tmp_path / "exports" / "orders-2.csv").write_text(header + "7,2026-11-02 10:00:00,no,EUR\n")
    assert json.loads(shop("sources", "pull", "orders", "--json").stdout)["not_numbers"] == 1
    assert json.loads(shop("sources", "pull", "orders", "--json").stdout)["not_numbers"] == 0


def test_check__identity_links__says_nothing_of_numbers__d6(shop: Run, tmp_path: Path) -> None:
    (tmp_path / "links.csv").write_text("device,customer\nd1,anna\n")
    links = "  links: {files: links.csv, as: {anonymous: device, known: customer}}\n"
    (tmp_path / "experiments.yaml").write_text(MANIFEST + links)
    assert shop("apply", tmp_path / "experiments.yaml").exit_code == 0
    checked = shop("sources", "check", "links")
    assert checked.exit_code == 0, checked.output
    assert "would be rejected" in checked.output
    assert "no numbers" not in checked.output


def test_apply__changed_mapping__shows_the_members_that_changed_alone(shop: Run, tmp_path: Path) -> None:
    changed = MANIFEST.replace("value: total, metadata: [currency]", "value: amount, metadata: [currency, country]")
    (tmp_path / "changed.yaml").write_text(changed)
    told = shop("apply", tmp_path / "changed.yaml", "--dry-run").stdout
    assert (
        """
    as.value: {"column": "total"} -> {"column": "amount"}
    as.metadata:\x20
      + "country"
"""
        in told
    )
    (tmp_path / "changed.yaml").write_text(MANIFEST.replace(
        "as: {event: purchased, identifier: customer, timestamp: placed, value: total, metadata: [currency]}",
        "as: [{event: purchased, identifier: customer, timestamp: placed, value: total, metadata: [currency]}, "
        "{event: seen, identifier: customer, timestamp: placed}]",
    ))  # fmt: skip
    (added,) = shop("apply", tmp_path / "changed.yaml", "--dry-run").stdout.partition("    as: \n")[2].splitlines()[:1]
    names = {"event": {"constant": "seen"}, "identifier": {"column": "customer"}, "timestamp": {"column": "placed"}}
    assert json.loads(added.removeprefix("      + ")) == names
