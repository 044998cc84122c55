"""When sources are pulled: Dagster's own automation over their assets, on a clock of its own (rule D4)."""

from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg
import pytest

from experiment_pipeline.definitions import build
from experiment_pipeline.domain.fields import adapter
from experiment_pipeline.domain.sources import Source, SourceDraft
from experiment_pipeline.resources.loaded_sources import LoadedSources
from experiment_pipeline.settings import Settings

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
UPSTREAM = dg.AssetKey(["analytics", "fct_orders"])


class Automation:
    """Ticks of the sensor over one source, which is not pulled."""

    def __init__(self, instance: dg.DagsterInstance, **declared: Any) -> None:
        fields = {
            "files": "/orders.csv",
            "as": {"event": "bought", "identifier": "user", "timestamp": "at"},
            **declared,
        }
        draft = adapter(SourceDraft).validate_python(fields)
        values = {name: getattr(draft, name) for name in SourceDraft.__slots__}
        source = Source(key="orders", environment_key="prod", version=1, **values)
        self.definitions, self.instance, self.cursor = build(Settings(), LoadedSources((source,))), instance, None

    def tick(self, minutes: float) -> int:
        """The number of pulls that are requested so long after noon."""
        result: Any = dg.evaluate_automation_conditions(
            self.definitions,
            self.instance,
            asset_selection=dg.AssetSelection.groups("sources"),
            evaluation_time=NOON + timedelta(minutes=minutes),
            cursor=self.cursor,
        )
        self.cursor = result.cursor
        return int(result.total_requested)


@pytest.fixture
def instance() -> Any:
    with dg.DagsterInstance.ephemeral() as instance:
        yield instance


def test_automation__interval__pulls_at_once_and_then_each_time_it_has_passed(instance: dg.DagsterInstance) -> None:
    automation = Automation(instance, every="PT15M")
    assert [automation.tick(minutes) for minutes in (1, 2, 14, 15.1, 16, 29, 31)] == [1, 0, 0, 1, 0, 0, 1]


def test_automation__upstream_that_is_materialised__pulls(instance: dg.DagsterInstance) -> None:
    automation = Automation(instance, upstream=["analytics/fct_orders"])
    assert [automation.tick(minutes) for minutes in (1, 2)] == [1, 0]
    instance.report_runless_asset_event(dg.AssetMaterialization(UPSTREAM))
    assert [automation.tick(minutes) for minutes in (3, 4)] == [1, 0]


def test_automation__source_with_neither__is_pulled_by_hand(instance: dg.DagsterInstance) -> None:
    assert Automation(instance).tick(1) == 0


def test_sensor__of_sources__is_there_with_sources_alone_and_runs(instance: dg.DagsterInstance) -> None:
    names = {sensor.name for sensor in build(Settings()).get_repository_def().sensor_defs}
    repository = Automation(instance, every="PT15M").definitions.get_repository_def()
    assert {sensor.name for sensor in repository.sensor_defs} - names == {"source_pulls"}
    sensor = repository.get_sensor_def("source_pulls")
    assert sensor.default_status is dg.DefaultSensorStatus.RUNNING
    assert sensor.description
