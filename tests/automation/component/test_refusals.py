"""Bad input of the experiments component: each mistake has a message that names the field, or the table (P5, P8)."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from experiment_pipeline.automation.component.state import ComponentState
from experiment_pipeline.errors import ConfigurationError
from tests.automation.component.project import ATTRIBUTES, EXPERIMENT, EXPOSURES, ORDERS, Project, project_in


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    with project_in(tmp_path) as made:
        yield made


AT_LOADING: list[tuple[Mapping[str, Any], Mapping[str, Any], str]] = [
    ({"events": [{**ORDERS, "as": {**ORDERS["as"], "event": "bought"}}]}, {},
     "experiments.yaml: metrics.bought (line 2): No table gives the event 'purchased'. They have 'bought'."),
    ({"exposures": [{**EXPOSURES, "as": {**EXPOSURES["as"], "feature": "check_out"}}]}, {},
     "experiments.yaml: experiments.checkout.feature (line 9): No exposures have the flag 'checkout'. Did you mean "
     "'check_out'?"),
    ({}, {"metrics": [{"metric": "bougth", "expected_direction": "increase"}]}, "Did you mean 'bought'?"),
    ({"events": [{**ORDERS, "as": {"event": "purchased", "identifer": "user_id", "timestamp": "ordered_at"}}]}, {},
     "events.orders.as.identifer: Unknown field. Did you mean 'identifier'?"),
    ({"events": [{**ORDERS, "name": "flag_exposures"}]}, {}, "events.flag_exposures.name: Two tables have the name"),
    ({"events": [{**ORDERS, "query": "select 1"}]}, {}, "events.orders.query: Must be left out, or table"),
    ({"events": [{**ORDERS, "table": None}]}, {}, "events.orders.table: Must be given, or query, or files."),
    ({"events": [{**ORDERS, "freshness": "6h"}]}, {}, "events.orders.freshness: Must be"),
    ({"warehouse": None}, {}, "warehouse: Must be given: the key of a DuckDBResource of the project, or one of"),
    ({"declarations": "experiment.yaml"}, {}, "declarations: There is no file"),
    ({"warehouse": None, "exposures": [], "events": [], "results": {"table": "results"}}, {},
     "results.table: Must be left out, or warehouse must be given: a DuckDBResource, or one of connections."),
]  # fmt: skip


@pytest.mark.parametrize(("attributes", "experiment", "message"), AT_LOADING)
def test_component__mistake_in_what_is_declared__is_told_when_dagster_loads_it(
    project: Project, attributes: Mapping[str, Any], experiment: Mapping[str, Any], message: str
) -> None:
    project.write(attributes, {"checkout": {**EXPERIMENT, **experiment}})
    assert message in project.refusal()


def test_component__unknown_attribute__is_refused_with_its_name(project: Project) -> None:
    project.write({"exposurs": [EXPOSURES]})
    assert "exposurs" in project.refusal()


def test_component__resource_that_the_project_lacks__is_named(project: Project) -> None:
    project.write({"warehouse": "snowflake"})
    with pytest.raises(dg.DagsterInvalidDefinitionError, match="snowflake"):
        project.definitions().resolve_implicit_global_asset_job_def()


AT_RUN_TIME = [
    ({"events": [{**ORDERS, "table": "analytics.fct_order"}]}, "events.orders.query: DuckDB says: Catalog Error"),
    ({"events": [{**ORDERS, "as": {**ORDERS["as"], "value": "amont"}}]},
     "events.orders.as.value: There is no column 'amont'. Did you mean 'amount'?"),
    ({"events": [{**ORDERS, "timezone": None}]}, "events.orders.as.timestamp: "),
    ({"exposures": [{**EXPOSURES, "table": None, "asset": None, "files": "none.csv"}]},
     "exposures.flag_exposures.files: There is no file"),
]  # fmt: skip


@pytest.mark.parametrize(("attributes", "message"), AT_RUN_TIME)
def test_component__table_that_is_not_as_declared__fails_every_partition_and_writes_nothing(
    project: Project, attributes: Mapping[str, Any], message: str
) -> None:
    project.make_tables({"checkout": (50, 50)})
    project.write({"results": {"table": "analytics.results"}, **attributes})
    with dg.DagsterInstance.ephemeral() as instance:
        ran = project.run(instance, "checkout")
        assert (ran.result.success, ran.materialised, message in ran.failure) == (False, [], True)
        passed, said = ran.check("checkout", "results_are_computed")
        assert (passed, message in said) == (False, True)
    assert project.sql("select * from duckdb_tables() where table_name = 'results'") == []


def test_component__results_table_that_cannot_be_written__fails_the_experiment(project: Project) -> None:
    project.make_tables({"checkout": (50, 50)})
    project.write({"results": {"table": "nowhere.results"}})
    with dg.DagsterInstance.ephemeral() as instance:
        ran = project.run(instance, "checkout")
        assert (ran.result.success, ran.materialised) == (False, [])
        assert "results.table: Cannot be written to nowhere.results: Catalog Error" in ran.failure


def test_component__resource_in_memory_or_of_another_kind__is_refused(project: Project) -> None:
    project.write()
    resources = project.root / project.name / "defs/resources/resources.py"
    for resource, message in (
        ('DuckDBResource(database=":memory:")', "warehouse (duckdb): Its database is :memory:: must be a file"),
        ('"a text"', "warehouse (duckdb): Is a str: only a DuckDBResource can be read."),
    ):
        resources.write_text(
            "import dagster as dg\nfrom dagster_duckdb import DuckDBResource\n"
            f"@dg.definitions\ndef resources():\n    return dg.Definitions(resources={{'duckdb': {resource}}})\n"
        )
        with dg.DagsterInstance.ephemeral() as instance:
            assert message in project.run(instance, "checkout").failure


@pytest.mark.parametrize(
    ("environ", "message"),
    [
        ({}, "state: DAGSTER_HOME is not set"),
        ({"DAGSTER_HOME": "/work/.tmp_dagster_home_abc"}, "state: DAGSTER_HOME is not set"),
        ({"DAGSTER_HOME": "/opt/dagster", "KUBERNETES_SERVICE_HOST": "10.0.0.1"}, "does not last on Kubernetes"),
        (
            {"DAGSTER_HOME": "/opt/dagster", "DAGSTER_CLOUD_IS_SERVERLESS": "1"},
            "does not last on Dagster.",
        ),
    ],
)
def test_state__disk_that_does_not_last__is_refused__p8(environ: Mapping[str, str], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        ComponentState("experiment_results", None, None).settings(environ)


def test_component__disk_that_does_not_last__fails_the_run_before_anything_is_read__p8(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = project.root / "home"
    home.mkdir()
    monkeypatch.setenv("DAGSTER_HOME", str(home))
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    project.write({"state": None})
    with dg.DagsterInstance.ephemeral() as instance:
        ran = project.run(instance, "checkout")
        assert (ran.result.success, ran.materialised, list(home.iterdir())) == (False, [], [])
        assert "state: A run's disk does not last on Kubernetes" in ran.failure
        passed, said = ran.check("checkout", "results_are_computed")
        assert (passed, "a mounted volume" in said) == (False, True)


def test_state__folder_and_registry__are_where_they_are_said_to_be__p8(tmp_path: Path) -> None:
    url = "postgresql+psycopg://me:secret@host/registry"
    given = {"KUBERNETES_SERVICE_HOST": "10.0.0.1", "REGISTRY": url}
    settings = ComponentState("growth", tmp_path / "volume", "REGISTRY").settings(given)
    assert (settings.data_dir, settings.database_url) == (tmp_path / "volume", url)
    with pytest.raises(ConfigurationError, match=r"^registry\.url_env: The environment variable REGISTRY is not set"):
        ComponentState("growth", tmp_path, "REGISTRY").settings({})
    home = {"DAGSTER_HOME": str(tmp_path)}
    assert ComponentState("growth", None, None).settings(home).data_dir == tmp_path / "experiments/growth"
    branch = {**home, "DAGSTER_CLOUD_IS_BRANCH_DEPLOYMENT": "1", "DAGSTER_CLOUD_DEPLOYMENT_NAME": "try-it"}
    assert ComponentState("growth", None, None).settings(branch).data_dir == tmp_path / "experiments/growth/try-it"
    assert ComponentState.own_table("analytics.results", branch) == "analytics.results__try_it"
    assert ComponentState.own_table('analytics."Results"', branch) == 'analytics."Results__try_it"'
    assert ComponentState.own_table("analytics.results", home) == "analytics.results"


def test_attributes__of_the_tests__are_those_that_load(project: Project) -> None:
    project.write(ATTRIBUTES)
    assert {key.to_user_string() for key in project.definitions().resolve_asset_graph().materializable_asset_keys} == {
        "experiment_results"
    }
