"""Whatever is killed, whenever: every accepted event and every reject ends up in the lake exactly once (rule E7)."""

import random
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from experiment_pipeline.lake.ingestion import ingest
from experiment_pipeline.lake.lake import Lake
from experiment_pipeline.registry.registry import Registry
from experiment_pipeline.settings import Settings
from experiment_pipeline.storage import locks
from experiment_pipeline.storage.object_path import ObjectPath
from experiment_pipeline.storage.places import Places, places_of
from tests.lake.ledger import NOW, PROD, land, record, stored
from tests.recovery.killed_ingestion import POINTS, UNLOCKED

ROOT = Path(__file__).parents[2]


class Installation:
    """A registry, a lake and a landing zone that processes are killed over."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.registry = Registry.open(f"sqlite:///{root / 'registry.sqlite'}")
        self.registry.environments.create(PROD, PROD, actor="test", now=NOW)
        self.sent: set[str] = set()
        self.broken = 0

    def land(self, number: int) -> None:
        """Two objects of which half was sent before, and a line that is no JSON."""
        new = {f"{number}-{n}" for n in range(40)}
        again = set(list(self.sent)[:40])
        self.sent |= new
        lines = [record(event_id=key, timestamp=1_772_000_000_000) for key in sorted(new | again)]
        land(self.root / "landing", [*lines[::2], "{"], f"{number:03}-a.jsonl.gz")
        land(self.root / "landing", [*lines[1::2], lines[0]], f"{number:03}-b.jsonl")
        self.publish(number)
        self.broken += 1

    def publish(self, number: int) -> None:
        """Nothing: the objects have landed by being written."""

    @property
    def places(self) -> Places:
        return places_of(Settings(data_dir=self.root))

    def start(self, *arguments: str) -> "subprocess.Popen[bytes]":
        command = [sys.executable, "-m", "tests.recovery.killed_ingestion", str(self.root), *arguments]
        return subprocess.Popen(command, cwd=ROOT)

    def check(self) -> None:
        """Finish what was interrupted, and compare with what was sent."""
        lake = Lake(self.places.lake)
        ingest(lake, self.registry.batches, self.places.landing, NOW)
        rows = stored(lake)
        assert Counter(row["event_id"] for row in rows) == Counter(self.sent)
        assert Counter(row["reason"] for row in stored(lake, "rejected")) == {"not_json": self.broken}
        assert self.registry.batches.open_batch() is None
        assert self.registry.batches.lake_version().data_version == max(row["batch"] for row in rows)


@pytest.mark.slow
def test_killed_at_every_named_point__then_restarted(tmp_path: Path) -> None:
    here = Installation(tmp_path)
    for number, (point, at) in enumerate((point, at) for point in POINTS for at in (1, 2)):
        here.land(number)
        process = here.start(point, str(at))
        reached = process.wait() == -9
        assert reached or point == "rewrite events", f"{point} was never reached"
        here.check()


class InstallationInABucket(Installation):
    """The same, whose landing zone and lake are in the bucket that the environment names."""

    def publish(self, number: int) -> None:
        for path in (self.root / "landing").rglob(f"{number:03}-*"):
            assert isinstance(self.places.landing, ObjectPath)
            (self.places.landing / path.relative_to(self.root / "landing").as_posix()).upload(path)


@pytest.mark.slow
def test_killed_at_every_named_point__over_a_bucket__then_restarted(
    tmp_path: Path, object_storage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EXPERIMENT_PIPELINE_STORAGE", object_storage)
    monkeypatch.setattr(locks, "LEASE_SECONDS", 1.0)
    here = InstallationInABucket(tmp_path)
    for number, (point, at) in enumerate((point, at) for point in POINTS for at in (1, 2)):
        here.land(number)
        process = here.start(point, str(at))
        reached = process.wait() == -9
        assert reached or point == "rewrite events", f"{point} was never reached"
        here.check()
    assert not (tmp_path / "lake").exists()


@pytest.mark.slow
def test_two_ingestions_at_once__over_a_bucket_and_without_its_lease__the_slower_is_refused(
    tmp_path: Path, object_storage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EXPERIMENT_PIPELINE_STORAGE", object_storage)
    here = InstallationInABucket(tmp_path)
    for number in range(3):
        here.land(number)
        for process in [here.start(UNLOCKED), here.start(UNLOCKED)]:
            process.wait()
    here.check()


@pytest.mark.slow
def test_killed_fifty_times_at_random__then_restarted(tmp_path: Path) -> None:
    here, moments = Installation(tmp_path), random.Random(20_260_301)
    here.land(0)
    started = time.monotonic()
    assert here.start().wait() == 0
    longest = time.monotonic() - started
    for number in range(1, 51):
        here.land(number)
        process = here.start()
        time.sleep(moments.uniform(0.4, 1.0) * longest)  # what comes before is the import of modules
        process.kill()
        process.wait()
        if number % 5 == 0:
            here.check()


@pytest.mark.slow
def test_two_ingestions_at_once__one_waits_for_the_other(tmp_path: Path) -> None:
    here = Installation(tmp_path)
    for number in range(3):
        here.land(number)
        assert [process.wait() for process in [here.start(), here.start(), here.start()]] == [0, 0, 0]
        here.check()


@pytest.mark.slow
def test_two_ingestions_at_once__where_locks_do_not_work__the_slower_is_refused(tmp_path: Path) -> None:
    here = Installation(tmp_path)
    for number in range(3):
        here.land(number)
        exits = [process.wait() for process in [here.start(UNLOCKED), here.start(UNLOCKED), here.start(UNLOCKED)]]
        assert 0 in exits
        here.check()
