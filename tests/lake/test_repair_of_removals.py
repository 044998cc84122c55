"""Repair knows removal batches: whatever the lake has lost, each data version sees again what it saw (rules E6, E7)."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from experiment_pipeline.lake.compaction import compact
from experiment_pipeline.lake.delta import EVENTS, Snapshot
from experiment_pipeline.lake.dropping import drop_removed
from experiment_pipeline.lake.soundness import Flaw, find_flaw
from tests.conftest import make_registry
from tests.lake.installations import Installation
from tests.lake.ledger import NOW, land
from tests.lake.source_objects import land_range, order, visible_rows
from tests.slow_cases import slow_after

BATCHES = 6


@pytest.fixture(scope="module")
def six_batches(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that every test's installation is copied from."""
    root = tmp_path_factory.mktemp("six-batches")
    installed = Installation(root, make_registry(root / "registry.sqlite"))
    land(installed.landing, [order("of a sender"), order("a", "1")])
    land_range(installed.landing, "v1-000001", [order("a", "1"), order("b", "1")])
    land_range(installed.landing, "v1-000001", [order("x", "1", 1), order("y", "1", 1)], source="latest")
    assert installed.ingest().batch == 1
    land_range(installed.landing, "v1-000002", [order("x", "2", 2)], source="latest")
    assert installed.ingest().removed == 1
    land_range(installed.landing, "again-v2-000002", [order("b", "1"), order("c", "2")])
    assert installed.ingest().removed == 1  # `a` is the sender's
    land_range(installed.landing, "v1-000003", [order("x", "1", 3), order("y", "3", 3)], source="latest")
    assert installed.ingest().removed == 2
    land_range(installed.landing, "again-v3-000003", [order("d", "3")])
    assert installed.ingest().removed == 2
    land(installed.landing, [order("b", "1"), order("of a sender")], "redelivered.jsonl")
    assert installed.ingest().accepted == 1
    installed.registry.close()
    return root


@pytest.fixture
def here(tmp_path: Path, six_batches: Path) -> Iterator[Installation]:
    """A sender's events, and two sources: one is read again, the other's rows supersede each other."""
    shutil.copytree(six_batches, tmp_path, dirs_exist_ok=True)
    copied = Installation(tmp_path, f"sqlite:///{tmp_path / 'registry.sqlite'}")
    yield copied
    copied.registry.close()


def seen(here: Installation) -> list[list[dict[str, Any]]]:
    """The rows that each data version sees."""
    return [visible_rows(here.lake, version) for version in range(BATCHES + 1)]


def lose(here: Installation, part: str) -> int:
    """Remove every file of the table of events that has this in its path."""
    lost = [file for file in Snapshot.open(here.lake.root, EVENTS).data_files() if part in file.path]
    for file in lost:
        (here.lake.root / "events" / file.path).unlink()
    return len(lost)


@pytest.mark.parametrize(
    "part", slow_after(2, ["-removals/", "batch-00000003", "batch-00000001", "batch-00000005", "month="])
)
def test_repair__files_missing__brings_back_what_each_data_version_saw(here: Installation, part: str) -> None:
    whole = seen(here)
    assert lose(here, part)
    finding = find_flaw(here.lake.root, here.registry.batches)
    assert finding is not None
    assert finding.flaw is Flaw.FILES_MISSING
    assert here.repair().stopped is None
    assert find_flaw(here.lake.root, here.registry.batches) is None
    assert seen(here) == whole


@pytest.mark.parametrize("part", slow_after(1, ["merged-to", "-removals/", "/month=2026-02/"]))
def test_repair__merged_files_missing__brings_back_what_each_data_version_saw(here: Installation, part: str) -> None:
    compact(here.lake, NOW, whole=True)
    whole = seen(here)
    assert lose(here, part)
    assert here.repair().stopped is None
    assert seen(here) == whole


def test_repair__lake_missing__brings_back_what_each_data_version_saw(here: Installation) -> None:
    whole = seen(here)
    here.lose_lake()
    assert here.repair().restored == [1, 2, 3, 4, 5, 6]
    assert seen(here) == whole


def test_repair__of_an_older_lake__brings_back_the_removals_of_the_batches_that_it_lacks(here: Installation) -> None:
    here.save_lake()
    land_range(here.landing, "again-v4-000004", [order("e", "4")])
    assert here.ingest().removed == 1  # what its source has: `d`
    whole = visible_rows(here.lake, 7)
    here.restore_lake()
    assert here.repair().restored == [7]
    assert visible_rows(here.lake, 7) == whole


@pytest.mark.parametrize(
    ("part", "limit"), slow_after(1, [("month=", 5), ("-removals/", 3), ("merged-to", 5), ("batch-0000000", 3)])
)
def test_repair__after_removed_rows_were_dropped__brings_back_what_data_versions_since_saw(
    here: Installation, part: str, limit: int
) -> None:
    land(here.landing, [order("of January", timestamp=1_768_000_000_000)], "january.jsonl")
    land_range(here.landing, "v1-000004", [order("y", "4", 4, timestamp=1_768_000_000_000)], source="latest")
    assert here.ingest().removed == 1
    drop_removed(here.lake, limit)
    whole = [visible_rows(here.lake, version) for version in range(limit, BATCHES + 2)]
    if lose(here, part):
        assert here.repair().stopped is None
    assert find_flaw(here.lake.root, here.registry.batches) is None
    assert [visible_rows(here.lake, version) for version in range(limit, BATCHES + 2)] == whole
    drop_removed(here.lake, limit)
    assert [visible_rows(here.lake, version) for version in range(limit, BATCHES + 2)] == whole


def test_repair__of_a_month_whose_batch_had_rows_dropped_elsewhere__does_not_bring_these_back(
    here: Installation,
) -> None:
    land(here.landing, [order("of January", timestamp=1_768_000_000_000)], "january.jsonl")
    land_range(here.landing, "v1-000005", [order("e", "5")])
    assert here.ingest().batch == 7
    land_range(here.landing, "again-v6-000006", [order("f", "6")])
    assert here.ingest().removed == 2  # `d` and `e`
    drop_removed(here.lake, 8)
    whole = visible_rows(here.lake, 8)
    assert lose(here, "/month=2026-01/batch-00000007") == 1
    assert here.repair().restored == [7]
    assert visible_rows(here.lake, 8) == whole
