"""Removed rows leave the lake once they are over, and every data version from then on sees what it saw (rule E6)."""

import copy
import shutil
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from experiment_pipeline.domain.exposures import Window
from experiment_pipeline.errors import Conflict
from experiment_pipeline.lake.compaction import compact
from experiment_pipeline.lake.delta import EVENTS, Snapshot
from experiment_pipeline.lake.dropping import drop_removed, planned_drops, rows_by_removing_batch
from experiment_pipeline.lake.lake import Lake
from tests.lake.ledger import NOW, PROD, LakeInOneFolder, land, record, stored
from tests.lake.source_objects import land_range, order, visible_rows
from tests.slow_cases import slow_after

JANUARY = 1_768_000_000_000  # 2026-01-09
WINDOW = Window(NOW.replace(year=2025), NOW)
BATCHES = 5


@pytest.fixture(scope="module")
def five_batches(tmp_path_factory: pytest.TempPathFactory) -> LakeInOneFolder:
    """The folder and the ledger that every test's are copied from."""
    root = tmp_path_factory.mktemp("five-batches")
    found = LakeInOneFolder(root)
    link = {"event": "$identity_link", "value": "known", "event_id": "", "timestamp": JANUARY}
    land(root, [order("of a sender"), order("0")])
    land_range(root, "v1-000001", [order("a", "1"), order("b", "1", timestamp=JANUARY)])
    land_range(root, "v1-000001", [order("x", "1", 1), order("y", "1", 1, timestamp=JANUARY)], source="latest")
    land_range(root, "v1-000001", [{**link, "identifier": "one"}, {**link, "identifier": "two"}], source="links")
    found.ingest()
    land_range(root, "again-v2-000002", [order("a", "2")])
    found.ingest()
    land_range(root, "v1-000002", [order("x", "2", 2), order("y", "2", 2, timestamp=JANUARY)], source="latest")
    found.ingest()
    land_range(root, "again-v2-000002", [{**link, "identifier": "one"}], source="links")
    found.ingest()
    land(root, [order("b", "1", timestamp=JANUARY), order("0")], "redelivered.jsonl")
    assert found.ingest().batch == BATCHES
    return found


@pytest.fixture
def here(tmp_path: Path, five_batches: LakeInOneFolder) -> LakeInOneFolder:
    """Five batches: the second to the fourth remove rows, and the last brings one of them again.

    The second and the third remove of two months, the fourth of links, too.
    """
    shutil.copytree(five_batches.root, tmp_path, dirs_exist_ok=True)
    return LakeInOneFolder(tmp_path, copy.deepcopy(five_batches.ledger))


def seen(lake: Lake) -> list[list[dict[str, Any]]]:
    """The rows that each data version sees."""
    return [visible_rows(lake, version) for version in range(BATCHES + 1)]


def files(lake: Lake) -> list[str]:
    return [file.path for file in Snapshot.open(lake.root, EVENTS).data_files()]


def hidden(lake: Lake, limit: int) -> list[dict[str, Any]]:
    """The rows that no data version from a limit on sees, and the removals of batches up to it."""
    known = [row for version in range(limit, BATCHES + 1) for row in visible_rows(lake, version)]
    is_over = [row for row in stored(lake) if row["event"] == "$removal" and row["batch"] <= limit]
    return is_over + [
        row for row in stored(lake) if row["event"] != "$removal" and row["batch"] <= limit and row not in known
    ]


def by_hash(row: dict[str, Any]) -> tuple[int, int]:
    return row["event_hash_high"], row["event_hash_low"]


@pytest.mark.parametrize(
    ("limit", "is_compacted"), slow_after(2, [(3, True), (4, False), (0, False), (2, False), (3, False), (5, True)])
)
def test_drop__of_every_limit__leaves_what_data_versions_from_it_on_see__and_nothing_that_none_sees(
    here: LakeInOneFolder, limit: int, is_compacted: bool
) -> None:
    if is_compacted:
        compact(here.lake, NOW, whole=True)
    before, rows, going = seen(here.lake), stored(here.lake), hidden(here.lake, limit)
    planned = planned_drops(here.lake, limit)
    assert drop_removed(here.lake, limit) == planned
    assert seen(here.lake)[limit:] == before[limit:]
    assert stored(here.lake) == [row for row in rows if row not in going]
    assert 2 * sum(drop.rows for drop in planned) == len(going)
    assert rows_by_removing_batch(here.lake) == {batch: 2 for batch in (2, 3, 4) if batch > limit}
    assert drop_removed(here.lake, limit) == []


def test_drop__before_the_first_removal_is_over__touches_no_file(here: LakeInOneFolder) -> None:
    before = files(here.lake)
    assert drop_removed(here.lake, 1) == []
    assert files(here.lake) == before


def test_drop__of_a_partition_of_which_everything_was_removed__leaves_no_file_of_it(here: LakeInOneFolder) -> None:
    land_range(here.root, "again-v3-000003", [order("z", "3", 9)], source="latest")
    land_range(here.root, "again-v3-000003", [{"event": "a", "identifier": "b", "timestamp": JANUARY}], source="links")
    here.ingest()
    before = visible_rows(here.lake, 7)
    drop_removed(here.lake, 7)
    assert visible_rows(here.lake, 7) == stored(here.lake) == before
    assert not [path for path in files(here.lake) if "month=links" in path or "-removals" in path]


def test_rows_by_removing_batch__where_files_are_missing__are_those_of_the_others(here: LakeInOneFolder) -> None:
    (here.lake.root / "events" / next(path for path in files(here.lake) if "removals/batch-00000003" in path)).unlink()
    assert rows_by_removing_batch(here.lake) == {2: 2, 3: 1, 4: 2}


def test_drop__of_an_empty_lake__is_nothing(tmp_path: Path) -> None:
    lake = Lake(tmp_path / "lake")
    assert (planned_drops(lake, 9), drop_removed(lake, 9), rows_by_removing_batch(lake)) == ([], [], {})


def test_reader__that_began_before__keeps_its_files_until_a_vacuum(here: LakeInOneFolder) -> None:
    begun = here.lake.event_files(PROD, WINDOW, 2)
    drop_removed(here.lake, 4)
    here.lake.vacuum(timedelta(days=1))
    assert all(Path(path).exists() for path in (*begun.events, *begun.removals))
    here.lake.vacuum(timedelta(0))
    assert not any(Path(path).exists() for path in (*begun.events, *begun.removals))


def test_what_was_dropped__and_is_delivered_again__counts_again(here: LakeInOneFolder) -> None:
    untouched = here.root / "untouched"
    shutil.copytree(here.lake.folder, untouched)
    drop_removed(here.lake, 4)
    land(here.root, [order("a", "1"), order("a", "2"), order("x", "1")], "redelivered again.jsonl")
    land_range(here.root, "v1-000003", [order("x", "1", 1), order("y", "3", 3, timestamp=JANUARY)], source="latest")
    report = here.ingest()
    assert (report.accepted, report.duplicates, report.removed) == (3, 2, 1)
    whole = LakeInOneFolder(here.root, here.ledger)
    after = visible_rows(here.lake, 6)
    shutil.rmtree(here.lake.folder)
    shutil.copytree(untouched, here.lake.folder)
    here.ledger.committed.pop(6)
    assert whole.ingest().accepted == 3
    assert visible_rows(whole.lake, 6) == after


def test_drop__beside_an_ingestion__both_succeed(here: LakeInOneFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    begun = Snapshot.commit_batch

    def drops_first(snapshot: Snapshot, *arguments: Any) -> None:
        drop_removed(here.lake, 4)
        begun(snapshot, *arguments)

    before = visible_rows(here.lake, 5)
    monkeypatch.setattr(Snapshot, "commit_batch", drops_first)
    land_range(here.root, "v1-000003", [order("x", "3", 3), order("a", "1", 1)], source="latest")
    assert here.ingest().accepted == 2
    assert visible_rows(here.lake, 5) == before
    assert [row["value"] for row in visible_rows(here.lake, 6) if row["event_id"] == "x"] == ["3"]
    assert rows_by_removing_batch(here.lake) == {6: 1}


def test_drop__while_another_process_compacts__is_planned_anew(
    here: LakeInOneFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = Snapshot.commit_rewrite
    met: list[int] = []

    def compacts_first(snapshot: Snapshot, *arguments: Any, **options: Any) -> None:
        if not met:
            met.append(1)
            compact(here.lake, NOW, whole=True)
        try:
            begun(snapshot, *arguments, **options)
        except Conflict:
            met.append(2)
            raise

    before = seen(here.lake)
    monkeypatch.setattr(Snapshot, "commit_rewrite", compacts_first)
    drop_removed(here.lake, 4)
    assert met == [1, 2]
    assert seen(here.lake)[4:] == before[4:]
    assert rows_by_removing_batch(here.lake) == {}


def test_drop__of_files_from_before_there_were_sources__keeps_their_rows(here: LakeInOneFolder) -> None:
    land(here.root, [record(event_id="new")], "late.jsonl")
    here.ingest()
    table = Snapshot.open(here.lake.root, EVENTS)
    old = next(file for file in table.data_files() if "month=2026-02/batch-00000006" in file.path)
    with here.lake.connect() as connection:
        rows = connection.sql(
            "select * exclude (source, source_version, source_cursor) from read_parquet($file)",
            params={"file": table.readable(old)},
        )
        table.commit_rewrite([old], [table.write(rows, old.rows, old.partition, name="merged-to-6")])
    before = visible_rows(here.lake, 6)
    drop_removed(here.lake, 6)
    assert sorted(map(by_hash, visible_rows(here.lake, 6))) == sorted(map(by_hash, before))
