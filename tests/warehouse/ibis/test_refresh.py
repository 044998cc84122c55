"""Refreshes through Dagster over events that lie in a warehouse: what is published, and what is said of it (N1-N10)."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from pydantic import SecretStr

from experiment_pipeline.definitions import build
from experiment_pipeline.domain.refresh import Computation
from experiment_pipeline.health.health_check import NOT_MADE
from experiment_pipeline.settings import Settings
from tests.assets.conftest import Installation, crowd, declared, exposure, purchase
from tests.warehouse.ibis.conftest import Row, Table

EARLIER = timedelta(minutes=10)  # longer than a row needs to settle
Records = Iterable[dict[str, Any]]


def rows_of(records: Records, loaded_at: datetime | None = None) -> list[Row]:
    at = loaded_at or datetime.now(UTC) - EARLIER
    return [
        (
            "prod",
            each["event"],
            each.get("feature_name"),
            each["identifier"],
            str(each["value"]),
            datetime.fromisoformat(each["timestamp"]),
            None,
            None,
            None,
            at,
        )
        for each in records
    ]


@contextmanager
def in_place(folder: Path, url: str, **settings: Any) -> Iterator[Installation]:
    """Make an installation whose environments are analysed in a warehouse unless they name another engine."""
    with declared(folder) as made:
        fields = {"data_dir": folder, "finality_grace": timedelta(0), "warehouse": SecretStr(url), **settings}
        made.settings = Settings(**fields)
        made.definitions = build(made.settings)
        yield made


def loading(installation: Installation) -> tuple[str, dict[str, Any]]:
    """Return what the newest results say of the rows of the warehouse: code and evidence."""
    stored = installation.registry.health.get(installation.experiment().id, 1)
    (found,) = (each for each in (stored.findings if stored else ()) if each["check"] == "loaded_in_order")
    return found["code"], found["evidence"]


def metadata(done: dg.ExecuteInProcessResult, asset: str) -> dict[str, Any]:
    """Return the metadata of an asset that a run has materialised."""
    (event,) = (each for each in done.get_asset_materialization_events() if each.asset_key == dg.AssetKey(asset))
    return {name: each.value for name, each in event.materialization.metadata.items()}


@pytest.mark.parametrize(
    ("table", "writes"),
    [("clickhouse", False), ("clickhouse", True), ("postgres", False), ("postgres", True), ("spark", False)],
    indirect=["table"],
)
def test_refresh__over_events_in_a_warehouse__publishes_what_the_embedded_engine_does__n10(
    table: Table, tmp_path: Path, *, writes: bool
) -> None:
    records = [*crowd(200, 220), exposure("both", "b"), exposure("both", "control", 3), purchase("b-1", "2.5", 3)]
    table.replace_rows(rows_of([*records, *records[:50]]))
    with declared(tmp_path / "lake") as embedded:
        embedded.land("all", records)
        embedded.ingest()
        assert embedded.refresh().success
        wanted = {each: embedded.state(each).payload or {} for each in Computation}
    with in_place(tmp_path / "warehouse", table.url, warehouse_write=writes) as installation:
        done = installation.refresh()
        found = {each: installation.state(each) for each in Computation}
        health = installation.registry.health.get(installation.experiment().id, 1)
    assert found[Computation.EXPOSURES].payload == wanted[Computation.EXPOSURES]
    ours, theirs = found[Computation.RESULTS].payload or {}, wanted[Computation.RESULTS]
    assert ours["srm"] == theirs["srm"]
    assert [each["verdict"] for each in ours["metrics"]] == [each["verdict"] for each in theirs["metrics"]]
    for metric, other in zip(ours["metrics"], theirs["metrics"], strict=True):
        for variant, aggregates in other["variants"].items():
            assert metric["variants"][variant] == pytest.approx(aggregates, rel=1e-12)
            assert metric["variants"][variant]["n"] == aggregates["n"]
    refused = ["health_inputs", "look_comparison", "self_check", "sensitivity", "replay"]
    assert ours["engine"] == {"name": table.name, "not_computed": refused, "rejected": {}}
    assert "engine" not in theirs
    assert health is not None
    codes = {each["check"]: each["code"] for each in health.findings}
    assert (codes["few_rejected"], codes["control_agrees_with_itself"]) == (NOT_MADE, NOT_MADE)
    assert NOT_MADE not in (codes["split_as_configured"], codes["values_readable"])
    of_moments = metadata(done, "variant_aggregates")
    assert of_moments["refresh"] == "full (events are analysed where they lie)"
    assert of_moments["statements"] == 2
    newest = datetime.fromtimestamp((found[Computation.RESULTS].data_version or 0) / 1e6, UTC)
    assert datetime.now(UTC) - newest >= EARLIER


def test_refresh__of_rows_that_are_loaded_too_lately__reads_them_not_before_they_settle__n4(
    table: Table, tmp_path: Path
) -> None:
    table.replace_rows([*rows_of(crowd(20, 20)), *rows_of([exposure("late", "b")], datetime.now(UTC))])
    with in_place(tmp_path, table.url) as installation:
        installation.refresh()
        assert sum(installation.results()["srm"]["identities"].values()) == 40
        installation.settings = installation.settings.model_copy(update={"warehouse_settle": timedelta(0)})
        installation.definitions = build(installation.settings)
        installation.refresh()
        assert sum(installation.results()["srm"]["identities"].values()) == 41
        look = (installation.state().payload or {})["look"]
        assert (look["number"], look["new_identities"], look["restated"]) == (2, 1, None)
        assert loading(installation)[0] == "loaded_in_order"


def test_refresh__after_rows_were_loaded_below_its_data_version__finds_them__n4(table: Table, tmp_path: Path) -> None:
    loaded_at = datetime.now(UTC) - EARLIER
    table.replace_rows(rows_of(crowd(20, 20), loaded_at))
    with in_place(tmp_path, table.url) as installation:
        installation.refresh()
        code, evidence = loading(installation)
        assert (code, evidence["rows"], evidence["cost"]["statements"]) == ("loading_not_compared", 60, 6)
        table.replace_rows(rows_of([*crowd(20, 20), purchase("b-19", 10)], loaded_at))
        installation.refresh()
        code, evidence = loading(installation)
    assert (code, evidence["counted_before"], evidence["counted_again"]) == ("rows_below_data_version", 60, 61)


def test_refresh__of_rows_that_break_the_contract__leaves_them_out_and_counts_them_by_reason__n10(
    table: Table, tmp_path: Path
) -> None:
    broken = [exposure("", "b"), exposure("no-variant", ""), exposure("x" * 2001, "b"), purchase("", 5)]
    table.replace_rows(rows_of([*crowd(20, 20), *broken]))
    with in_place(tmp_path, table.url) as installation:
        installation.refresh()
        results = installation.results()
    assert results["engine"]["rejected"] == {"empty:identifier": 2, "missing_field:value": 1, "too_long": 1}
    assert sum(results["srm"]["identities"].values()) == 40
