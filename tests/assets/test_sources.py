"""Assets of sources: rows land and are ingested, checks warn, and a pull that fails keeps what had landed (D0, D4)."""

import os
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from syrupy.assertion import SnapshotAssertion

from experiment_pipeline.assets.sources import key_of
from experiment_pipeline.definitions import build
from experiment_pipeline.resources.dagster_instance import run_here
from experiment_pipeline.resources.loaded_sources import LoadedSources
from experiment_pipeline.schemas.manifests import parse_manifest
from experiment_pipeline.settings import Settings
from tests.assets.conftest import Installation

NOW = datetime.now(UTC)
ORDERS = key_of("orders")
MANIFEST = """
connections: {{shop: {{url_env: SHOP_DATABASE_URL}}}}
environments: {{prod: {{}}}}
sources:
  orders:
    files: {folder}/orders/*.csv
    as: {{event: purchase, identifier: user, timestamp: at, value: amount, event_id: number}}
    every: PT1H
    upstream: [analytics/fct_orders, events, sources/orders]
"""


class Shop:
    """A folder of orders, and an installation whose code location is loaded with the source that reads it."""

    def __init__(self, installation: Installation, folder: Path) -> None:
        self.installation, self.folder = installation, folder
        self.apply()

    def apply(self, more: str = "", **changed: str) -> None:
        """Apply a manifest, and load the code location anew."""
        text = MANIFEST.format(folder=self.folder) + more
        for old, new in changed.items():
            text = text.replace(f"{old}:", new)
        self.declare(text)
        self.installation.definitions = build(
            self.installation.settings, LoadedSources.read(self.installation.settings)
        )

    def declare(self, manifest: str) -> None:
        self.installation.registry.manifests.apply(parse_manifest(manifest), actor="test", now=NOW)

    def write(self, name: str, *rows: tuple[Any, ...], columns: str = "user,at,amount,number") -> None:
        file = self.folder / "orders" / name
        file.parent.mkdir(exist_ok=True)
        file.write_text("\n".join([columns, *(",".join(map(str, row)) for row in rows)]) + "\n")

    def pull(self, source: str = "orders") -> dg.ExecuteInProcessResult:
        definitions, instance = self.installation.definitions, self.installation.instance
        job = definitions.resolve_implicit_global_asset_job_def()
        return job.execute_in_process(instance=instance, asset_selection=[key_of(source)], raise_on_error=False)

    def ingest(self) -> Sequence[dg.AssetCheckEvaluation]:
        definitions, instance = self.installation.definitions, self.installation.instance
        return run_here(definitions, "ingest_events", instance).get_asset_check_evaluations()


@pytest.fixture
def shop(installation: Installation, tmp_path: Path) -> Shop:
    return Shop(installation, tmp_path)


def order(number: int, age: timedelta = timedelta(minutes=5), user: str = "1") -> tuple[Any, ...]:
    return (user, (NOW - age).isoformat(), 2.5, number)


def told(run: dg.ExecuteInProcessResult) -> dict[str, Any]:
    (materialised,) = run.asset_materializations_for_node("sources__orders")
    return {name: each.value for name, each in materialised.metadata.items()}


def failed(run: dg.ExecuteInProcessResult) -> dict[str, str | None]:
    """The checks that have failed, with what they say."""
    return {each.check_name: each.description for each in run.get_asset_check_evaluations() if not each.passed}


def test_graph__with_sources__has_one_asset_for_each_upstream_of_events(
    shop: Shop, snapshot: SnapshotAssertion
) -> None:
    specs = shop.installation.definitions.resolve_all_asset_specs()
    graph = {
        spec.key.to_user_string(): {
            "after": sorted(dependency.asset_key.to_user_string() for dependency in spec.deps),
            "group": spec.group_name,
        }
        for spec in specs
        if spec.key in {ORDERS, dg.AssetKey("events"), dg.AssetKey(["analytics", "fct_orders"])}
    }
    assert graph == snapshot


def test_graph__with_sources__is_otherwise_what_it_is_without(shop: Shop) -> None:
    plain = {spec.key: spec for spec in build(shop.installation.settings).resolve_all_asset_specs()}
    loaded = {spec.key: spec for spec in shop.installation.definitions.resolve_all_asset_specs()}
    assert loaded.keys() - plain.keys() == {ORDERS, dg.AssetKey(["analytics", "fct_orders"])}
    events = loaded[dg.AssetKey("events")]
    assert [each.asset_key for each in events.deps] == [ORDERS]
    assert {**loaded, events.key: events.replace_attributes(deps=[])}.items() >= plain.items()


def test_source__new_rows__land_are_told_and_are_ingested(shop: Shop) -> None:
    shop.write("a.csv", order(1), order(2, timedelta(hours=3)))
    run = shop.pull()
    assert run.success
    metadata = told(run)
    assert {name: metadata[name] for name in ("rows", "records", "ranges", "version", "environment")} == {
        "rows": 2,
        "records": 2,
        "ranges": 1,
        "version": 1,
        "environment": "prod",
    }
    assert [(each.name, each.type) for each in metadata["dagster/column_schema"].columns] == [
        ("user", "text"),
        ("at", "text"),
        ("amount", "text"),
        ("number", "text"),
    ]
    span = metadata["newest_event_read"] - metadata["oldest_event_read"]
    assert (round(span), metadata["lag_seconds"] >= 300, metadata["rejected"]) == (10_500, True, {})
    assert metadata["read"]["files"] == [str(shop.folder / "orders/a.csv")]
    assert failed(run) == {}
    assert not [check for check in shop.ingest() if not check.passed]
    (ingested,) = shop.installation.instance.fetch_materializations(dg.AssetKey("events"), limit=1).records
    assert ingested.asset_materialization is not None
    assert ingested.asset_materialization.metadata["accepted"].value == 2


def test_source__nothing_new__keeps_columns_and_newest_event_of_the_pull_before(shop: Shop) -> None:
    shop.write("a.csv", order(1))
    first, again = told(shop.pull()), told(shop.pull())
    assert (again["rows"], again["dagster/row_count"]) == (0, 1)
    for name in ("dagster/column_schema", "newest_event"):
        assert again[name] == first[name]
    assert "newest_event_read" not in again


def test_source__old_events_repeated_ids_and_empty_cells__are_warned_of(shop: Shop) -> None:
    old = timedelta(hours=2, minutes=1)
    shop.write("a.csv", order(1, old), order(1, old), order(2, old, user=""))
    run = shop.pull()
    assert run.success
    found = failed(run)
    assert found["rows_are_unique"] == (
        "1 of the first 3 rows have an event id that is there already. Equal rows count once (rule E4), others each."
    )
    assert found["columns_are_filled"] == "Empty: user in 1 of 3 rows. These rows are rejected."
    assert "more than PT2H ago" in str(found["events_are_recent"])
    assert (told(run)["rejected"], told(run)["judged_records"]) == ({"missing_field:identifier": 1}, 3)
    assert "columns_are_unchanged" not in found


def test_source__other_columns_than_before__are_warned_of_once_and_not_of_a_new_version(shop: Shop) -> None:
    shop.write("a.csv", order(1))
    assert failed(shop.pull()) == {}
    shop.write("b.csv", (*order(2), "EUR"), columns="user,at,amount,number,currency")
    assert failed(shop.pull()) == {"columns_are_unchanged": "currency is new."}
    assert failed(shop.pull()) == {}
    shop.apply(files="query: select * exclude (currency) from files\n    files:")
    shop.write("c.csv", (*order(3), "EUR"), columns="user,at,amount,number,currency")
    run = shop.pull()
    assert (told(run)["version"], failed(run)) == (2, {})


def test_source__column_that_is_gone__fails_the_asset_and_what_had_landed_stays(shop: Shop) -> None:
    shop.write("a.csv", order(1))
    shop.pull()
    shop.write("b.csv", (*order(2)[:2], 2), columns="user,at,number")
    run = shop.pull()
    assert not run.success
    (event,) = run.get_step_failure_events()
    assert "sources.orders.as.value: " in str(event.step_failure_data.user_failure_data)
    assert shop.installation.registry.source_ranges.progress()["orders"].rows == 1
    shop.ingest()
    assert shop.installation.instance.get_latest_materialization_event(ORDERS) is not None


def test_source__database_that_is_lost__fails_without_its_password(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.apply(
        """
  visits:
    connection: shop
    query: select user_id, seen_at from visits
    as: {event: visited, identifier: user_id, timestamp: seen_at}
"""
    )
    monkeypatch.setitem(os.environ, "SHOP_DATABASE_URL", "postgresql://reader:hunter2@127.0.0.1:1/shop")
    monkeypatch.setattr("experiment_pipeline.resources.retries.POLICY", dg.RetryPolicy(max_retries=1, delay=0))
    run = shop.pull("visits")
    assert not run.success
    log = [str(event) for event in run.all_events]
    assert any("STEP_UP_FOR_RETRY" in each for each in log)
    assert not [each for each in log if "hunter2" in each or "reader" in each]
    (event,) = run.get_step_failure_events()
    assert "connections.shop: The server cannot be reached" in str(event.step_failure_data.user_failure_data)


def test_source__identity_links__have_no_times_that_could_be_late(shop: Shop) -> None:
    (shop.folder / "links.csv").write_text("cookie,customer\na,1\n")
    links = f"{shop.folder}/links.csv"
    shop.apply(f"  links: {{files: {links}, every: PT1M, as: {{anonymous: cookie, known: customer}}}}\n")
    run = shop.pull("links")
    assert run.success
    assert (failed(run), len(run.get_asset_check_evaluations())) == ({}, 3)


def test_events_check__sources_that_changed_since_they_were_loaded__asks_to_reload(shop: Shop) -> None:
    more = "  refunds: {files: /tmp/refunds.csv, as: {event: refund, identifier: user, timestamp: at}}\n"
    shop.declare(MANIFEST.format(folder=shop.folder).replace("PT1H", "PT2H") + more)
    found = {check.check_name: check for check in shop.ingest()}["sources_are_loaded"]
    assert not found.passed
    assert found.description == (
        "A source has no asset: refunds; has another interval or upstream: orders. Reload the code location, so that "
        "Dagster has an asset for every source as it is declared now."
    )
    shop.apply(more)
    assert {check.check_name: check.passed for check in shop.ingest()}["sources_are_loaded"]


def test_events_check__registry_that_could_not_be_read__says_so(shop: Shop) -> None:
    away = LoadedSources.read(Settings(registry_url="postgresql+psycopg://u:hunter2@127.0.0.1:1/registry"))
    assert away.sources == ()
    shop.installation.definitions = build(shop.installation.settings, away)
    found = {check.check_name: check for check in shop.ingest()}["sources_are_loaded"]
    assert "has no asset: orders" in str(found.description)
    assert "could not be read when it was loaded" in str(found.description)
    assert "hunter2" not in str(found.description)
