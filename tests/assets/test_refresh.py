"""A refresh through Dagster: what it publishes, what it refuses, what a failure leaves behind (rules R1-R8)."""

from datetime import UTC, datetime, timedelta

import dagster as dg
import pytest

from experiment_pipeline.domain.metric_measurement import MeasurementSource
from experiment_pipeline.domain.refresh import ClaimSource, Computation
from experiment_pipeline.warehouse.artifacts import ArtifactStore, read_stamp
from tests.assets.conftest import Installation, crowd, exposure, purchase

ARTIFACTS = ("first_exposures", "exposure_buckets", "variant_aggregates", "srm", "bayesian_results")


def test_refresh__after_ingestion__publishes_both_payloads(installation: Installation) -> None:
    installation.land("first", crowd(100, 100))
    installation.ingest()
    assert installation.refresh().success
    exposures, results = (installation.state(computation).payload for computation in Computation)
    assert exposures is not None
    assert results is not None
    assert exposures["timeseries"]["points"] == [
        {"bucket": "2026-03-01T00:00:00Z", "new_identities": {"b": 100, "control": 100}}
    ]
    assert results["trustworthy"] is True
    bought, spent = results["metrics"]
    assert bought["variants"]["b"] == {"n": 100, "sum": 50.0, "sum_squares": 50.0}
    assert spent["variants"]["control"] == {"n": 100, "sum": 500.0, "sum_squares": pytest.approx(5000.0, rel=1e-12)}
    assert bought["verdict"] == {"b": "inconclusive"}
    live = installation.registry.live_stats.get(installation.experiment().id)
    assert live is not None
    assert (live.as_of, live.data_version) == (installation.state().as_of, 1)
    (compared,) = live.payload["comparisons"]
    assert compared["effect"] == bought["effect"]["b"]
    assert (live.payload["primary_metric_name"], live.payload["conversions_total"]) == ("bought", 100)
    stored = ArtifactStore(installation.settings.artifacts_dir).existing(
        "variant_aggregates", installation.experiment().partition_key
    )
    assert (
        installation.registry.results_sql.get(installation.experiment().id, installation.state())
        == read_stamp(stored).sql
    )


def test_refresh__that_publishes__stores_what_metrics_come_to_in_control(installation: Installation) -> None:
    installation.land("first", crowd(100, 60))
    installation.ingest()
    assert installation.refresh().success
    experiment = installation.experiment()
    spent = experiment.metrics[1].metric
    (measured,) = installation.registry.measurements.list(spent)
    state = installation.state()
    assert (measured.source, measured.experiment_id) == (MeasurementSource.REFRESH, experiment.id)
    assert (measured.window.as_of, measured.data_version) == (state.as_of, state.data_version)
    assert measured.identities == 160
    results = state.payload
    assert results is not None
    control = results["metrics"][1]["variants"]["control"]
    assert measured.statistic.aggregate.n == control["n"] != results["metrics"][1]["variants"]["b"]["n"]
    assert measured.statistic.aggregate.sum == control["sum"]


def test_refresh__every_artifact__carries_one_window_and_data_version(installation: Installation) -> None:
    installation.land("first", crowd(5, 5))
    installation.ingest()
    installation.refresh()
    store = ArtifactStore(installation.settings.artifacts_dir)
    stamps = [read_stamp(store.existing(name, installation.experiment().partition_key)) for name in ARTIFACTS]
    assert {(stamp.window, stamp.data_version, stamp.code_version) for stamp in stamps} == {
        (stamps[0].window, 1, stamps[0].code_version)
    }
    assert stamps[0].window.as_of == installation.state().as_of
    assert all("select" in stamp.sql for stamp in stamps)


def test_refresh__without_any_event__publishes_empty_payloads(installation: Installation) -> None:
    assert installation.refresh().success
    payload = installation.state().payload
    assert payload is not None
    assert payload["metrics"][0]["variants"]["control"] == {"n": 0, "sum": 0.0, "sum_squares": 0.0}
    assert payload["metrics"][0]["reason"] == {"b": "below_minimum_identities"}
    assert payload["srm"]["reason"] == "fewer_than_100_identities"
    assert payload["trustworthy"] is None


def test_refresh__late_and_redelivered_events__are_counted_once_and_in_time(installation: Installation) -> None:
    installation.land("first", [exposure("ann", "b"), exposure("bob", "control"), purchase("ann", 3)])
    installation.ingest()
    installation.refresh()
    installation.land("late", [exposure("ann", "b", hours=0.5), purchase("ann", 3), purchase("bob", 4)])
    installation.ingest()
    installation.refresh()
    payload = installation.state().payload
    assert payload is not None
    assert payload["metrics"][1]["variants"] == {
        "control": {"n": 1, "sum": 4.0, "sum_squares": 16.0},
        "b": {"n": 1, "sum": 3.0, "sum_squares": 9.0},
    }
    assert installation.state().data_version == 2


def test_subset__of_downstream_assets__inherits_as_of_and_data_version(installation: Installation) -> None:
    installation.land("first", crowd(100, 100))
    installation.ingest()
    installation.refresh()
    before = installation.state()
    installation.land("second", [exposure("new", "b")])
    installation.ingest()
    assert installation.materialise("variant_aggregates", "srm", "bayesian_results", "experiment_results").success
    after = installation.state()
    assert (after.as_of, after.data_version) == (before.as_of, before.data_version)
    assert after.computed_at is not None
    assert before.computed_at is not None
    assert after.computed_at > before.computed_at


def test_subset__over_an_upstream_artifact_of_another_as_of__is_refused(installation: Installation) -> None:
    installation.land("first", crowd(100, 100))
    installation.ingest()
    installation.refresh()
    assert installation.materialise("first_exposures").success
    before = installation.state()
    # variant_aggregates still stands at the first as-of; the run starts from it and finds newer first exposures.
    refused = installation.materialise("exposure_buckets", "exposures", "srm", "bayesian_results", "experiment_results")
    assert not refused.success
    assert installation.state() == before


def test_failure__is_recorded_and_keeps_what_was_published(installation: Installation) -> None:
    installation.land("first", crowd(100, 100))
    installation.ingest()
    installation.refresh()
    before = installation.state()
    claim = installation.registry.claims.create(
        installation.experiment().id,
        Computation.RESULTS,
        ClaimSource.API,
        now=datetime.now(UTC),
        minimum_interval=timedelta(0),
    )
    for file in installation.settings.lake_dir.rglob("events/**/*.parquet"):
        file.write_bytes(b"torn")
    with pytest.raises(Exception, match="too small to be a Parquet file"):
        installation.refresh()
    after = installation.state()
    assert (after.payload, after.as_of) == (before.payload, before.as_of)
    assert after.last_error_at is not None
    assert after.failures == 1
    assert claim.id not in {each.id for each in installation.registry.claims.list_waiting()}


def test_run__that_ended__holds_no_experiment(installation: Installation) -> None:
    installation.refresh()
    now = datetime.now(UTC)
    run = installation.registry.runs.open(installation.experiment().id, "another", now, timedelta(minutes=1))
    installation.registry.runs.release_lease(run)


def test_held_experiment__by_another_run__is_refused_without_being_a_failure(installation: Installation) -> None:
    now = datetime.now(UTC)
    installation.registry.runs.open(installation.experiment().id, "another", now, timedelta(minutes=1))
    assert not installation.materialise("first_exposures").success
    assert installation.state().last_error_at is None
    assert installation.refresh("banner").success


def test_srm_check__on_a_broken_split__fails_without_hiding_results(installation: Installation) -> None:
    installation.land("first", crowd(400, 150))
    installation.ingest()
    checks = {each.check_name: each for each in installation.refresh().get_asset_check_evaluations()}
    assert {name for name, each in checks.items() if not each.passed} == {"split_as_configured"}
    check = checks["split_as_configured"]
    assert check.severity is dg.AssetCheckSeverity.ERROR
    payload = installation.state().payload
    assert payload is not None
    assert payload["trustworthy"] is False
    assert payload["metrics"][0]["inference"]["b"] is not None


def test_values_check__on_prices_with_a_comma__fails_and_there_is_no_verdict__e5(installation: Installation) -> None:
    prices = {"control": "1250.00", "b": "1,250.00"}
    bought = [purchase(f"{arm}-{number}", price) for arm, price in prices.items() for number in range(60)]
    installation.land("first", [*crowd(60, 60, buying=0), *bought])
    installation.ingest()
    checks = {each.check_name: each for each in installation.refresh().get_asset_check_evaluations()}
    assert not checks["values_readable"].passed
    assert "spent: 60 of 60 values in b are no numbers" in (checks["values_readable"].description or "")
    payload = installation.state().payload
    assert payload is not None
    bought_once, spent = payload["metrics"]
    assert bought_once["reason"]["b"] != "unreadable_values", "occurrence reads no values"
    assert (spent["verdict"], spent["reason"]) == ({"b": "inconclusive"}, {"b": "unreadable_values"})
