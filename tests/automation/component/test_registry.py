"""Components over what is there already: a landing zone, and the experiments of a registry (P3, P4)."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest

from experiment_pipeline.domain.refresh import ClaimSource, Computation
from experiment_pipeline.resources.dagster_instance import RUN_KEY_TAG
from tests.assets.conftest import Installation, crowd
from tests.automation.component.project import Project, Ran, project_in

LAKE = "experiment_pipeline.EventLakeComponent"
BLANK = dict.fromkeys(("warehouse", "exposures", "events", "declarations"))


@pytest.fixture
def project(tmp_path: Path, installation: Installation) -> Iterator[Project]:
    """A project with both components over the state of an installation whose events have landed."""
    installation.land("crowd", crowd(300, 300), datetime.now(UTC) - timedelta(minutes=1))
    with project_in(tmp_path / "project") as made:
        state = str(installation.settings.data_dir)
        made.write({**BLANK, "state": state}, folder="lake", kind=LAKE)
        made.write({**BLANK, "state": state, "sensors": "running", "event_lake": "events"}, folder="experiments")
        yield made


def sensor_of(definitions: dg.Definitions, name: str) -> dg.SensorDefinition:
    (sensor,) = [each for each in definitions.sensors or () if each.name == name]
    assert isinstance(sensor, dg.SensorDefinition)
    assert sensor.default_status is dg.DefaultSensorStatus.RUNNING
    return sensor


def requested(project: Project, instance: dg.DagsterInstance) -> list[dg.RunRequest]:
    """The runs that one tick of the sensor requests."""
    with dg.build_sensor_context(instance=instance) as context:
        result = sensor_of(project.definitions(), "experiment_results_refresh_requests")(context)
    return list(result.run_requests or ()) if isinstance(result, dg.SensorResult) else []


def test_components__over_a_registry__have_its_experiments_as_partitions__p3(
    project: Project, installation: Installation
) -> None:
    definitions, instance = project.definitions(), installation.instance
    results = dg.AssetKey("experiment_results")
    assert definitions.resolve_asset_graph().get(results).parent_keys == {dg.AssetKey("events")}
    sensor = sensor_of(definitions, "experiment_results_partitions")
    with dg.build_sensor_context(instance=instance) as context:
        result = sensor(context)
    assert isinstance(result, dg.SensorResult)
    (added,) = result.dynamic_partitions_requests or ()
    assert list(added.partition_keys) == ["banner-2", "checkout-1"]
    instance.add_dynamic_partitions("experiment_results", list(added.partition_keys))
    job = definitions.resolve_implicit_global_asset_job_def()
    ingested = job.execute_in_process(instance=instance, asset_selection=[dg.AssetKey("events")])
    (event,) = ingested.get_asset_materialization_events()
    assert event.step_materialization_data.materialization.metadata["accepted"].value == 600 + 300
    done = job.execute_in_process(instance=instance, asset_selection=[results], partition_key="checkout-1")
    assert Ran(instance, done, results).metadata("checkout-1")["look"] == 1
    assert (installation.state().payload or {})["metrics"][0]["variants"]["b"]["n"] == 300


def test_components__registry_without_new_experiments__asks_for_no_partition(
    project: Project, installation: Installation
) -> None:
    sensor = sensor_of(project.definitions(), "experiment_results_partitions")
    installation.instance.add_dynamic_partitions("experiment_results", ["banner-2", "checkout-1"])
    with dg.build_sensor_context(instance=installation.instance) as context:
        skipped = sensor(context)
    assert isinstance(skipped, dg.SkipReason)


def test_components__refresh_that_is_requested__is_served_by_a_run_of_the_component__p3(
    project: Project, installation: Installation
) -> None:
    instance, claims = installation.instance, installation.registry.claims
    experiment = installation.experiment()
    claims.create(experiment.id, Computation.RESULTS, ClaimSource.API, datetime.now(UTC), timedelta(0))
    assert requested(project, instance) == []  # the experiment has no partition yet
    instance.add_dynamic_partitions("experiment_results", ["checkout-1"])
    (request,) = requested(project, instance)
    assert request.partition_key == "checkout-1"
    job = project.definitions().resolve_implicit_global_asset_job_def()
    done = job.execute_in_process(
        instance=instance,
        asset_selection=[dg.AssetKey("experiment_results")],
        partition_key="checkout-1",
        tags={RUN_KEY_TAG: request.run_key or ""},
    )
    assert done.success
    assert (claims.list_waiting(), requested(project, instance)) == ([], [])
