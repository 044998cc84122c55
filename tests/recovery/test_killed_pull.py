"""A pull of files that is killed, whenever: every row lands once, and is in the lake once (rule D2)."""

import random
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import polars as pl
import pytest

from experiment_pipeline.domain.fields import adapter
from experiment_pipeline.domain.sources import SourceDraft
from experiment_pipeline.lake.lake import Lake
from experiment_pipeline.landing.listing import Listing
from experiment_pipeline.registry.registry import Registry
from tests.lake.ledger import NOW, PROD, stored
from tests.recovery.killed_pull import POINTS, SOURCE

ROOT = Path(__file__).parents[2]
AS = {"event": "purchased", "identifier": "user", "timestamp": "at", "event_id": "id"}


class Installation:
    """A folder of orders that grows, and the source that reads it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        (root / "orders").mkdir()
        self.registry = Registry.open(f"sqlite:///{root / 'registry.sqlite'}")
        self.registry.environments.create(PROD, PROD, actor="test", now=NOW)
        draft = adapter(SourceDraft).validate_python({"as": AS, "files": str(root / "orders")})
        self.registry.sources.declare(SOURCE, PROD, draft, actor="test", now=NOW)
        self.sold: list[str] = []

    def sell(self, number: int) -> None:
        """One more file of each of two moments."""
        for half in "ab":
            new = [f"{number}-{half}-{n}" for n in range(50)]
            self.sold += new
            rows = pl.DataFrame({"id": new, "user": new}).with_columns(at=pl.lit("2026-02-25T00:00:00Z"))
            rows.write_parquet(self.root / "orders" / f"{number:03}-{half}.parquet")

    def start(self, *arguments: str) -> "subprocess.Popen[bytes]":
        command = [sys.executable, "-m", "tests.recovery.killed_pull", str(self.root), *arguments]
        return subprocess.Popen(command, cwd=ROOT)

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


@pytest.mark.slow
def test_killed_at_every_named_point__then_pulled_again(tmp_path: Path) -> None:
    here = Installation(tmp_path)
    for number, (point, at) in enumerate((point, at) for point in POINTS for at in (1, 2)):
        here.sell(number)
        assert here.start(point, str(at)).wait() == -9, f"{point} was never reached"
        here.check()


@pytest.mark.slow
def test_killed_twenty_times_at_random__then_pulled_again(tmp_path: Path) -> None:
    here, moments = Installation(tmp_path), random.Random(20_261_130)
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
