"""Maintenance of the lake, run as its schedules request it."""

from datetime import UTC, datetime

import dagster as dg

from experiment_pipeline.automation import schedules
from experiment_pipeline.lake.compaction import FAN_IN
from experiment_pipeline.lake.inspection import partitions
from experiment_pipeline.lake.lake import Lake
from experiment_pipeline.resources.dagster_instance import run_here
from tests.assets.conftest import Installation, crowd


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
