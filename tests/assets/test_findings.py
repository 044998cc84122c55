"""What a refresh finds wrong, from events that landed to the stored findings."""

from datetime import UTC, datetime
from typing import Any

from experiment_pipeline.assets.partitions import EXPERIMENTS
from experiment_pipeline.domain.refresh import StoredHealth
from experiment_pipeline.resources.dagster_instance import add_partitions, run_here
from experiment_pipeline.results.payload import ResultsPayload
from experiment_pipeline.schemas.manifests import parse_manifest
from tests.assets.conftest import Installation, crowd, exposure, purchase


def health(installation: Installation, key: str = "checkout") -> StoredHealth:
    stored = installation.registry.health.get(installation.experiment(key).id)
    assert stored is not None
    return stored


def wrong(installation: Installation, key: str = "checkout") -> dict[str, Any]:
    """Detail of each finding that did not pass, by the name of the check."""
    found = health(installation, key).findings
    return {finding["check"]: finding["detail"] for finding in found if finding["severity"] != "ok"}


def test_refresh__of_a_sound_experiment__stores_findings_that_passed(installation: Installation) -> None:
    installation.land("first", crowd(60, 60))
    installation.ingest()
    assert installation.refresh().success
    assert wrong(installation) == {}
    state, stored = installation.state(), health(installation)
    assert (stored.as_of, stored.data_version) == (state.as_of, state.data_version)
    assert len(stored.findings) >= 6


def test_refresh__mistakes_of_a_first_hour__are_each_named(installation: Installation) -> None:
    sent = [
        *(exposure(f"lost-{number}", "b", feature="Checkout") for number in range(20)),
        *(exposure(f"typed-{number}", "B", hours=3) for number in range(5)),
        *(exposure(f"early-{number}", "b", hours=-30) for number in range(4)),
        *(purchase(f"control-{number}", 10) | {"event": "purchased"} for number in range(7)),
    ]
    installation.land("first", crowd(60, 60, buying=0) + sent)
    installation.ingest()
    assert installation.refresh().success
    found = wrong(installation)
    assert "also came as 'Checkout' (20 exposures of 20 identities)" in found["flag_spelled_alike"]
    assert "'B' (5 identities, probably 'b')" in found["variants_declared"]
    assert (
        "4 exposures of 4 identities, the first 2026-02-27 18:00 UTC, before the start" in found["exposures_in_window"]
    )
    assert "the event 'purchase' never came to prod" in found["metric_events_seen"]
    assert "'purchased' (7)" in found["metric_events_seen"]
    payload: ResultsPayload | None = installation.state().payload
    assert payload is not None
    assert "findings" not in payload


PLANS = """
environments: {prod: {}}
metrics:
  pro_purchases:
    definition:
      version: 2
      statistic: mean
      measure: {event: purchase, aggregation: count, where: [{field: traits.plan, is: pro}]}
experiments:
  plans:
    hypothesis: It sells more.
    feature: plans
    status: running
    started_at: 2026-03-01T00:00:00Z
    variants: [{key: b, percentage_allocation: 50}]
    metrics: [{metric: pro_purchases, expected_direction: increase}]
    dimensions: [{name: version, trait: version}]
"""


def test_refresh__of_traits_in_several_types_and_a_broken_split__names_both__m7(
    installation: Installation,
) -> None:
    installation.registry.manifests.apply(parse_manifest(PLANS), actor="test", now=datetime.now(UTC))
    plans = ["pro", 1, "pro", None]
    versions = [2, 3, "2", "3", *[4] * 150]
    installation.land(
        "first",
        [
            *(purchase("control-0", 10, hours=n) | {"traits": {"plan": plan}} for n, plan in enumerate(plans)),
            *(
                exposure(f"b-{n}", "b", feature="plans") | {"traits": {"version": version}}
                for n, version in enumerate(versions)
            ),
        ],
    )
    installation.ingest()
    assert installation.refresh("plans").success
    found = wrong(installation, "plans")
    types, split = found["fields_of_one_type"], found["split_by_dimension"]
    assert "traits.plan of 'purchase' came as 1 number (1), 2 texts (\"pro\"); " in types
    assert 'traits.version of the exposures came as 152 numbers (2, 4), 2 texts ("2", "3").' in types
    assert "In 1 of 3 values the split is too far from the configured shares" in split
    assert "version '4' (control: 0, b: 150)." in split


TWO_ENVIRONMENTS = """
environments: {prod: {}, staging: {}}
experiments:
  checkout:
    environment: staging
    hypothesis: It sells more.
    feature: checkout
    status: running
    started_at: 2026-03-01T00:00:00Z
    variants: [{key: b, percentage_allocation: 50}]
    metrics: [{metric: bought, expected_direction: increase}]
metrics:
  bought: {environment: staging, aggregation: occurrence, definition: {version: 1, event: purchase}}
"""


def test_refresh__of_two_environments_of_which_one_has_bad_records__warns_of_that_one_alone__e3(
    installation: Installation,
) -> None:
    registry = installation.registry
    registry.manifests.apply(parse_manifest(TWO_ENVIRONMENTS), actor="test", now=datetime.now(UTC))
    good = crowd(60, 60)
    bad = [exposure("", "b") for _ in range(30)] + [exposure("late", "b") | {"timestamp": "soon"} for _ in range(20)]
    installation.land("first", good)
    installation.land("first", good + good + bad, environment="staging")
    installation.ingest()
    staging = registry.experiments.find("staging", "checkout")
    add_partitions(installation.instance, EXPERIMENTS, [staging.partition_key])
    refreshed = run_here(installation.definitions, "refresh_experiment", installation.instance, staging.partition_key)
    assert refreshed.success
    assert installation.refresh().success
    assert wrong(installation) == {}
    stored = registry.health.get(staging.id)
    assert stored is not None
    found = {each["check"]: each for each in stored.findings if each["severity"] != "ok"}
    assert found.keys() == {"few_rejected", "few_duplicates"}
    rejected, duplicates = found["few_rejected"]["evidence"], found["few_duplicates"]["evidence"]
    assert (rejected["records"], rejected["rejected"]) == (2 * len(good) + 50, 50)
    assert (rejected["most_frequent_reason"], rejected["of_this_reason"]) == ("empty:identifier", 30)
    assert (duplicates["events"], duplicates["duplicates"]) == (2 * len(good), len(good))
