"""`sources pull --again` that is killed, wherever: old rows count or new ones, and the next one ends it (D5, E6)."""

import os
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

from experiment_pipeline.domain.fields import adapter
from experiment_pipeline.domain.sources import ConnectionDraft, SourceDraft
from experiment_pipeline.lake.lake import Lake
from experiment_pipeline.registry.registry import Registry
from experiment_pipeline.settings import PREFIX
from tests.lake.ledger import NOW, PROD
from tests.lake.source_objects import visible_rows
from tests.recovery.killed_again import POINTS, SOURCE
from tests.sources.postgres_tables import new_database, run

SHOP, SHOP_URL = "shop", "SHOP_URL"
ROOT = Path(__file__).parents[2]
AS = {"event": "purchased", "identifier": "who", "timestamp": "at", "value": "amount", "event_id": "id"}
Orders = dict[str, str]  # the amount of each
TIMES = ("2026-01-25T00:00:00Z", "2026-02-25T00:00:00Z")  # of two months, so that two partitions change


class Files:
    """A file of orders that is written anew."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.folder.mkdir()
        self.declared = {"as": AS, "files": str(folder)}

    def write(self, orders: Orders) -> None:
        rows = [(key, key, TIMES[number % 2], amount) for number, (key, amount) in enumerate(orders.items())]
        pl.DataFrame(rows, ["id", "who", "at", "amount"], orient="row").write_parquet(self.folder / "orders.parquet")


class Table:
    """A table of orders in PostgreSQL that is written anew."""

    def __init__(self, url: str) -> None:
        self.url = url
        run(url, "create table orders (id text, who text, at timestamptz, amount numeric, loaded_at timestamptz)")
        self.declared = {
            "as": AS,
            "connection": SHOP,
            "query": "select * from orders",
            "cursor": {"column": "loaded_at"},
        }

    def write(self, orders: Orders) -> None:
        rows = ", ".join(
            f"('{key}', '{key}', '{TIMES[number % 2]}', {amount}, '2026-02-25')"
            for number, (key, amount) in enumerate(orders.items())
        )
        run(self.url, "truncate orders", f"insert into orders values {rows}")  # noqa: S608 - our own


class Installation:
    """Orders, and the source that reads them."""

    def __init__(self, root: Path, orders: Files | Table) -> None:
        self.root, self.orders = root, orders
        self.registry = Registry.open(f"sqlite:///{root / 'registry.sqlite'}")
        self.registry.environments.create(PROD, PROD, actor="test", now=NOW)
        self.registry.connections.declare(SHOP, ConnectionDraft(url_env=SHOP_URL), actor="test", now=NOW)
        draft = adapter(SourceDraft).validate_python(orders.declared)
        self.registry.sources.declare(SOURCE, PROD, draft, actor="test", now=NOW)
        self.environ = os.environ | {f"{PREFIX}DATA_DIR": str(root)}
        self.environ |= {SHOP_URL: orders.url} if isinstance(orders, Table) else {}

    def pull_again(self, *arguments: str) -> int:
        command = [sys.executable, "-m", "tests.recovery.killed_again", *arguments]
        return subprocess.run(command, cwd=ROOT, env=self.environ, check=False, capture_output=True).returncode

    def counting(self) -> Orders:
        """The orders that the newest data version sees."""
        version = self.registry.batches.lake_version().data_version
        rows = visible_rows(Lake(self.root / "lake"), version)
        assert len({row["event_id"] for row in rows}) == len(rows)
        return {row["event_id"]: row["value"] for row in rows}


@pytest.fixture(params=["files", "postgresql"])
def here(request: pytest.FixtureRequest, tmp_path: Path) -> Installation:
    if request.param == "files":
        return Installation(tmp_path, Files(tmp_path / "shop"))
    return Installation(tmp_path, Table(new_database(request.getfixturevalue("postgres_url"))))


def orders_of(number: int) -> Orders:
    """Orders of which one has gone, one has come, and all have other amounts each time."""
    return {f"order-{number + place}": f"{number}.5" for place in range(6)}


@pytest.mark.slow
def test_again__killed_at_every_point__has_the_old_rows_or_the_new__and_then_the_newest(here: Installation) -> None:
    here.orders.write(orders_of(0))
    assert here.pull_again() == 0
    assert here.counting() == orders_of(0)
    for number, (point, at) in enumerate(((point, at) for point in POINTS for at in (1, 2)), start=1):
        here.orders.write(orders_of(10 * number))
        assert here.pull_again(point, str(at)) == -9, f"{point} was never reached"
        assert here.counting() in (orders_of(10 * (number - 1) + (number > 1)), orders_of(10 * number))
        here.orders.write(orders_of(10 * number + 1))  # the source goes on changing
        assert here.pull_again() == 0
        assert here.counting() == orders_of(10 * number + 1)
        assert here.registry.source_ranges.open_range(SOURCE) is None
