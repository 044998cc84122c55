"""A data version of which rows were dropped is refused, and every other one is read (rule E6)."""

from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import pytest

from experiment_pipeline.domain.exposures import Window
from experiment_pipeline.errors import RowsDropped
from experiment_pipeline.lake.compaction import compact
from experiment_pipeline.lake.delta import EVENTS, Snapshot
from experiment_pipeline.lake.dropped import newest_dropped
from experiment_pipeline.lake.dropping import drop_removed
from tests.lake.ledger import NOW, PROD, LakeInOneFolder, land
from tests.lake.source_objects import land_range, order

JANUARY = 1_768_000_000_000  # 2026-01-09
OF_JANUARY = Window(datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 31, tzinfo=UTC))
OF_FEBRUARY = Window(datetime(2026, 2, 1, tzinfo=UTC), datetime(2026, 2, 28, tzinfo=UTC))
OF_BOTH = Window(OF_JANUARY.started_at, OF_FEBRUARY.as_of)
LINK = {"event": "$identity_link", "identifier": "one", "value": "known", "event_id": "", "timestamp": JANUARY}


@pytest.fixture
def here(tmp_path: Path) -> LakeInOneFolder:
    """The second batch removes of January, the third of February, the fourth nothing, and the fifth a link."""
    found = LakeInOneFolder(tmp_path)
    land_range(tmp_path, "v1-000001", [LINK], source="links")
    land_range(tmp_path, "v1-000001", [order("a", "1", 1, timestamp=JANUARY), order("b", "1", 1)])
    found.ingest()
    for number, changed in ((2, order("a", "2", 2, timestamp=JANUARY)), (3, order("b", "3", 3)), (4, order("c"))):
        land_range(tmp_path, f"v1-{number:06}", [changed])
        assert found.ingest().batch == number
    land_range(tmp_path, "again-v2-000002", [LINK | {"identifier": "two"}], source="links")
    assert found.ingest().removed == 1
    return found


def readable(here: LakeInOneFolder, window: Window) -> list[int]:
    """The data versions that a window can be read as of."""
    return [version for version in range(6) if is_readable(here, window, version)]


def is_readable(here: LakeInOneFolder, window: Window, version: int) -> bool:
    with suppress(RowsDropped):
        here.lake.event_files(PROD, window, version)
        return True
    return False


def test_data_versions__before_rows_of_their_months_were_removed__are_refused_once_these_are_dropped(
    here: LakeInOneFolder,
) -> None:
    assert readable(here, OF_BOTH) == [0, 1, 2, 3, 4, 5]
    drop_removed(here.lake, 4)
    assert readable(here, OF_JANUARY) == [0, 2, 3, 4, 5]
    assert readable(here, OF_FEBRUARY) == readable(here, OF_BOTH) == [0, 3, 4, 5]
    with pytest.raises(RowsDropped, match=r"Data version 2 cannot .* rows of prod 2026-02 that batch 3 or an earlier"):
        here.lake.event_files(PROD, OF_FEBRUARY, 2)
    assert here.lake.event_files("another", OF_BOTH, 1).events == []


def test_data_versions__before_a_link_was_removed__are_refused_for_every_month(here: LakeInOneFolder) -> None:
    drop_removed(here.lake, 5)
    assert readable(here, OF_JANUARY) == readable(here, OF_FEBRUARY) == [0, 5]


@pytest.mark.slow
def test_dropped__is_kept_by_compaction_and_by_checkpoints_of_the_log(here: LakeInOneFolder) -> None:
    drop_removed(here.lake, 4)
    for number in range(22):
        land(here.root, [order(f"{number}")], f"{number}.jsonl")
        here.ingest()
    compact(here.lake, NOW, whole=True)
    assert list((here.lake.root / "events" / "_delta_log").glob("*.checkpoint.parquet"))
    table = Snapshot.open(here.lake.root, EVENTS)
    assert [newest_dropped(table, PROD, month) for month in ("2026-01", "2026-02", "links")] == [2, 3, 0]
