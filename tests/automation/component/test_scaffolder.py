"""Scaffolds of the experiments component: the example runs, and its numbers are those of the demo (P5)."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import dagster as dg
import pytest
import yaml
from dagster.components import ScaffoldRequest
from dagster.components.scaffold.scaffold import NoParams

from experiment_pipeline.automation.component.scaffolder import (
    EventLakeScaffolder,
    ExperimentsParams,
    ExperimentsScaffolder,
)
from experiment_pipeline.domain.refresh import Computation
from experiment_pipeline.registry.registry import Registry
from tests.automation.component.project import TYPE, Project, project_in

LAKE = "experiment_pipeline.EventLakeComponent"
CAME, WERE_OFFERED = {"control": 211, "incentive": 1745}, {"control": 623, "incentive": 2211}  # of the published data


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    with project_in(tmp_path) as made:
        yield made


def scaffold(project: Project, *, example: bool) -> Path:
    place = project.root / project.name / "defs" / "experiments"
    place.mkdir(parents=True)
    ExperimentsScaffolder().scaffold(
        ScaffoldRequest(TYPE, place, "yaml", project.root, ExperimentsParams(example=example))
    )
    return place


def test_scaffold__example__gives_the_numbers_of_the_demo(project: Project) -> None:
    place = scaffold(project, example=True)
    with dg.DagsterInstance.ephemeral() as instance:
        ran = project.run(instance, "hiv_result_incentive")
        assert ran.result.success
        assert ran.check("hiv_result_incentive")[0]
    with closing(Registry.open(f"sqlite:///{place}/.state/registry.sqlite")) as registry:
        (experiment,) = registry.experiments.list()
        payload = registry.computations.get(experiment.id, Computation.RESULTS).payload
    assert payload is not None
    (metric,) = payload["metrics"]
    assert {key: (each["n"], each["sum"]) for key, each in metric["variants"].items()} == {
        key: (WERE_OFFERED[key], CAME[key]) for key in CAME
    }
    difference = CAME["incentive"] / WERE_OFFERED["incentive"] - CAME["control"] / WERE_OFFERED["control"]
    assert metric["effect"]["incentive"]["value"] == pytest.approx(difference)


def test_scaffold__event_lake__names_a_data_directory_and_loads(project: Project) -> None:
    place = project.root / project.name / "defs" / "lake"
    place.mkdir()
    EventLakeScaffolder().scaffold(ScaffoldRequest(LAKE, place, "yaml", project.root, NoParams()))
    (events,) = project.definitions().resolve_asset_graph().materializable_asset_keys
    assert events == dg.AssetKey("events")


def test_scaffold__without_example__is_a_component_over_tables_that_loads(project: Project) -> None:
    place = scaffold(project, example=False)
    assert yaml.safe_load((place / "defs.yaml").read_text())["type"] == TYPE
    graph = project.definitions().resolve_asset_graph()
    (results,) = graph.materializable_asset_keys
    assert sorted(key.to_user_string() for key in graph.get(results).parent_keys) == [
        "analytics/fct_exposures",
        "analytics/fct_orders",
    ]
