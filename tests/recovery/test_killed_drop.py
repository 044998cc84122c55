"""Whatever is killed while removed rows are dropped: data versions from the limit on see what they saw (rule E6)."""

import shutil
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from experiment_pipeline.lake.dropping import drop_removed, rows_by_removing_batch
from experiment_pipeline.lake.lake import Lake
from tests.lake.ledger import LakeInOneFolder, stored, unnamed_files
from tests.lake.source_objects import land_range, order, visible_rows
from tests.recovery.killed_drop import POINTS

ROOT = Path(__file__).parents[2]
MONTHS = (1_768_000_000_000, 1_772_000_000_000)
LIMIT, NEWEST = 3, 4
# Of each month a file of events and one of removals are written, and synced with their folders and the log.
TIMES = {"write": 8, "commit_rewrite": 4, "sync": 20}


def seen(lake: Lake) -> list[list[dict[str, Any]]]:
    return [visible_rows(lake, version) for version in range(LIMIT, NEWEST + 1)]


@pytest.mark.slow
def test_drop__killed_at_every_point__changes_no_data_version_and_is_finished_by_the_next(tmp_path: Path) -> None:
    here = LakeInOneFolder(tmp_path)
    for number in range(1, NEWEST + 1):
        rows = [order(key, f"{number}", timestamp=at) for key in ("a", "b") for at in MONTHS]
        land_range(tmp_path, f"{'again-' if number > 1 else ''}v1-{number:06}", rows)
        assert here.ingest().batch == number
    before, begun = seen(here.lake), tmp_path / "begun"
    shutil.copytree(here.lake.folder, begun)
    remaining = set()
    for point, at in [(name, count) for name in POINTS for count in range(1, TIMES[name] + 1)]:
        shutil.rmtree(here.lake.folder)
        shutil.copytree(begun, here.lake.folder)
        command = [sys.executable, "-m", "tests.recovery.killed_drop", str(here.lake.root), f"{LIMIT}", point, f"{at}"]
        assert subprocess.run(command, cwd=ROOT, check=False).returncode == -9, f"{point} {at} was never reached"
        assert seen(here.lake) == before, (point, at)
        remaining.add(sum(rows_by_removing_batch(here.lake).values()))
        drop_removed(here.lake, LIMIT)
        assert seen(here.lake) == before, (point, at)
        assert rows_by_removing_batch(here.lake) == {NEWEST: 4}
        assert len(stored(here.lake)) == 4 + 4 + 4  # what batch 3 and 4 brought, and the removals of batch 4
        here.lake.vacuum(timedelta(0))
        assert unnamed_files(here.lake.folder) == []
        assert seen(here.lake) == before, (point, at)
    assert remaining == {12, 8, 4}  # nothing was dropped, one month, both
