"""Asset pages of an experiment: its summary with pictures, its name and links, columns, row counts and owners."""

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import dagster as dg
import pytest

from experiment_pipeline.assets import experiment_pages
from experiment_pipeline.assets.columns import EVENT_MEANINGS, PARTITION_ROWS, PAYLOADS, ROWS, SCHEMA
from experiment_pipeline.definitions import build
from experiment_pipeline.lake.delta import EVENTS
from experiment_pipeline.results.payload import ExposuresPayload, ResultsPayload
from experiment_pipeline.results.published_tables import PUBLISHED_TABLES
from experiment_pipeline.schemas.manifests import parse_manifest
from experiment_pipeline.settings import Settings
from tests.assets.conftest import STARTED_AT, Installation, crowd
from tests.pages.published import HOSTILE
from tests.slow_cases import slow_after

PURCHASE = {"version": 1, "event": "purchase"}
LIMIT = 50_000  # bytes of the metadata of one materialisation
PARTITIONED = (
    *("first_exposures", "exposure_buckets", "exposures"),
    *("variant_aggregates", "srm", "bayesian_results", "experiment_results"),
)


def metadata_of(installation: Installation, asset: str) -> dict[str, Any]:
    event = installation.instance.get_latest_materialization_event(dg.AssetKey(asset))
    assert event is not None
    assert event.asset_materialization is not None
    return dict(event.asset_materialization.metadata)


def size_of(installation: Installation, asset: str) -> int:
    event = installation.instance.get_latest_materialization_event(dg.AssetKey(asset))
    assert event is not None
    return len(dg.serialize_value(event.asset_materialization).encode())


def refreshed(installation: Installation) -> Installation:
    installation.land("first", crowd(200, 200))
    installation.ingest()
    assert installation.refresh().success
    return installation


def test_pages__of_results_and_exposures__have_a_summary_with_a_table_and_pictures(installation: Installation) -> None:
    refreshed(installation)
    results = metadata_of(installation, "experiment_results")["summary"].value
    assert results.startswith("# checkout\n\n`checkout` in `prod`, running")
    assert "**keep running**: Neither better nor worse is shown on bought so far." in results
    assert "| **bought**, higher is better | control | 100 of 200 | 50.000\u00a0% |" in results
    decision = metadata_of(installation, "experiment_results")["decision"].value
    assert decision == "keep running: Neither better nor worse is shown on bought so far."
    assert results.count("](data:image/svg+xml;base64,") == 3, "effects, looks, identities"
    assert "1 other health check" not in results
    exposures = metadata_of(installation, "exposures")["summary"].value
    assert "| control | 200 | 50.00 % | 50 % |" in exposures
    assert exposures.count("](data:image/svg+xml;base64,") == 1


def test_pages__of_every_partitioned_asset__name_the_experiment_and_count_rows(installation: Installation) -> None:
    refreshed(installation)
    for asset in PARTITIONED:
        told = metadata_of(installation, asset)
        assert told["experiment"].value == "checkout (checkout in prod)"
        assert told["api_results"].value == "GET /api/v1/environments/prod/experiments/checkout/results/"
        assert (PARTITION_ROWS in told) is (asset not in ("exposures", "experiment_results"))
    assert metadata_of(installation, "first_exposures")[PARTITION_ROWS].value == 400
    assert metadata_of(installation, "exposure_buckets")[PARTITION_ROWS].value == 2
    assert metadata_of(installation, "events")[ROWS].value == 600


def test_pages__of_an_installation_with_an_address__link_to_it(installation: Installation) -> None:
    known = Settings(data_dir=installation.settings.data_dir, public_url="https://experiments.example.com/")
    refreshed(replace(installation, definitions=build(known)))
    link = metadata_of(installation, "experiment_results")["api_exposures"]
    assert isinstance(link, dg.UrlMetadataValue)
    address = "https://experiments.example.com/api/v1/environments/prod/experiments/checkout/exposures/"
    assert link.value == address
    page = metadata_of(installation, "exposures")["results_page"].value
    assert page == "https://experiments.example.com/environments/prod/experiments/checkout/"


def test_pages__that_cannot_be_made__fail_no_refresh(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> str:
        raise ValueError("no page")

    monkeypatch.setattr(experiment_pages, "experiment_markdown", broken)
    refreshed(installation)
    assert "summary" not in metadata_of(installation, "experiment_results")
    assert installation.state().payload is not None


def large(name: str) -> dict[str, Any]:
    """Return the manifest of an experiment of 30 metrics, three of them broken down, and 8 variants."""
    metrics = {f"{number}{name}"[:200]: {"aggregation": "occurrence", "definition": PURCHASE} for number in range(30)}
    keys = ["b", *(f"variant-{number}" for number in range(6))]
    treatments = [{"key": key, "percentage_allocation": 12.5} for key in keys]
    return {
        "environments": {"prod": {}},
        "metrics": metrics,
        "experiments": {
            "large": {
                "name": name[:200],
                "hypothesis": name,
                "feature": "large",
                "status": "running",
                "started_at": "2026-03-01T00:00:00Z",
                "variants": treatments,
                "metrics": [{"metric": key, "expected_direction": "increase"} for key in metrics],
                "dimensions": [{"name": "country", "trait": "country"}],
            }
        },
    }


@pytest.mark.parametrize("name", slow_after(1, HOSTILE.values()), ids=HOSTILE)
def test_pages__of_a_large_experiment_of_any_name__stay_below_their_limit(
    installation: Installation, name: str
) -> None:
    shown = "".join(letter for letter in name if letter.isprintable())
    manifest = parse_manifest(json.dumps(large(shown)))
    installation.registry.manifests.apply(manifest, actor="test", now=STARTED_AT + timedelta(days=1))
    installation.land("first", crowd(200, 200, feature="large"))
    installation.ingest()
    assert installation.refresh("large").success
    assert {asset: size for asset in PARTITIONED if (size := size_of(installation, asset)) > LIMIT} == {}
    assert "data:image/svg" in metadata_of(installation, "experiment_results")["summary"].value


def test_definitions__every_asset__has_columns_owners_and_kinds() -> None:
    specs = build(Settings(asset_owners="team:growth, ada@example.com")).resolve_all_asset_specs()
    assert len(specs) == 1 + len(PARTITIONED) + len(PUBLISHED_TABLES)
    for spec in specs:
        schema = spec.metadata[SCHEMA]
        assert all(column.description for column in schema.columns)
        assert (list(spec.owners), bool(spec.kinds)) == (["team:growth", "ada@example.com"], True)
        assert spec.description


def test_columns__of_payloads_and_events__are_all_of_them() -> None:
    assert PAYLOADS["exposures"].keys() == ExposuresPayload.__annotations__.keys()
    assert PAYLOADS["experiment_results"].keys() == ResultsPayload.__annotations__.keys()
    assert EVENT_MEANINGS.keys() == {field.name for field in EVENTS.schema.fields}
