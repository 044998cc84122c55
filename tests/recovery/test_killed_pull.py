"""A pull of files or of PostgreSQL that is killed, whenever: every row is landed and ingested once (rule D2)."""

import os
import random
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import polars as pl
import pytest

from experiment_pipeline.domain.fields import adapter
from experiment_pipeline.domain.sources import ConnectionDraft, SourceDraft
from experiment_pipeline.lake.lake import Lake
from experiment_pipeline.landing.listing import Listing
from experiment_pipeline.registry.registry import Registry
from tests.lake.ledger import NOW, PROD, stored
from tests.recovery.killed_pull import POINTS, SOURCE
from tests.sources.postgres_tables import new_database, run

SHOP, SHOP_URL = "shop", "SHOP_URL"
ROOT = Path(__file__).parents[2]
AS = {"event": "purchased", "identifier": "user", "timestamp": "at", "event_id": "id"}


class Files:
    """A folder of orders that grows."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.folder.mkdir()
        self.declared = {"as": AS, "files": str(folder)}

    def add(self, number: int, orders: list[str]) -> None:
        rows = pl.DataFrame({"id": orders, "user": orders}).with_columns(at=pl.lit("2026-02-25T00:00:00Z"))
        rows.write_parquet(self.folder / f"{number:03}-{orders[0]}.parquet")


class Table:
    """A table of orders in PostgreSQL that grows."""

    def __init__(self, url: str) -> None:
        self.url = url
        run(url, 'create table orders (id text, "user" text, at timestamptz, loaded_at timestamptz)')
        cursor = {"column": "loaded_at", "overlap": "PT0S"}
        self.declared = {"as": AS, "connection": SHOP, "query": "select * from orders", "cursor": cursor}

    def add(self, number: int, orders: list[str]) -> None:
        now = f"timestamptz '2026-02-25' + interval '{number} hours'"
        rows = ", ".join(f"('{order}', '{order}', '2026-02-25', {now})" for order in orders)
        run(self.url, f"insert into orders values {rows}")  # noqa: S608 - our own


class Installation:
    """Orders that grow, and the source that reads them."""

    def __init__(self, root: Path, orders: Files | Table) -> None:
        self.root, self.orders = root, orders
        self.registry = Registry.open(f"sqlite:///{root / 'registry.sqlite'}")
        self.registry.environments.create(PROD, PROD, actor="test", now=NOW)
        self.registry.connections.declare(SHOP, ConnectionDraft(url_env=SHOP_URL), actor="test", now=NOW)
        draft = adapter(SourceDraft).validate_python(orders.declared)
        self.registry.sources.declare(SOURCE, PROD, draft, actor="test", now=NOW)
        self.environ = os.environ | ({SHOP_URL: orders.url} if isinstance(orders, Table) else {})
        self.sold: list[str] = []

    def sell(self, number: int) -> None:
        """Sell a hundred orders, in two parts."""
        for half in "ab":
            new = [f"{number}-{half}-{n}" for n in range(50)]
            self.sold += new
            self.orders.add(number, new)

    def start(self, *arguments: str) -> "subprocess.Popen[bytes]":
        command = [sys.executable, "-m", "tests.recovery.killed_pull", str(self.root), *arguments]
        return subprocess.Popen(command, cwd=ROOT, env=self.environ)

    def check(self) -> None:
        """Finish what was interrupted, and compare with what was sold."""
        assert self.start().wait() == 0
        landing = self.root / "landing"
        landed = [pl.read_parquet(landing / found.name)["event_id"] for found in Listing(landing).names()]
        assert Counter(key for keys in landed for key in keys) == Counter(self.sold)
        assert Counter(row["event_id"] for row in stored(Lake(self.root / "lake"))) == Counter(self.sold)
        assert self.registry.source_ranges.open_range(SOURCE) is None
        assert self.registry.source_ranges.progress()[SOURCE].records == len(self.sold)
        assert [path.name for path in (landing / "events" / f"env_key={PROD}" / "sources" / SOURCE).glob(".v*")] == []


@pytest.fixture(params=["files", "postgresql"])
def here(request: pytest.FixtureRequest, tmp_path: Path) -> Installation:
    if request.param == "files":
        return Installation(tmp_path, Files(tmp_path / "orders"))
    return Installation(tmp_path, Table(new_database(request.getfixturevalue("postgres_url"))))


@pytest.mark.slow
def test_killed_at_every_named_point__then_pulled_again(here: Installation) -> None:
    for number, (point, at) in enumerate((point, at) for point in POINTS for at in (1, 2)):
        here.sell(number)
        assert here.start(point, str(at)).wait() == -9, f"{point} was never reached"
        here.check()


@pytest.mark.slow
def test_killed_twenty_times_at_random__then_pulled_again(here: Installation) -> None:
    moments = random.Random(20_261_130)
    here.sell(0)
    started = time.monotonic()
    assert here.start().wait() == 0
    longest = time.monotonic() - started
    for number in range(1, 21):
        here.sell(number)
        process = here.start()
        time.sleep(moments.uniform(0.4, 1.0) * longest)  # what comes before is the import of modules
        process.kill()
        process.wait()
        if number % 5 == 0:
            here.check()
