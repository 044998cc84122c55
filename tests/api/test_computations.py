"""Exposures and results over HTTP: the envelope, its ETag, and refresh requests (rule R2)."""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from experiment_pipeline.api.computations import ExposuresView, ResultsView
from experiment_pipeline.domain.aggregates import MetricAggregates, VariantAggregate
from experiment_pipeline.domain.exposures import ExposureBucket, Granularity, summarise_exposures
from experiment_pipeline.domain.floors import Floors
from experiment_pipeline.domain.refresh import Computation, Publication, RefreshRun
from experiment_pipeline.results.compute import compute_results
from experiment_pipeline.results.payload import ResultsPayload, exposures_payload, results_payload
from tests.api.conftest import Api, detail

BOTH = pytest.mark.parametrize("computation", list(Computation))
HOUR = timedelta(hours=1)


def open_run(api: Api) -> RefreshRun:
    return api.registry.runs.open(1, f"run-{api.clock.now}", api.clock.now, timedelta(minutes=1))


def publish(api: Api, computation: Computation, payload: Mapping[str, object]) -> None:
    api.registry.batches.record_scan(api.clock.now)
    run = open_run(api)
    api.registry.computations.publish(
        Publication(run, computation, payload, code_version="1", computed_at=api.clock.now, grace=HOUR)
    )
    api.registry.runs.release_lease(run)


@BOTH
def test_show__before_anything_happened__is_null(api: Api, computation: Computation) -> None:
    api.experiment()
    shown = api.get(f"/experiments/checkout/{computation}/", scope="read")
    assert (shown.status_code, shown.json()) == (200, {computation.value: None})


@BOTH
def test_show__published__is_the_envelope(api: Api, computation: Computation) -> None:
    api.experiment("start")
    api.clock.pass_by(HOUR)
    publish(api, computation, {"srm_p_value": 0.5})
    api.registry.computations.record_failure(1, computation, api.clock.now, "run")
    shown = api.get(f"/experiments/1/{computation}/")
    assert shown.json() == {
        computation.value: {
            "as_of": "2026-03-02T13:00:00Z",
            "last_error_at": "2026-03-02T13:00:00Z",
            "refresh_requested_at": None,
            "payload": {"srm_p_value": 0.5},
            "is_final": False,
            "phase": 1,
            "data_version": 0,
            "computed_at": "2026-03-02T13:00:00Z",
        }
    }
    assert shown.headers["cache-control"] == "private, no-cache"


def real_results(api: Api) -> ResultsPayload:
    """Return the payload of an experiment that has metrics with, without and with withheld comparisons."""
    for name in ("revenue", "orders", "visits"):
        metric = api.metric(name=name)
        api.post("/experiments/checkout/metrics/", {"metric": metric["id"], "expected_direction": "increase"})
    arms = {"control": VariantAggregate(1000, 0.1, 90.0), "larger": VariantAggregate(1000, 0.2, 160.0)}
    moments = [MetricAggregates(1, {**arms}), MetricAggregates(2, {**arms, "larger": None})]
    experiment = api.registry.experiments.find("production", "checkout")
    return results_payload(compute_results(experiment, {"control": 1000, "larger": 1000}, moments, Floors()))


def test_show__real_results__hold_what_the_schema_describes_and_nothing_else(api: Api) -> None:
    api.experiment()
    payload = real_results(api)
    assert [metric["name"] for metric in payload["metrics"]] == ["revenue", "orders", "visits"]
    api.post("/experiments/checkout/start/")
    publish(api, Computation.RESULTS, payload)
    shown = api.get("/experiments/checkout/results/").json()
    assert shown["results"]["payload"] == payload
    assert ResultsView.model_validate(shown).model_dump(mode="json") == shown


def test_show__results_of_a_version_that_did_not_name_metrics__are_served_as_they_were_stored(api: Api) -> None:
    api.experiment()
    payload = real_results(api)
    for metric in payload["metrics"]:
        del metric["name"]
    api.post("/experiments/checkout/start/")
    publish(api, Computation.RESULTS, payload)
    shown = api.get("/experiments/checkout/results/").json()
    assert shown["results"]["payload"] == payload
    assert ResultsView.model_validate(shown).model_dump(mode="json") == shown


def test_show__real_exposures__hold_what_the_schema_describes_and_nothing_else(api: Api) -> None:
    api.experiment("start")
    buckets = [ExposureBucket(api.clock.now, variant, variant == "larger", 5) for variant in ("control", "larger")]
    payload = exposures_payload(summarise_exposures(buckets, Granularity.HOUR))
    publish(api, Computation.EXPOSURES, payload)
    shown = api.get("/experiments/checkout/exposures/").json()
    assert shown["exposures"]["payload"] == payload
    assert ExposuresView.model_validate(shown).model_dump(mode="json") == shown


def test_show__if_none_match__answers_304_until_anything_in_the_envelope_changes(api: Api) -> None:
    api.experiment("start")
    publish(api, Computation.RESULTS, {"srm_p_value": 0.5})
    first = api.get("/experiments/checkout/results/")
    etag = first.headers["etag"]
    assert etag.startswith('"')
    for known in (etag, f'"x", {etag}', f"W/{etag}", "*"):
        same = api.get("/experiments/checkout/results/", headers={"If-None-Match": known})
        assert (same.status_code, same.content, same.headers["etag"]) == (304, b"", etag)
    assert api.get("/experiments/checkout/results/", headers={"If-None-Match": '"x"'}).status_code == 200
    api.post("/experiments/checkout/results/refresh/")
    changed = api.get("/experiments/checkout/results/", headers={"If-None-Match": etag})
    assert changed.status_code == 200
    assert changed.headers["etag"] != etag


def test_show__final__may_be_kept(api: Api) -> None:
    api.experiment("start", "complete")
    api.clock.pass_by(HOUR)
    publish(api, Computation.RESULTS, {})
    shown = api.get("/experiments/checkout/results/")
    assert shown.json()["results"]["is_final"] is True
    assert shown.headers["cache-control"] == "private, max-age=86400"


@BOTH
def test_refresh__in_the_contracts_order__400_400_429(api: Api, computation: Computation) -> None:
    api.experiment()
    path = f"/experiments/checkout/{computation}/refresh/"
    early = api.post(path)
    assert early.status_code == 400
    assert detail(early) == f"Cannot refresh {computation} before the experiment starts."
    api.post("/experiments/checkout/start/")
    accepted = api.post(path, scope="refresh")
    assert (accepted.status_code, accepted.content) == (202, b"")
    api.clock.pass_by(timedelta(seconds=59, milliseconds=500))
    soon = api.post(path)
    assert (soon.status_code, soon.headers["retry-after"]) == (429, "241")
    assert detail(soon) == "A refresh was requested recently. Try again later."
    api.post("/experiments/checkout/complete/")
    api.clock.pass_by(HOUR)
    publish(api, computation, {})
    final = api.post(path)
    assert final.status_code == 400
    assert detail(final) == f"{computation.capitalize()} are final for this completed experiment."


def test_refresh__after_the_interval__is_accepted_again(api: Api) -> None:
    api.experiment("start")
    for _ in range(3):
        assert api.post("/experiments/checkout/results/refresh/").status_code == 202
        api.clock.pass_by(api.settings.refresh_min_interval)


def test_refresh__fifty_at_once__one_202_and_49_times_429(api: Api) -> None:
    api.experiment("start")
    with ThreadPoolExecutor(50) as threads:
        answers = list(threads.map(lambda _: api.post("/experiments/checkout/results/refresh/"), range(50)))
    assert sorted(answer.status_code for answer in answers) == [202] + [429] * 49
    assert {answer.headers.get("retry-after") for answer in answers if answer.status_code == 429} == {"300"}
    assert len(api.registry.claims.list_waiting()) == 1
