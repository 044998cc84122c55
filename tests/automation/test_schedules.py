"""The hourly refresh, for installations without sensors, called as the daemon calls it."""

from collections.abc import Iterator
from datetime import UTC, datetime

import dagster as dg
import pytest

from experiment_pipeline.automation import schedules
from experiment_pipeline.resources.dagster_instance import QUIET, RUN_KEY_TAG, open_instance
from tests.assets.conftest import Installation, crowd
from tests.automation.ticks import ask, partitions_of, runs, start


@pytest.fixture
def recorded(installation: Installation) -> Iterator[Installation]:
    """With an instance on disk: a schedule's context takes no other."""
    with open_instance(installation.settings.dagster_home) as instance:
        installation.instance = instance
        yield installation


def hourly(installation: Installation) -> list[dg.RunRequest]:
    with dg.build_schedule_context(
        instance=installation.instance,
        scheduled_execution_time=datetime.now(UTC),
        resources={"runs": runs(installation)},
        repository_def=installation.definitions.get_repository_def(),
    ) as context:
        return list(schedules.hourly_refresh.evaluate_tick(context).run_requests or [])


def test_hourly_refresh__has_one_job_and_is_stopped_until_somebody_starts_it() -> None:
    assert schedules.hourly_refresh.job_name == "refresh_experiments"
    assert schedules.hourly_refresh.default_status is dg.DefaultScheduleStatus.STOPPED


def test_hourly_refresh__executed_as_requested__publishes_what_was_due(recorded: Installation) -> None:
    recorded.land("first", crowd(60, 60) + crowd(60, 60, feature="banner"))
    recorded.ingest()
    ask(recorded, recorded.experiment("banner"))
    requested = hourly(recorded)
    assert [partitions_of(request) for request in requested] == [
        [recorded.experiment("banner").partition_key],
        [recorded.experiment().partition_key],
    ], "users first"
    job = recorded.definitions.resolve_job_def("refresh_experiments")
    for request in requested:
        tags = {**request.tags, RUN_KEY_TAG: request.run_key or ""}
        executed = job.execute_in_process(
            instance=recorded.instance, run_config={**request.run_config, **QUIET}, tags=tags
        )
        assert executed.success
    for key in ("checkout", "banner"):
        payload = recorded.state(key=key).payload
        assert payload is not None
        assert payload["metrics"][0]["variants"]["b"]["n"] == 60
    assert recorded.registry.claims.list_waiting() == []
    assert hourly(recorded) == []


def test_hourly_refresh__of_many__asks_for_all_at_once_in_runs_of_twenty_five(recorded: Installation) -> None:
    for experiment in start(recorded, 60)[:30]:
        ask(recorded, experiment)
    assert [len(partitions_of(request)) for request in hourly(recorded)] == [25, 5, 25, 7]
