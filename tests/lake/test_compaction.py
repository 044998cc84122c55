"""Compaction changes the files and nothing that can be read from them (rules E6, I3)."""

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from experiment_pipeline.domain.batches import PlannedBatch
from experiment_pipeline.errors import Conflict
from experiment_pipeline.lake.batch_commits import BatchSummary
from experiment_pipeline.lake.compaction import FAN_IN, FIRST_TIER_ROWS, compact, plan_merges, tier
from experiment_pipeline.lake.delta import EVENTS, DataFile, Snapshot
from experiment_pipeline.lake.ingestion import ingest, write_batch
from experiment_pipeline.lake.lake import Lake
from experiment_pipeline.landing.landing_zone import landed_objects
from tests.lake.ledger import NOW, PROD, MemoryLedger, exposure, land, record, stored


def file(rows: int, name: str, month: str = "2026-03", environment: str = "prod") -> DataFile:
    return DataFile(name, {"environment_key": environment, "month": month}, rows * 60, rows)


def lake_of_batches(root: Path, batches: int = 5) -> Lake:
    lake, ledger = Lake(root / "lake"), MemoryLedger()
    for number in range(batches):
        lines = [exposure(identifier=f"user-{n}", timestamp=1_772_000_000_000 + n) for n in range(number, 30)]
        lines += [record(identifier=f"user-{n}", timestamp=1_772_100_000_000 + number) for n in range(20)]
        land(root / "landing", lines, f"{number}.jsonl")
        ingest(lake, ledger, root / "landing", NOW)
    return lake


def test_tier__grows_with_the_rows() -> None:
    sizes = (1, FIRST_TIER_ROWS, FIRST_TIER_ROWS + 1, FIRST_TIER_ROWS * FAN_IN + 1)
    assert [tier(file(rows, "f")) for rows in sizes] == [0, 0, 1, 2]


def test_plan_merges__waits_until_a_tier_is_full() -> None:
    few = [file(10, f"f{n}") for n in range(FAN_IN - 1)]
    assert plan_merges(few, NOW) == []
    (merge,) = plan_merges([*few, file(10, "last")], NOW)
    assert len(merge.files) == FAN_IN


def test_plan_merges__smaller_tiers_ride_along_and_larger_ones_rest() -> None:
    middle = [file(FIRST_TIER_ROWS * 2, f"m{n}") for n in range(FAN_IN)]
    (merge,) = plan_merges([file(10**9, "large"), *middle, file(10, "small")], NOW)
    assert [member.path for member in merge.files] == ["m0", "m1", "m2", "m3", "small"]


def test_plan_merges__of_recent_batches__are_among_themselves_until_they_are_old__i3() -> None:
    files = [file(10, f"batch-{n}-f.parquet") for n in range(1, 9)]
    old, recent = plan_merges(files, NOW, recent_after=4)
    assert [[each.newest_batch for each in merge.files] for merge in (old, recent)] == [[1, 2, 3, 4], [5, 6, 7, 8]]
    merged = [file(40, "merged-to-4-f.parquet"), *files[4:7]]
    assert plan_merges(merged, NOW, recent_after=4) == []
    assert plan_merges(merged, datetime(2026, 4, 9, tzinfo=UTC), recent_after=4)[0].files == tuple(files[4:7])
    assert len(plan_merges(merged, NOW, recent_after=7)[0].files) == FAN_IN
    assert len(plan_merges(files, NOW, whole=True, recent_after=4)[0].files) == len(files)


def test_plan_merges__a_month_that_is_over_becomes_one_file() -> None:
    files = [file(10**9, "large", "2026-02"), file(10, "late", "2026-02"), file(10, "alone", "2026-01")]
    assert plan_merges(files, datetime(2026, 3, 2, tzinfo=UTC)) == []
    (merge,) = plan_merges(files, datetime(2026, 3, 3, tzinfo=UTC))
    assert [member.path for member in merge.files] == ["large", "late"]


def test_plan_merges__that_does_not_settle__leaves_a_month_that_is_over_until_a_tier_is_full() -> None:
    files = [file(10**9, "large", "2026-02"), file(10, "late", "2026-02")]
    later = datetime(2026, 3, 3, tzinfo=UTC)
    assert plan_merges(files, later, settle=False) == []
    (merge,) = plan_merges([*files, *(file(10, f"later{n}", "2026-02") for n in range(3))], later, settle=False)
    assert [member.path for member in merge.files] == ["late", "later0", "later1", "later2"]


def test_plan_merges__never_across_environments_or_months() -> None:
    files = [file(10, f"{m}{e}", m, e) for m in ("2026-03", "2026-04") for e in ("a", "b")]
    assert plan_merges(files, NOW, whole=True) == []


def test_compact__keeps_every_row_and_sorts_them(tmp_path: Path) -> None:
    lake = lake_of_batches(tmp_path)
    before = stored(lake)
    (merge,) = compact(lake, NOW, whole=True)
    assert stored(lake) == before
    (merged,) = Snapshot.open(lake.root, EVENTS).data_files()
    assert (merged.rows, merge.rows) == (len(before), len(before))
    with lake.connect() as connection:
        rows = connection.execute(
            "select event, feature_name, identity_hash, timestamp from read_parquet($file)",
            {"file": str(lake.root / "events" / merged.path)},
        ).fetchall()
    assert rows == sorted(rows, key=lambda row: (row[0], row[1] or "~", row[2], row[3]))
    assert compact(lake, NOW, whole=True) == []


def test_compact__beside_an_ingestion__both_succeed(tmp_path: Path) -> None:
    lake = lake_of_batches(tmp_path)
    before = stored(lake)
    ingesting = Snapshot.open(lake.root, EVENTS)
    compact(lake, NOW, whole=True)
    ingesting.commit_batch(PlannedBatch(6, NOW, ()), "memory", [], BatchSummary(0, 0, {}, {}))
    assert Snapshot.open(lake.root, EVENTS).batch == 6
    assert stored(lake) == before


def test_commit_rewrite__after_another_rewrite__is_refused(tmp_path: Path) -> None:
    lake = lake_of_batches(tmp_path)
    slow = Snapshot.open(lake.root, EVENTS)
    replaced = slow.data_files()
    before = stored(lake)
    compact(lake, NOW, whole=True)
    with lake.connect() as connection:
        again = slow.write(connection.sql("select 1 as x"), 1, replaced[0].partition, name="merged")
    with pytest.raises(Conflict):
        slow.commit_rewrite(replaced, [again])
    assert stored(lake) == before
    assert not (lake.root / "events" / again.path).exists()


def test_ingest__after_compaction__still_knows_every_event(tmp_path: Path) -> None:
    lake, ledger = Lake(tmp_path / "lake"), MemoryLedger()
    for name in ("a.jsonl", "b.jsonl", "c.jsonl"):
        land(tmp_path, [record(), record(event_id=name)], name)
        ingest(lake, ledger, tmp_path, NOW)
        compact(lake, NOW, whole=True)
    assert [row["event_id"] for row in stored(lake)] == ["a.jsonl", "b.jsonl", "c.jsonl", None]


def test_vacuum__removes_replaced_files_and_leftovers_after_the_retention(tmp_path: Path) -> None:
    lake = lake_of_batches(tmp_path)
    before = stored(lake)
    pinned = Snapshot.open(lake.root, EVENTS).all_files()
    compact(lake, NOW, whole=True)
    table = Snapshot.open(lake.root, EVENTS)
    assert table.vacuum(timedelta(days=1), dry_run=False) == []
    assert all(Path(path).exists() for path in pinned)
    assert len(table.vacuum(timedelta(0), dry_run=True)) == len(pinned)
    assert all(Path(path).exists() for path in pinned)
    table.vacuum(timedelta(0), dry_run=False)
    assert not any(Path(path).exists() for path in pinned)
    assert stored(lake) == before


@pytest.mark.parametrize("commit", ["commit_batch", "commit_rewrite"])
def test_vacuum__while_a_file_waits_for_its_commit__waits_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, commit: str
) -> None:
    """A clock that is set ahead makes a file old at once."""
    lake, begun = lake_of_batches(tmp_path), getattr(Snapshot, commit)
    before = stored(lake)
    vacuums: list[Thread] = []

    def interrupted(*arguments: Any) -> None:
        for path in lake.folder.rglob("*.parquet"):
            os.utime(path, (0, 0))
        vacuums.append(Thread(target=lake.vacuum, args=(timedelta(days=1),)))
        vacuums[-1].start()
        vacuums[-1].join(timeout=0.5)
        begun(*arguments)

    monkeypatch.setattr(Snapshot, commit, interrupted)
    land(tmp_path / "later", [record(event_id="late")])
    batch = PlannedBatch(6, NOW, tuple(landed_objects(tmp_path / "later")))
    write_batch(lake, batch, tmp_path / "later", {PROD}, installation="memory")
    compact(lake, NOW, whole=True)
    for vacuum in vacuums:
        vacuum.join()
    assert vacuums != []
    assert len(stored(lake)) == len(before) + 1
