"""One experiment from its creation to its final row, with every real process (rules R2-R8)."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.assets.conftest import crowd
from tests.e2e.conftest import System, eventually

pytestmark = pytest.mark.e2e

EXPERIMENT = {
    "key": "checkout",
    "name": "Checkout",
    "hypothesis": "It sells more.",
    "feature": "checkout",
    "variants": [{"key": "b", "percentage_allocation": 50}],
    "metrics": [{"metric": "bought", "expected_direction": "increase"}],
}


def land(system: System, name: str, records: list[dict[str, Any]]) -> None:
    """As a collector does: under a hidden name first."""
    import json

    now = datetime.now(UTC)
    folder = system.settings.landing_dir / f"events/env_key=prod/{now:%Y/%m/%d/%H}"
    folder.mkdir(parents=True, exist_ok=True)
    hidden = folder / f".{name}.jsonl"
    hidden.write_text("".join(json.dumps(record) + "\n" for record in records))
    hidden.rename(folder / f"{now:%Y%m%dT%H%M%S}.{now:%f}Z-{name}.jsonl")


def happening_now(records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The same records, a moment ago."""
    return [record | {"timestamp": datetime.now(UTC).isoformat()} for record in records]


def results(system: System) -> dict[str, Any] | None:
    answer = system.ask("GET", "/experiments/checkout/results/")
    assert answer.status_code == 200, answer.text
    envelope: dict[str, Any] | None = answer.json()["results"]
    return envelope


def test_experiment__from_creation_to_its_final_row(system: System) -> None:
    created = system.ask("POST", "/experiments/", json=EXPERIMENT)
    assert created.status_code == 201, created.text
    assert system.ask("POST", "/experiments/checkout/start/").status_code == 200
    land(system, "first", happening_now(crowd(60, 60)))
    eventually(lambda: system.registry.batches.lake_version().data_version == 1, "the sensor ingests what landed")

    assert system.ask("POST", "/experiments/checkout/results/refresh/").status_code == 202
    first = eventually(
        lambda: found if (found := results(system)) and found["payload"] and variants(found)["b"]["n"] else None,
        "a fresh payload",
    )
    assert variants(first)["b"] == {"n": 60, "sum": 30.0, "sum_squares": 30.0}
    throttled = system.ask("POST", "/experiments/checkout/results/refresh/")
    assert throttled.status_code == 429
    assert 0 < int(throttled.headers["Retry-After"]) <= 300

    assert system.ask("POST", "/experiments/checkout/complete/").status_code == 200
    final = eventually(
        lambda: found if (found := results(system)) and found["is_final"] else None, "it becomes final by itself"
    )
    refused = system.ask("POST", "/experiments/checkout/results/refresh/")
    assert (refused.status_code, refused.json()["detail"]) == (400, "Results are final for this completed experiment.")

    partition_key = system.registry.experiments.find("prod", "checkout").partition_key
    everything = ("first_exposures", "exposure_buckets", "exposures", "variant_aggregates", "srm", "bayesian_results",
                  "experiment_results")  # fmt: skip
    for selection in (everything, ("srm", "bayesian_results", "experiment_results")):
        assert system.ended(system.launch(partition_key, *selection)) == "SUCCESS"  # and changes nothing (R8)
    assert results(system) == final
    assert final["last_error_at"] is None
    assert datetime.fromisoformat(final["as_of"]) <= datetime.now(UTC) + timedelta(seconds=1)


def variants(envelope: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = envelope["payload"]["metrics"][0]["variants"]
    return found
