"""Maintenance of the lake, run as its schedules request it."""

from datetime import UTC, datetime, timedelta

import dagster as dg
import pytest
from sqlalchemy import update

from experiment_pipeline.automation import schedules
from experiment_pipeline.lake.compaction import FAN_IN
from experiment_pipeline.lake.dropping import rows_by_removing_batch
from experiment_pipeline.lake.inspection import partitions
from experiment_pipeline.lake.lake import Lake
from experiment_pipeline.registry import tables
from experiment_pipeline.resources.dagster_instance import run_here
from tests.assets.conftest import Installation, crowd, purchase
from tests.lake.source_objects import land_range


def test_hourly_compaction__merges_the_small_files_and_changes_no_result(installation: Installation) -> None:
    assert schedules.hourly_compaction.default_status is dg.DefaultScheduleStatus.RUNNING
    for number in range(FAN_IN):
        installation.land(f"object-{number}", crowd(10 + number, 10))
        installation.ingest()
    installation.refresh()
    before = installation.results()
    (month,) = partitions(Lake(installation.settings.lake_dir), datetime.now(UTC))
    assert month.files == FAN_IN
    run_here(installation.definitions, schedules.hourly_compaction.job_name, installation.instance)
    (month,) = partitions(Lake(installation.settings.lake_dir), datetime.now(UTC))
    assert month.files == 1
    installation.refresh()
    assert installation.results() == before


def removed_rows(installation: Installation) -> dict[int, int]:
    """The removed rows that the lake stores after a clean-up, by the batch that removed them."""
    assert run_here(installation.definitions, schedules.daily_clean_up.job_name, installation.instance).success
    return rows_by_removing_batch(Lake(installation.settings.lake_dir))


@pytest.mark.slow
def test_daily_clean_up__drops_removed_rows_that_are_over_and_needed_by_nobody__and_changes_no_result__e6(
    installation: Installation,
) -> None:
    for feature in ("checkout", "banner"):
        installation.land(feature, crowd(10, 10, feature=feature))
    land_range(installation.settings.landing_dir, "v1-000001", [purchase(f"b-{n}", "30") for n in range(10)])
    installation.ingest()
    for key in ("checkout", "banner"):
        installation.refresh(key)
    replaced = installation.results()
    land_range(installation.settings.landing_dir, "again-v2-000002", [purchase(f"b-{n}", "70") for n in range(5)])
    installation.ingest()
    installation.refresh()
    before = installation.results()
    assert before != replaced
    assert removed_rows(installation) == {2: 10}, "the removal is not old enough"
    with installation.registry.engine.begin() as connection:
        long_ago = datetime.now(UTC) - installation.settings.removed_keep - timedelta(minutes=1)
        connection.execute(update(tables.batches).values(committed_at=long_ago))
    assert removed_rows(installation) == {2: 10}, "the next look of `banner` is compared with one that saw them"
    installation.refresh("banner")
    assert removed_rows(installation) == {}
    installation.refresh()
    assert installation.results() == before
