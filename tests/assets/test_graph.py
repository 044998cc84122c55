"""The asset graph as a whole."""

import dagster as dg
from syrupy.assertion import SnapshotAssertion

from experiment_pipeline.definitions import build
from experiment_pipeline.settings import Settings


def test_graph__assets_dependencies_and_partitions__stay_as_designed(snapshot: SnapshotAssertion) -> None:
    definitions = build(Settings())
    graph = {
        spec.key.to_user_string(): {
            "after": sorted(dependency.asset_key.to_user_string() for dependency in spec.deps),
            "group": spec.group_name,
            "partitions": getattr(spec.partitions_def, "name", None),
        }
        for spec in definitions.resolve_all_asset_specs()
    }
    assert graph == snapshot


def test_definitions__executor__is_in_process_for_every_run() -> None:
    assert build(Settings()).executor is dg.in_process_executor


def test_definitions__resource_configuration__never_holds_the_registry_url() -> None:
    secret = "postgresql+psycopg://user:hunter2@localhost/registry"
    definitions = build(Settings(registry_url=secret))
    repository = definitions.get_repository_def()
    assert "hunter2" not in str([vars(resource) for resource in (definitions.resources or {}).values()])
    assert repository.name


def test_sensors_and_schedules__say_what_they_do() -> None:
    repository = build(Settings()).get_repository_def()
    told = {sensor.name: sensor.description for sensor in repository.sensor_defs}
    told |= {schedule.name: schedule.description for schedule in repository.schedule_defs}
    assert len(told) == 8
    assert all(told.values()), told
