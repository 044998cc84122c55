"""The experiments component in a team's own project: what a run does, claims and tells (rules P1, P2, P7)."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import dagster as dg
import polars as pl
import pytest
from sqlalchemy import update

from experiment_pipeline.definitions import build
from experiment_pipeline.lake.delta import EVENTS, Snapshot
from experiment_pipeline.lake.dropping import rows_by_removing_batch
from experiment_pipeline.lake.lake import Lake
from experiment_pipeline.registry import tables
from experiment_pipeline.registry.registry import Registry
from experiment_pipeline.settings import Settings
from tests.automation.component.project import EXPERIMENT, EXPOSURES, METRICS, ORDERS, RUNNING, Project, project_in


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    with project_in(tmp_path) as made:
        made.make_tables({"checkout": (300, 300)})
        yield made


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as made:
        yield made


def test_component__partition__is_computed_from_the_tables_of_the_project(
    project: Project, instance: dg.DagsterInstance
) -> None:
    project.write({"results": {"table": "analytics.experiment_results"}})
    ran = project.run(instance, "checkout")
    assert (ran.result.success, ran.steps, ran.materialised) == (True, ["experiment_results"], ["checkout"])
    assert ran.check("checkout") == (
        True,
        "Split as configured. control: 300, b: 300 identities do not contradict the configured shares.",
    )
    assert ran.check("checkout", "results_are_computed") == (True, "Computed.")
    assert [name for name in ran.metadata("checkout") if name.startswith("api_")] == [], "the project has no API"
    shown = ran.metadata("checkout")
    assert (shown["look"], shown["rows_read"], shown["dagster/partition_row_count"]) == (1, 600 + 100 + 150, 1)
    (row,) = project.sql(
        "select experiment, look, metric, treatment, treatment_n, treatment_value, control_n, control_value, effect "
        "from analytics.experiment_results"
    )
    assert row[:8] == ("checkout", 1, "bought", "b", 300, 0.5, 300, pytest.approx(1 / 3))
    assert row[8] == pytest.approx(1 / 6)
    (table,) = (project.root / "state").rglob("tables/results")
    (same,) = pl.read_delta(str(table)).to_dicts()
    assert [same[name] for name in ("experiment", "look", "metric", "treatment", "effect")] == [*row[:4], row[8]]


def test_component__lineage__is_from_columns_of_the_assets_upstream__p7(
    project: Project, instance: dg.DagsterInstance
) -> None:
    project.write()
    lineage = project.run(instance, "checkout").metadata("checkout")["dagster/column_lineage"].deps_by_column
    told = {column: sorted(f"{each.asset_key.to_user_string()}.{each.column_name}" for each in lineage[column])
            for column in ("effect", "control_n")}  # fmt: skip
    exposures = [f"analytics/fct_exposures.{name}" for name in ("experiment", "exposed_at", "user_id", "variation")]
    orders = [f"analytics/fct_orders.{name}" for name in ("amount", "ordered_at", "user_id")]
    assert told == {"effect": [*exposures, *orders], "control_n": exposures}


def test_component__definitions__claim_nothing_but_their_own_keys__p1(project: Project) -> None:
    project.write()
    theirs = dg.Definitions(
        assets=[_events],
        executor=dg.multiprocess_executor,
        resources={"io_manager": dg.mem_io_manager},
    )
    merged = dg.Definitions.merge(theirs, project.definitions())
    graph = merged.resolve_asset_graph()
    own = {key.to_user_string() for key in graph.materializable_asset_keys}
    assert own == {"events", "experiment_results"}
    assert (merged.executor, list(merged.sensors or ()), list(merged.schedules or ())) == (
        dg.multiprocess_executor,
        [],
        [],
    )
    assert set(project.definitions().resources or {}) == {"duckdb"}


@dg.asset(name="events")
def _events() -> int:
    return 1


@pytest.mark.slow
def test_component__range__is_one_step_in_which_each_experiment_stands_for_itself__p2(
    project: Project, instance: dg.DagsterInstance
) -> None:
    keys = [f"test_{number:02}" for number in range(50)]
    sizes = dict.fromkeys(keys, (100, 100)) | {"test_07": (100, 300)}
    project.make_tables(sizes)
    project.write(experiments=dict.fromkeys(keys, RUNNING))
    ran = project.run(instance, *keys)
    assert (ran.result.success, ran.steps, ran.materialised) == (True, ["experiment_results"], keys)
    assert [key for key in keys if not ran.check(key)[0]] == ["test_07"]
    again = project.run(instance, "test_08")
    assert (again.check("test_08")[0], again.check("test_07")[0]) == (True, False)


def test_component__failed_experiment__fails_alone_and_fails_the_run__p2(
    project: Project, instance: dg.DagsterInstance, tmp_path: Path
) -> None:
    project.make_tables({"first": (100, 100), "second": (100, 100), "third": (100, 100)})
    project.write(experiments=dict.fromkeys(("first", "second", "third"), RUNNING))
    project.run(instance, "first")
    (in_the_way,) = (tmp_path / "state/experiments/artifacts/first_exposures").iterdir()
    blocked = in_the_way.with_name(in_the_way.name.replace("first-1", "second-2"))
    (blocked / "in the way").mkdir(parents=True)
    ran = project.run(instance, "first", "second", "third")
    assert (ran.result.success, ran.materialised) == (False, ["first", "third"])
    assert "1 of 3 experiments failed." in ran.failure
    assert ran.failure.splitlines()[1].startswith("second: ")
    passed, said = ran.check("second", "results_are_computed")
    assert (passed, said != "") == (False, True)
    assert ran.check("third", "results_are_computed") == (True, "Computed.")


def test_component__final_experiment__is_left_as_it_is_with_its_checks__p2(
    project: Project, instance: dg.DagsterInstance
) -> None:
    project.make_tables({"done": (100, 300), "runs": (100, 100)})
    project.write(
        {"results": {"table": "analytics.experiment_results"}}, experiments={"done": EXPERIMENT, "runs": RUNNING}
    )
    first = project.run(instance, "done", "runs")
    assert (first.metadata("done")["final"], first.check("done")[0]) == (True, False)
    project.sql("drop table analytics.experiment_results")
    second = project.run(instance, "done", "runs")
    assert (second.result.success, second.materialised, second.metadata("runs")["look"]) == (True, ["runs"], 2)
    assert second.check("done")[0] is False
    assert second.check("done", "results_are_computed") == (True, "Final: nothing is computed again.")
    looks = project.sql("select experiment, look from analytics.experiment_results order by experiment")
    assert looks == [("done", 1), ("runs", 2)]


@pytest.mark.slow
def test_component__table_that_changed__counts_as_it_is_now(project: Project, instance: dg.DagsterInstance) -> None:
    project.write(experiments={"checkout": RUNNING})
    assert project.run(instance, "checkout").metadata("checkout")["rows_read"] == 850
    assert project.run(instance, "checkout").metadata("checkout")["rows_read"] == 0  # as they were
    project.sql("delete from analytics.fct_orders where user_id like '%-b-%' and user_id not like '%0'")
    ran = project.run(instance, "checkout")
    (row,) = ran.metadata("checkout")["results"].records
    assert (ran.metadata("checkout")["rows_read"], row.data["effect"]) == (130, pytest.approx(0.1 - 1 / 3))


def test_component__table_with_a_freshness__has_a_check_of_its_newest_event__p7(
    project: Project, instance: dg.DagsterInstance
) -> None:
    months = "P12000D"  # the tests' events are of January 2026
    project.write({"events": [{**ORDERS, "freshness": "PT6H"}], "exposures": [{**EXPOSURES, "freshness": months}]})
    ran = project.run(instance, "checkout")
    late, fresh = (ran.check(None, f"{name}_is_fresh") for name in ("orders", "flag_exposures"))
    assert late == (False, "The newest event is of 2026-01-07T04:58:00Z. PT6H is allowed.")
    assert fresh == (True, "The newest event is of 2026-01-06T04:59:00Z.")
    assert project.run(instance, "checkout").check(None, "orders_is_fresh") == late, "nothing new was read"


def test_component__automation__requests_every_experiment_when_a_table_is_made__p2(
    project: Project, instance: dg.DagsterInstance
) -> None:
    project.write(
        {"automation": "{{ automation_condition.eager() }}"}, experiments=dict.fromkeys(("first", "second"), RUNNING)
    )
    definitions = project.definitions()
    results = dg.AssetKey("experiment_results")
    evaluate = partial(
        dg.evaluate_automation_conditions, definitions, instance, asset_selection=dg.AssetSelection.assets(results)
    )
    asked = evaluate()
    for table in ("fct_exposures", "fct_orders"):  # `eager` waits until all of them are there
        instance.report_runless_asset_event(dg.AssetMaterialization(dg.AssetKey(["analytics", table])))
    asked = evaluate(cursor=asked.cursor)
    assert asked.get_requested_partitions(results) == {"first", "second"}
    again = evaluate(cursor=asked.cursor)
    assert again.total_requested == 0


@pytest.mark.slow
def test_component__tables_of_a_connection__are_read_whole_without_a_cursor_and_by_it_with_one__d2(
    project: Project, instance: dg.DagsterInstance
) -> None:
    file = project.root / "shop.sqlite"
    exposures = project.sql("select user_id, variation, cast(exposed_at as varchar) from analytics.fct_exposures")
    orders = project.sql("select user_id, cast(ordered_at as varchar) from analytics.fct_orders")
    with closing(sqlite3.connect(file)) as shop, shop:
        shop.execute("create table exposures (user_id text, variation text, exposed_at text)")
        shop.executemany("insert into exposures values (?, ?, ?)", exposures)
        shop.execute("create table orders (number integer primary key, user_id text, ordered_at text)")
        shop.executemany("insert into orders (user_id, ordered_at) values (?, ?)", orders)
    place = {"asset": None, "connection": None}
    seen = {**EXPOSURES, **place, "table": "exposures", "as": {**EXPOSURES["as"], "feature": "checkout"}}
    bought = {**ORDERS, **place, "table": "orders", "cursor": {"column": "number"}}
    bought["as"] = {name: column for name, column in ORDERS["as"].items() if name != "value"}
    project.write(
        {
            "warehouse": "shop",
            "connections": {"shop": {"url": f"sqlite://{file}"}},
            "exposures": [{name: value for name, value in seen.items() if value is not None}],
            "events": [{name: value for name, value in bought.items() if value is not None}],
        },
        experiments={"checkout": RUNNING},
    )
    assert project.run(instance, "checkout").metadata("checkout")["rows_read"] == 600 + 250
    with closing(sqlite3.connect(file)) as shop, shop:
        shop.execute("delete from exposures where user_id like '%-b-%' and user_id like '%0'")
        shop.execute("insert into orders (user_id, ordered_at) values ('checkout-control-1', '2026-01-08 00:00:00')")
    ran = project.run(instance, "checkout")
    (row,) = ran.metadata("checkout")["results"].records
    assert (ran.metadata("checkout")["rows_read"], row.data["effect"]) == (
        570 + 1,
        pytest.approx(120 / 270 - 101 / 300),
    )
    assert project.run(instance, "checkout").metadata("checkout")["rows_read"] == 0, "the tables are as they were"
    files = Snapshot.open(project.root / "state/experiments/lake", EVENTS).data_files()
    assert [file.partition["month"] for file in files] == ["2026-01-removals", "2026-01"], "small files are merged"


@pytest.mark.slow
def test_component__table_that_is_read_whole_again__leaves_the_lake_after_a_while__e6(
    project: Project, instance: dg.DagsterInstance
) -> None:
    project.write()
    project.run(instance, "checkout")
    registry = Registry.open(f"sqlite:///{project.root / 'state/experiments/registry.sqlite'}")
    for number in range(2):
        long_ago = datetime.now(UTC) - timedelta(days=31)
        with registry.engine.begin() as connection:
            connection.execute(update(tables.batches).values(committed_at=long_ago))
        project.sql(f"insert into analytics.fct_orders values ('{number}', timestamp '2026-01-08', 10)")  # noqa: S608
        project.run(instance, "checkout")
    registry.close()
    removed = rows_by_removing_batch(Lake(project.root / "state/experiments/lake"))
    assert removed == {3: 251}, "what the second reading replaced is over, and what the third did is not"


@pytest.mark.slow
def test_component__two_in_one_project__have_nothing_in_common(project: Project, instance: dg.DagsterInstance) -> None:
    project.write()
    project.write({"results": {"key": "growth/results"}}, folder="growth")
    first, second = project.run(instance, "checkout"), project.run(instance, "checkout", key="growth/results")
    assert (first.steps, second.steps) == (["experiment_results"], ["growth__results"])
    assert first.metadata("checkout")["look"] == second.metadata("checkout")["look"] == 1


def test_component__two_with_the_same_key__are_refused_by_dagster(project: Project) -> None:
    project.write()
    project.write(folder="growth")
    with pytest.raises(dg.DagsterInvalidDefinitionError, match="experiment_results"):
        project.definitions().resolve_asset_graph()


def test_component__chain__has_every_step_of_a_refresh_as_an_asset(
    project: Project, instance: dg.DagsterInstance
) -> None:
    project.write({"assets": "chain", "translation": {"key_prefix": ["growth"]}})
    graph = project.definitions().resolve_asset_graph()
    parents = {
        key.to_user_string(): sorted(each.to_user_string() for each in graph.get(key).parent_keys)
        for key in graph.materializable_asset_keys
    }
    assert parents == {
        "growth/first_exposures": ["analytics/fct_exposures", "analytics/fct_orders"],
        "growth/exposure_buckets": ["growth/first_exposures"],
        "growth/exposures": ["growth/exposure_buckets"],
        "growth/variant_aggregates": ["growth/first_exposures"],
        "growth/srm": ["growth/first_exposures"],
        "growth/bayesian_results": ["growth/srm", "growth/variant_aggregates"],
        "growth/experiment_results": ["growth/bayesian_results"],
    }
    ours = build(Settings()).resolve_asset_graph()  # whose first exposures are computed from the lake
    steps = [key for key in ours.materializable_asset_keys if key.path[0] != "tables"]  # those of all looks
    edges = {key.to_user_string(): ours.get(key).parent_keys for key in steps}
    below = {f"growth/{name}": sorted(f"growth/{key.to_user_string()}" for key in edges[name]) for name in edges}
    assert parents | {"growth/first_exposures": ["growth/events"], "growth/events": []} == below
    job = project.definitions().resolve_implicit_global_asset_job_def()
    result = job.execute_in_process(instance=instance, partition_key="checkout")
    made = [event.asset_key.to_user_string() for event in result.all_events if event.is_step_materialization]  # type: ignore[union-attr]
    assert (result.success, sorted(made)) == (True, sorted(parents))


@pytest.mark.slow
def test_component__metrics_of_several_tables__are_told_apart(project: Project, instance: dg.DagsterInstance) -> None:
    wide = {
        "name": "orders",
        "query": "select *, ordered_at + interval 1 day as refunded_at from analytics.fct_orders",
        "as": [
            {"event": "purchased", "identifier": "user_id", "timestamp": "ordered_at", "value": "amount"},
            {"event": "refunded", "identifier": "user_id", "timestamp": "refunded_at", "value": "amount"},
        ],
        "timezone": "UTC",
    }
    refunds = {"refunds": {"aggregation": "occurrence", "definition": {"version": 1, "event": "refunded"}}}
    attached = [{"metric": name, "expected_direction": "increase"} for name in ("bought", "refunds")]
    project.write(
        {"events": [wide]}, experiments={"checkout": {**EXPERIMENT, "metrics": attached}}, metrics=METRICS | refunds
    )
    rows = project.run(instance, "checkout").metadata("checkout")["results"].records
    assert {row.data["metric"]: row.data["effect"] for row in rows} == {
        "bought": pytest.approx(1 / 6),
        "refunds": pytest.approx(1 / 6),
    }
