"""The shop's experiments: the declarations hold, and the results are those of a plain computation."""

import csv
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import dagster as dg
import duckdb
import pytest

SHOP = Path(__file__).parents[1]
START, END = datetime(2026, 3, 2), datetime(2026, 3, 16)


@dataclass(frozen=True)
class Built:
    """The project after dbt has built its tables."""

    definitions: dg.Definitions
    instance: dg.DagsterInstance
    warehouse: Path

    def materialise(self, selection: str, partition_key: str | None = None) -> dg.ExecuteInProcessResult:
        """Run what `dagster asset materialize --select` would run."""
        graph = self.definitions.resolve_asset_graph()
        keys = list(dg.AssetSelection.from_string(selection).resolve(graph))
        job = dg.define_asset_job("selected", keys)
        whole = dg.Definitions.merge(self.definitions, dg.Definitions(jobs=[job]))
        return whole.resolve_job_def("selected").execute_in_process(instance=self.instance, partition_key=partition_key)

    def rows(self, query: str) -> list[dict[str, Any]]:
        """Return rows of the warehouse."""
        with duckdb.connect(str(self.warehouse), read_only=True) as connection:
            found = connection.execute(query)
            names = [column[0] for column in found.description]
            return [dict(zip(names, row, strict=True)) for row in found.fetchall()]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Built]:
    home = tmp_path_factory.mktemp("home")
    warehouse = home / "shop.duckdb"
    os.environ |= {"DAGSTER_HOME": str(home), "SHOP_DUCKDB": str(warehouse), "DBT_SEND_ANONYMOUS_USAGE_STATS": "false"}
    dbt = [str(Path(sys.executable).with_name("dbt")), "parse", "--profiles-dir", "."]
    subprocess.run(dbt, cwd=SHOP / "dbt", check=True, capture_output=True)
    sys.path.insert(0, str(SHOP))
    from shop.definitions import defs

    with dg.DagsterInstance.ephemeral() as instance:
        built = Built(defs(), instance, warehouse)
        assert built.materialise("not key:experiment_results").success
        assert built.materialise("key:experiment_results", "free_delivery").success
        yield built


def test_lineage__results__come_from_the_models_of_dbt(built: Built) -> None:
    upstream = built.definitions.resolve_asset_graph().get(dg.AssetKey("experiment_results")).parent_keys
    assert upstream == {dg.AssetKey("fct_exposures"), dg.AssetKey("fct_orders")}


def test_results__equal_a_plain_computation(built: Built) -> None:
    first: dict[str, tuple[datetime, str]] = {}
    for row in _seed("raw_assignments"):
        at = datetime.fromisoformat(row["exposed_at"])
        if START <= at < END and (row["user_id"] not in first or at < first[row["user_id"]][0]):
            first[row["user_id"]] = (at, row["variation"])
    bought = {
        row["user_id"]
        for row in _seed("raw_orders")
        if row["status"] != "cancelled"
        and row["user_id"] in first
        and first[row["user_id"]][0] <= datetime.fromisoformat(row["ordered_at"]) < END
    }
    of_arm = {arm: {who for who, (_, variant) in first.items() if variant == arm} for arm in ("control", "free")}
    shares = {arm: len(people & bought) / len(people) for arm, people in of_arm.items()}
    (found,) = built.rows("select * from experiment_results where metric = 'purchase_rate'")
    assert (found["control_n"], found["treatment_n"]) == (len(of_arm["control"]), len(of_arm["free"]))
    assert found["effect"] == pytest.approx(shares["free"] - shares["control"], rel=1e-12)
    assert (found["verdict"], found["decision"]) == ("winning", "ship")


def test_checks__of_the_partition__are_there_and_pass(built: Built) -> None:
    graph = built.definitions.resolve_asset_graph()
    split = dg.AssetCheckKey(dg.AssetKey("experiment_results"), "split_as_configured")
    assert split in graph.asset_check_keys
    (record,) = built.instance.event_log_storage.get_asset_check_execution_history(split, limit=1)
    assert record.event is not None
    evaluation = record.event.dagster_event.asset_check_evaluation_data  # type: ignore[union-attr]
    assert (evaluation.passed, evaluation.partition) == (True, "free_delivery")


def test_run_again__on_the_same_tables__makes_no_further_row(built: Built) -> None:
    before = built.rows("select count(*) as n from experiment_results")
    assert built.materialise("key:experiment_results", "free_delivery").success
    assert built.rows("select count(*) as n from experiment_results") == before


def _seed(name: str) -> list[dict[str, str]]:
    with (SHOP / "dbt" / "seeds" / f"{name}.csv").open(encoding="utf-8", newline="") as opened:
        return list(csv.DictReader(opened))
