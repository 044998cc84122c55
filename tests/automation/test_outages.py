"""Ticks and runs while the registry takes no changes, or is away: they skip, say why, and go on afterwards."""

import sqlite3
from datetime import UTC, datetime

import dagster as dg
import pytest
from dagster._core.definitions.schedule_definition import ScheduleExecutionData

from experiment_pipeline.automation import schedules, sensors
from experiment_pipeline.definitions import build
from experiment_pipeline.registry import wait_limits
from experiment_pipeline.resources.dagster_instance import open_instance
from experiment_pipeline.resources.refresh_session import RefreshSession
from experiment_pipeline.settings import Settings
from tests.assets.conftest import Installation, crowd
from tests.automation.test_runs_that_fail import created, sense_failure
from tests.automation.ticks import ask, requests, runs, tick


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Installation:
    """An installation that waits for no lock."""
    monkeypatch.setattr(wait_limits, "BUSY_SECONDS", 0.02)
    opened: Installation = request.getfixturevalue("installation")
    return opened


def _lock(installation: Installation) -> sqlite3.Connection:
    other = sqlite3.connect(installation.settings.data_dir / "registry.sqlite", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    return other


@pytest.mark.parametrize("sensor", [sensors.landing_objects, sensors.refresh_requests])
def test_tick__registry_locked__skips_says_why_and_goes_on(
    impatient: Installation, sensor: dg.SensorDefinition
) -> None:
    if sensor is sensors.refresh_requests:  # the other one records the listing of an empty landing zone
        impatient.land("first", crowd(2, 2))
        impatient.ingest()
    other = _lock(impatient)
    skipped = tick(impatient, sensor)
    assert not skipped.run_requests
    assert "database is locked" in (skipped.skip_message or "")
    assert "end the transaction that has the lock" in (skipped.skip_message or "")
    other.close()
    after = tick(impatient, sensor)
    assert "database is locked" not in (after.skip_message or "")
    assert bool(after.run_requests) == (sensor is sensors.refresh_requests)


def test_failed_runs__registry_locked__skip_and_the_run_is_recorded_afterwards(impatient: Installation) -> None:
    ask(impatient, impatient.experiment())
    run = created(impatient, requests(impatient)[0])
    impatient.instance.report_run_failed(run, "its worker was killed")
    other = _lock(impatient)
    skipped = sense_failure(impatient, run)
    other.close()
    assert isinstance(skipped, dg.SkipReason)
    assert "database is locked" in (skipped.skip_message or "")
    requests(impatient)
    assert impatient.state().failures == 1


def test_schedule__registry_locked__skips_and_goes_on(impatient: Installation) -> None:
    impatient.land("first", crowd(2, 2))
    impatient.ingest()
    other = _lock(impatient)
    assert "database is locked" in (_scheduled(impatient).skip_message or "")
    other.close()
    assert len(_scheduled(impatient).run_requests or []) == 1


def _scheduled(installation: Installation) -> ScheduleExecutionData:
    with (
        open_instance(installation.settings.dagster_home) as instance,  # a schedule's context takes no other
        dg.build_schedule_context(
            instance=instance,
            scheduled_execution_time=datetime.now(UTC),
            repository_def=installation.definitions.get_repository_def(),
            resources={"runs": runs(installation)},
        ) as context,
    ):
        return schedules.hourly_refresh.evaluate_tick(context)


def test_runs_resource__registry_away__opens_and_what_asks_it_says_so(tmp_path_factory: pytest.TempPathFactory) -> None:
    settings = Settings(data_dir=tmp_path_factory.mktemp("away"))
    away = settings.data_dir / "registry.sqlite"
    away.mkdir()
    resource = (build(settings).resources or {})["runs"]
    with (
        dg.DagsterInstance.ephemeral() as instance,
        dg.build_resources({"runs": resource}, instance=instance) as resources,
        dg.build_sensor_context(instance=instance, resources={"runs": resources.runs}) as context,
    ):
        assert isinstance(resources.runs, RefreshSession)
        skipped = sensors.refresh_requests.evaluate_tick(context)
        assert "cannot be reached" in (skipped.skip_message or "")
        away.rmdir()
        skipped = sensors.refresh_requests.evaluate_tick(context)
        assert skipped.skip_message == "No refresh is requested or due."
