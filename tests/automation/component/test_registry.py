"""Components over what is there already: a landing zone, and the experiments of a registry (P3, P4)."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest

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


def test_components__over_a_registry__have_its_experiments_as_partitions__p3(
    project: Project, installation: Installation
) -> None:
    definitions, instance = project.definitions(), installation.instance
    results = dg.AssetKey("experiment_results")
    assert definitions.resolve_asset_graph().get(results).parent_keys == {dg.AssetKey("events")}
    (sensor,) = definitions.sensors or ()
    assert isinstance(sensor, dg.SensorDefinition)
    assert sensor.default_status is dg.DefaultSensorStatus.RUNNING
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
    (sensor,) = project.definitions().sensors or ()
    installation.instance.add_dynamic_partitions("experiment_results", ["banner-2", "checkout-1"])
    with dg.build_sensor_context(instance=installation.instance) as context:
        skipped = sensor(context)
    assert isinstance(skipped, dg.SkipReason)
