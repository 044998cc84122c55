"""Whatever is killed while a source is read again: its old rows are there or its new ones, never both (D5, E6)."""

from pathlib import Path

import pytest

from experiment_pipeline.lake.ingestion import ingest
from experiment_pipeline.lake.lake import Lake
from tests.lake.ledger import NOW
from tests.lake.source_objects import land_range, order, visible_rows
from tests.recovery.test_killed_ingestion import Installation

# Two files of removals and two of events are written; each point is passed before and after.
POINTS = (
    *[("plan_batch", at) for at in (1, 2)],
    *[("write events", at) for at in range(1, 9)],
    *[("commit events", at) for at in (1, 2)],
    *[("commit_batch", at) for at in (1, 2)],
)
JANUARY = 1_768_000_000_000


@pytest.mark.slow
def test_source_that_is_read_again__killed_at_every_point__has_the_old_rows_or_the_new(tmp_path: Path) -> None:
    here, lake = Installation(tmp_path), Lake(tmp_path / "lake")
    land_range(tmp_path / "landing", "v1-000000", rows(0))
    ingest(lake, here.registry.batches, tmp_path / "landing", NOW)
    for number, (point, at) in enumerate(POINTS, start=1):
        land_range(tmp_path / "landing", f"again-v1-{number:06}", rows(number))
        assert here.start(point, str(at)).wait() == -9, f"{point} was never reached"
        version = here.registry.batches.lake_version().data_version
        assert values(lake, version) in ([f"{number - 1}"] * 4, [f"{number}"] * 4)
        ingest(lake, here.registry.batches, tmp_path / "landing", NOW)
        version = here.registry.batches.lake_version().data_version
        assert version == number + 1
        assert [values(lake, known) for known in (version - 1, version)] == [[f"{number - 1}"] * 4, [f"{number}"] * 4]


def rows(number: int) -> list[dict[str, object]]:
    return [order(key, f"{number}", timestamp=at) for key in ("a", "b") for at in (JANUARY, 1_772_000_000_000)]


def values(lake: Lake, data_version: int) -> list[str]:
    return [row["value"] for row in visible_rows(lake, data_version)]
