"""Landing zone and lake in a bucket of a real S3-compatible server (rules E6, E7)."""

import io
import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from experiment_pipeline.domain.exposures import Window
from experiment_pipeline.errors import ConfigurationError, StorageUnavailable, UnsoundLake
from experiment_pipeline.lake.compaction import compact
from experiment_pipeline.lake.ingestion import IngestionReport, ingest, landing_state
from experiment_pipeline.lake.lake import Lake
from experiment_pipeline.lake.reading_mark import MARK
from experiment_pipeline.lake.rereading import read_again
from experiment_pipeline.lake.soundness import Flaw, find_flaw
from experiment_pipeline.landing.settled import SETTLED
from experiment_pipeline.storage import retention
from experiment_pipeline.storage.object_path import ObjectPath, store_of
from tests.lake.ledger import PROD, MemoryLedger, record, stored

pytestmark = pytest.mark.slow
EVENTS = f"events/env_key={PROD}"
WINDOW = Window(datetime(2026, 2, 1, tzinfo=UTC), datetime(2026, 4, 1, tzinfo=UTC))


@dataclass
class Site:
    """A landing zone and a lake in a bucket, and a ledger in memory."""

    root: ObjectPath
    ledger: MemoryLedger = field(default_factory=MemoryLedger)

    @property
    def lake(self) -> Lake:
        return Lake(self.root / "lake", threads=1)

    @property
    def landing(self) -> ObjectPath:
        return self.root / "landing"

    def land(self, name: str, lines: Iterable[object]) -> ObjectPath:
        path = self.landing / EVENTS / name
        path.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
        return path

    def ingest(self, *, whole: bool = True) -> IngestionReport:
        return ingest(self.lake, self.ledger, self.landing, datetime.now(UTC), whole=whole)

    def waits(self, *, whole: bool = False) -> bool:
        return landing_state(self.ledger, self.landing, whole=whole).waits


@pytest.fixture
def site(object_storage: str, tmp_path: Path) -> Site:
    return Site(ObjectPath.of_url(object_storage, tmp_path / "spill"))


def hour(ago: timedelta = timedelta(0)) -> str:
    return f"{datetime.now(UTC) - ago:%Y/%m/%d/%H}"


def test_ingest__objects_in_a_bucket__are_in_the_lake_once(site: Site) -> None:
    site.land(f"{hour()}/a.jsonl", [record(event_id="1"), "{", record(event_id="2")])
    table = io.BytesIO()
    pl.DataFrame([record(event_id="3", traits=None, metadata=None)]).write_parquet(table)
    (site.landing / EVENTS / hour() / "b.parquet").write_bytes(table.getvalue())
    report = site.ingest()
    assert (report.objects, report.accepted, report.rejected) == (2, 3, {"not_an_object": 1})
    assert site.ingest().batch is None
    assert sorted(str(row["event_id"]) for row in stored(site.lake)) == ["1", "2", "3"]
    assert find_flaw(site.lake.root, site.ledger) is None
    assert not (site.lake.root / MARK).exists()
    assert list(site.root.scratch.iterdir()) == []


def test_event_files__of_a_bucket__are_read_by_duckdb(site: Site) -> None:
    site.land(f"{hour()}/a.jsonl", [record(event_id=str(n)) for n in range(100)])
    site.ingest()
    found = site.lake.event_files(PROD, WINDOW, 1)
    assert all(file.startswith("s3://") for file in found.events)
    with site.lake.connect() as connection:
        query = "select count(*), min(batch) from read_parquet($files, hive_partitioning = false)"
        assert connection.execute(query, {"files": found.events}).fetchall() == [(100, 1)]


def test_lost_file__of_a_bucket__is_named_and_read_by_nobody(site: Site) -> None:
    site.land(f"{hour()}/a.jsonl", [record()])
    site.ingest()
    (file,) = (each.path for each in (site.root / "lake" / "events").below() if each.path.name.endswith(".parquet"))
    file.unlink()
    flaw = find_flaw(site.lake.root, site.ledger)
    assert flaw is not None
    assert flaw.flaw is Flaw.FILES_MISSING
    with pytest.raises(UnsoundLake, match="1 files of the lake are missing"):
        site.lake.event_files(PROD, WINDOW, 1)


def test_compact__in_a_bucket__keeps_every_row(site: Site) -> None:
    for number in range(4):
        site.land(f"{hour()}/{number}.jsonl", [record(event_id=f"{number}-{n}") for n in range(10)])
        site.ingest()
    assert len(compact(site.lake, datetime.now(UTC), whole=True)) == 1
    assert len(stored(site.lake)) == 40
    assert len(site.lake.event_files(PROD, WINDOW, 4).events) == 1


def test_vacuum__in_a_bucket__refuses_a_retention_that_living_writers_need(site: Site) -> None:
    site.land(f"{hour()}/a.jsonl", [record()])
    site.ingest()
    with pytest.raises(ConfigurationError, match="2 hours at least"):
        site.lake.vacuum(timedelta(hours=1))
    assert site.lake.vacuum(timedelta(hours=2)) == []


def test_vacuum__by_a_clock_ahead_of_the_bucket__is_refused(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    site.land(f"{hour()}/a.jsonl", [record()])
    site.ingest()
    monkeypatch.setattr(retention, "MOST_AHEAD", timedelta(days=-1))
    with pytest.raises(ConfigurationError, match="ahead of the object storage"):
        site.lake.vacuum(timedelta(days=1))


def test_quick_listing__asks_for_late_hours_alone_and_a_whole_one_for_all(site: Site) -> None:
    site.land(f"{hour()}/a.jsonl", [record(event_id="1")])
    site.ingest()
    assert json.loads((site.landing / SETTLED).read_text())["up_to"] == {PROD: hour(timedelta(hours=1, minutes=15))}
    assert not site.waits()
    site.land(f"{hour()}/b.jsonl", [record(event_id="2")])
    assert site.waits()
    site.ingest(whole=False)
    site.land(f"{hour(timedelta(hours=5))}/late.jsonl", [record(event_id="3")])
    assert not site.waits()
    assert site.waits(whole=True)
    assert site.ingest().accepted == 1
    assert len(stored(site.lake)) == 3


def test_quick_listing__a_day_after_a_whole_one__is_one(site: Site) -> None:
    site.land(f"{hour()}/a.jsonl", [record(event_id="1")])
    site.ingest()
    note = json.loads((site.landing / SETTLED).read_text())
    note["whole_at"] = (datetime.now(UTC) - timedelta(days=1, minutes=1)).isoformat()
    (site.landing / SETTLED).write_text(json.dumps(note))
    site.land(f"{hour(timedelta(hours=5))}/late.jsonl", [record(event_id="2")])
    assert site.waits()


def test_quick_listing__by_another_ledger__is_a_whole_one(site: Site) -> None:
    site.land(f"{hour(timedelta(hours=5))}/a.jsonl", [record(event_id="1")])
    site.ingest()
    assert landing_state(MemoryLedger(), site.landing, whole=False).waits


def test_arrival__is_the_stamp_or_the_time_of_the_store(site: Site) -> None:
    site.land(f"{hour()}/20260228T101112.5Z-a.jsonl", [record(event_id="1")])
    written = site.land(f"{hour()}/b.jsonl", [record(event_id="2")]).stat().modified_at
    site.ingest()
    arrivals = {str(row["event_id"]): row["landed_at"] for row in stored(site.lake)}
    assert arrivals == {"1": datetime(2026, 2, 28, 10, 11, 12, 500_000, UTC), "2": written}


def test_ignored__objects_are_named_with_their_reason(site: Site) -> None:
    for name in ("events/env_key=prod/x.csv", "events/x.jsonl", "other/x.jsonl", "events/env_key=prod/_tmp/x.jsonl"):
        (site.landing / name).write_text("{}")
    (site.landing / "events/env_key=prod/.hidden.jsonl").write_text("{}")
    left = {each.name: each.reason.value for each in site.ingest().ignored.first}
    assert left == {
        "events/env_key=prod/_tmp/x.jsonl": "hidden",
        "events/env_key=prod/x.csv": "unknown_suffix",
        "events/x.jsonl": "wrong_place",
        "other/x.jsonl": "wrong_place",
    }


def test_changed_object__is_named_and_read_again_on_request(site: Site) -> None:
    path = site.land(f"{hour()}/a.jsonl", [record(event_id="1")])
    site.ingest()
    path.write_text(json.dumps(record(event_id="2", identifier="longer than before")) + "\n")
    assert [each.reason.value for each in site.ingest().changed.first] == ["changed"]
    again = read_again(site.lake, site.ledger, site.landing, str(path), datetime.now(UTC))
    assert again.summary.accepted == 1


def test_bucket_that_is_away__leaves_the_batch_open(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    site.land(f"{hour()}/a.jsonl", [record(event_id="1")])
    address = "http://127.0.0.1:9"
    with monkeypatch.context() as away:
        away.setenv("AWS_ENDPOINT_URL", address)
        store_of.cache_clear()
        away.setattr("experiment_pipeline.storage.object_path.RETRIES", 0)
        away.setattr("experiment_pipeline.storage.delta_tables.RETRIES", 0)
        with pytest.raises(StorageUnavailable, match="cannot be used"):
            site.ingest()
    store_of.cache_clear()
    assert site.ingest().accepted == 1
