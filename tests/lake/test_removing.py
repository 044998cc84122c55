"""Rows leave by a batch that hides them: of a source that is read again, and of rows that newer ones supersede."""

import os
from pathlib import Path
from typing import Any

import pytest

from experiment_pipeline.domain.exposures import Window
from experiment_pipeline.lake.compaction import compact
from tests.lake.ledger import NOW, PROD, LakeInOneFolder, land, record, stored
from tests.lake.source_objects import land_range, order, visible_rows

JANUARY = 1_768_000_000_000  # 2026-01-09
FEBRUARY = 1_772_000_000_000
WINDOW = Window(NOW.replace(year=2025), NOW)


@pytest.fixture
def here(tmp_path: Path) -> LakeInOneFolder:
    return LakeInOneFolder(tmp_path)


def visible(here: LakeInOneFolder, data_version: int) -> list[tuple[str, str]]:
    """The event ids and values that a data version sees, by way of what an engine is given."""
    return sorted((row["event_id"], row["value"]) for row in visible_rows(here.lake, data_version))


def test_rows__of_a_source__say_which_and_of_which_version(here: LakeInOneFolder) -> None:
    land_range(here.root, "v3-000001", [order("a")])
    land(here.root, [record(event_id="b")])
    here.ingest()
    known = {row["event_id"]: (row["source"], row["source_version"], row["source_cursor"]) for row in stored(here.lake)}
    assert known == {"a": ("orders", 3, None), "b": (None, None, None)}


def test_source_that_is_read_again__has_its_new_rows_alone__and_older_versions_the_old__e6_d5(
    here: LakeInOneFolder,
) -> None:
    land(here.root, [record(event_id="of nobody", value="1")])
    land_range(here.root, "v1-000001", [order("a", "1"), order("b", "1", timestamp=JANUARY)])
    land_range(here.root, "v1-000001", [order("c", "1")], source="refunds")
    here.ingest()
    land_range(here.root, "again-v2-000002", [order("a", "2")], [order("d", "2")])
    report = here.ingest()
    assert (report.batch, report.accepted, report.removed) == (2, 2, 2)
    assert visible(here, 1) == [("a", "1"), ("b", "1"), ("c", "1"), ("of nobody", "1")]
    assert visible(here, 2) == [("a", "2"), ("c", "1"), ("d", "2"), ("of nobody", "1")]


def test_source_that_is_read_again__with_equal_rows__brings_them_with_what_their_hash_leaves_out(
    here: LakeInOneFolder,
) -> None:
    land_range(here.root, "v1-000001", [order("a")])
    here.ingest()
    land_range(here.root, "again-v2-000002", [order("a", metadata='{"currency": "EUR"}')])
    assert here.ingest().accepted == 1
    (old,), (new,) = visible_rows(here.lake, 1), visible_rows(here.lake, 2)
    assert (old["metadata"], new["metadata"]) == (None, '{"currency":"EUR"}')


def test_range_that_replaces__is_a_batch_of_its_own__after_what_landed_before(here: LakeInOneFolder) -> None:
    before = land_range(here.root, "v1-000001", [order("a", "1")])
    again = land_range(here.root, "again-v2-000002", [order("a", "2")], [order("b", "2")])
    after = land_range(here.root, "v2-000003", [order("c", "3")])
    for seconds, folder in enumerate((before, again, after)):
        for file in folder.iterdir():
            os.utime(file, (NOW.timestamp() - 100 + seconds,) * 2)
    assert here.ingest().batch == 3
    assert [len(batch.objects) for batch in here.ledger.batches] == [1, 2, 1]
    assert visible(here, 3) == [("a", "2"), ("b", "2"), ("c", "3")]


def test_event__that_was_removed_and_is_delivered_again__counts_again(here: LakeInOneFolder) -> None:
    land_range(here.root, "v1-000001", [order("a")])
    here.ingest()
    land_range(here.root, "again-v2-000002", [order("b")])
    here.ingest()
    assert visible(here, 2) == [("b", "10")]
    land(here.root, [order("a"), order("b")])
    report = here.ingest()
    assert (report.accepted, report.duplicates) == (1, 1)
    assert visible(here, 3) == [("a", "10"), ("b", "10")]


def test_source_that_is_read_again_twice__has_the_rows_of_the_last_time(here: LakeInOneFolder) -> None:
    for number, value in enumerate(("1", "2", "1"), start=1):
        land_range(here.root, f"{'again-' if number > 1 else ''}v{number}-{number:06}", [order("a", value)])
        here.ingest()
    assert [visible(here, version) for version in (1, 2, 3)] == [[("a", "1")], [("a", "2")], [("a", "1")]]


def test_row_with_a_larger_cursor__supersedes_the_one_with_its_event_id__from_its_batch_on__d7(
    here: LakeInOneFolder,
) -> None:
    land_range(here.root, "v1-000001", [order("a", "1", 1), order("b", "1", 1, timestamp=JANUARY)])
    here.ingest()
    land_range(here.root, "v1-000002", [order("a", "2", 2), order("b", "2", 2, timestamp=FEBRUARY)])
    report = here.ingest()
    assert (report.accepted, report.removed) == (2, 2)
    assert [visible(here, version) for version in (1, 2)] == [[("a", "1"), ("b", "1")], [("a", "2"), ("b", "2")]]


def test_rows_of_one_batch__with_one_event_id__are_the_one_with_the_largest_cursor__d7(here: LakeInOneFolder) -> None:
    land_range(
        here.root, "v1-000001", [order("a", "2", 2), order("a", "3", 3)], [order("a", "1", 1), order("b", "4", 3)]
    )
    report = here.ingest()
    assert (report.accepted, report.duplicates) == (2, 2)
    assert visible(here, 1) == [("a", "3"), ("b", "4")]


def test_row_with_a_smaller_cursor__or_unchanged__is_no_event__d7(here: LakeInOneFolder) -> None:
    land_range(here.root, "v1-000001", [order("a", "2", 2), order("b", "2", 2)])
    here.ingest()
    land_range(here.root, "v1-000002", [order("a", "1", 1), order("b", "2", 2), order("c", "3", 3)])
    report = here.ingest()
    assert (report.accepted, report.duplicates, report.removed) == (1, 2, 0)
    assert visible(here, 2) == [("a", "2"), ("b", "2"), ("c", "3")]


NO_EVENT: list[dict[str, Any]] = [
    {"identifier": ""},
    {"timestamp": 0},
    {"timestamp": 4_000_000_000_000},
    {"identifier": None},
]


@pytest.mark.parametrize("broken", NO_EVENT)
def test_correction_that_is_rejected__supersedes_the_row_that_it_was__until_it_is_one_again__d7(
    here: LakeInOneFolder, broken: dict[str, Any]
) -> None:
    land_range(here.root, "v1-000001", [order("a", "1", 1), order("b", "1", 1), order("c", "1", 5)])
    here.ingest()
    corrections = [order("a", "2", 2, **broken), order("b", "2", 2), order("c", "2", 2, **broken), order("b", "3", 1)]
    land_range(here.root, "v1-000002", corrections, [order("d", "2", 2), order("d", "3", 3, **broken)])
    report = here.ingest()
    assert (report.removed, sum(report.rejected.values())) == (2, 3)
    land_range(here.root, "v1-000003", [order("a", "2", 2, **broken), order("a", "3", 3)])
    assert here.ingest().removed == 0
    assert [visible(here, version) for version in (1, 2, 3)] == [
        [("a", "1"), ("b", "1"), ("c", "1")],
        [("b", "2"), ("c", "1")],
        [("a", "3"), ("b", "2"), ("c", "1")],
    ]


def test_row_that_is_read_later__with_an_equal_cursor__counts__d7(here: LakeInOneFolder) -> None:
    land_range(here.root, "v1-000001", [order("a", "1", 2)])
    here.ingest()
    land_range(here.root, "v1-000002", [order("a", "2", 2)])
    here.ingest()
    assert visible(here, 2) == [("a", "2")]


def test_row_that_comes_back_to_what_it_was__is_an_event_again__d7(here: LakeInOneFolder) -> None:
    for number, value in enumerate(("1", "2", "1"), start=1):
        land_range(here.root, f"v1-{number:06}", [order("a", value, number)])
        here.ingest()
    assert [visible(here, version) for version in (1, 2, 3)] == [[("a", "1")], [("a", "2")], [("a", "1")]]


def test_rows_without_an_event_id__or_of_other_sources_and_senders__supersede_nothing__d7(
    here: LakeInOneFolder,
) -> None:
    land(here.root, [order("a", "0")])
    land_range(here.root, "v1-000001", [order("a", "1", 1), order("", "1", 1)])
    land_range(here.root, "v1-000001", [order("a", "2", 1)], source="refunds")
    here.ingest()
    land_range(here.root, "v1-000002", [order("a", "3", 2), order("", "3", 2)])
    here.ingest()
    values = sorted(row["value"] for row in visible_rows(here.lake, 2))
    assert values == ["0", "1", "2", "3", "3"]


def test_batches_that_remove_nothing__leave_no_file_and_no_question(here: LakeInOneFolder) -> None:
    land(here.root, [record()])
    land_range(here.root, "v1-000001", [order("a")])
    here.ingest()
    assert here.lake.event_files(PROD, WINDOW).removals == []


def test_event_files__of_months_with_removals__have_those_of_their_months(here: LakeInOneFolder) -> None:
    land_range(here.root, "v1-000001", [order("a", "1", timestamp=JANUARY), order("b")])
    here.ingest()
    land_range(here.root, "again-v2-000002", [order("b", "2")])
    here.ingest()
    assert len(here.lake.event_files(PROD, WINDOW).removals) == 2
    january = Window(NOW.replace(month=1, day=1), NOW.replace(month=1, day=20))
    assert len(here.lake.event_files(PROD, january).removals) == 1


def test_compaction__of_events_and_removals__changes_no_data_version__e6(here: LakeInOneFolder) -> None:
    for number, value in enumerate("12345", start=1):
        land_range(here.root, f"v1-{number:06}", [order("a", value, number), order(f"{number}", value, number)])
        here.ingest()
    seen = [visible(here, version) for version in range(6)]
    merged = compact(here.lake, NOW, whole=True)
    assert sorted(merge.month for merge in merged) == ["2026-02", "2026-02-removals"]
    assert [visible(here, version) for version in range(6)] == seen
