"""Everything about an asset of a component can be changed: Dagster's own suite for it (P1)."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster.components import build_defs_for_component
from dagster.components.testing.test_cases import TestTranslation as Translations

from experiment_pipeline import EventLakeComponent, ExperimentsComponent
from experiment_pipeline.automation.components import ExperimentAsset
from tests.automation.component.project import Project, project_in

KeyModifier = Callable[[dg.AssetKey], dg.AssetKey] | None
Assertion = Callable[[dg.AssetSpec], bool]


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    with project_in(tmp_path) as made:
        yield made


class TestExperiments(Translations):
    """The results, as YAML translates them."""

    def test_translation(
        self, project: Project, attributes: dict[str, Any], assertion: Assertion, key_modifier: KeyModifier
    ) -> None:
        project.write({"translation": attributes})
        key = dg.AssetKey("experiment_results")
        wanted = key_modifier(key) if key_modifier else key
        assets = project.definitions().resolve_assets_def(wanted)
        assert assertion(assets.get_asset_spec(wanted))
        assert {check.asset_key for check in assets.check_specs} == {wanted}


class TestEventLake(Translations):
    """The events, as YAML translates them."""

    def test_translation(
        self, project: Project, attributes: dict[str, Any], assertion: Assertion, key_modifier: KeyModifier
    ) -> None:
        blank = dict.fromkeys(("warehouse", "exposures", "events", "declarations"))
        project.write({**blank, "translation": attributes}, kind="experiment_pipeline.EventLakeComponent")
        wanted = key_modifier(dg.AssetKey("events")) if key_modifier else dg.AssetKey("events")
        assert assertion(project.definitions().resolve_assets_def(wanted).get_asset_spec(wanted))


def test_subclass__changes_specs_and_execution__p1() -> None:
    class Ours(ExperimentsComponent):
        def get_asset_spec(self, asset: ExperimentAsset) -> dg.AssetSpec:
            return super().get_asset_spec(asset).replace_attributes(key=dg.AssetKey(["ours", asset.name]))

        def execute(self, context: dg.AssetExecutionContext) -> Iterator[dg.AssetMaterialization]:
            for key in context.partition_keys:
                yield dg.AssetMaterialization(context.asset_key, partition=key)

    ours = Ours(registry={"url_env": "REGISTRY"})
    definitions = build_defs_for_component(ours)
    with dg.DagsterInstance.ephemeral() as instance:
        instance.add_dynamic_partitions("experiment_results", ["one"])
        job = definitions.resolve_implicit_global_asset_job_def()
        result = job.execute_in_process(instance=instance, partition_key="one")
        assert result.success
        assert instance.get_materialized_partitions(dg.AssetKey(["ours", "experiment_results"])) == {"one"}


def test_package__components__are_the_only_public_names() -> None:
    import experiment_pipeline

    assert {"EventLakeComponent", "ExperimentsComponent"} <= set(dir(experiment_pipeline))
    assert EventLakeComponent.__name__ == "EventLakeComponent"
    with pytest.raises(AttributeError, match="has no attribute 'Experiment'"):
        experiment_pipeline.Experiment  # noqa: B018
