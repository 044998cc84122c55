"""Live statistics over HTTP: the contract of each status, and whose experiments a key reaches."""

import random
from typing import Any

import pytest

from experiment_pipeline.api.live_stats import LiveStatsView
from experiment_pipeline.domain.aggregates import MetricAggregates, PairAggregate, ValueSummary, VariantAggregate
from experiment_pipeline.domain.floors import Floors
from experiment_pipeline.domain.refresh import Computation, Publication
from experiment_pipeline.results.compute import compute_results
from experiment_pipeline.results.live_stats import live_stats
from tests.api.conftest import EXPERIMENT, Api
from tests.api.test_computations import HOUR, open_run
from tests.results.subjects import rate

BASE = "/api/v1"
MEMBERS = {
    "phase",
    *("experiment_id", "metric_type", "primary_metric_name", "exposures_total", "conversions_total", "disclaimer"),
    *("srm", "comparisons", "sequential", "cuped", "variants", "as_of", "data_version", "is_final"),
}
FLAT = VariantAggregate.of([3.0] * 60)
ADJUSTED = {
    "name": "spent",
    "definition": {
        "version": 2,
        "statistic": "mean",
        "measure": {"event": "purchase", "aggregation": "sum"},
        "covariate": {"before": "P7D"},
    },
}
BOUGHT = {"name": "bought", "aggregation": "occurrence", "definition": {"version": 1, "event": "purchase"}}


def started(api: Api, metric: dict[str, Any] = BOUGHT, **changes: object) -> None:
    created = api.post("/metrics/", metric)
    assert created.status_code == 201, created.text
    attached = [{"metric": created.json()["id"], "expected_direction": "increase"}]
    api.experiment("start", metrics=attached, **changes)
    api.clock.pass_by(HOUR)


def publish(api: Api, *arms: VariantAggregate, joint: PairAggregate | None = None) -> None:
    """Publish the results of control and the treatment, as a refresh does."""
    subject = api.registry.experiments.find("production", "checkout")
    by_variant = dict(zip(("control", "larger"), arms, strict=True))
    summaries = {key: ValueSummary(arm.n, arm.n, None, arm.sum) for key, arm in by_variant.items()}
    pairs = {} if joint is None else dict.fromkeys(by_variant, joint)
    found = MetricAggregates(1, dict(by_variant), joint=dict(pairs), of_identities=summaries)
    identities = {key: arm.n for key, arm in by_variant.items()}
    computed = compute_results(subject, identities, [found], Floors(), as_of=api.clock.now)
    run = open_run(api)
    payload = live_stats(subject, computed)
    api.registry.computations.publish(
        Publication(run, Computation.RESULTS, {}, "1", api.clock.now, HOUR, live_stats=payload)
    )
    api.registry.runs.release_lease(run)


def shown(api: Api) -> dict[str, Any]:
    answer = api.get("/experiments/checkout/live-stats", scope="read", base=BASE)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    assert set(found) == MEMBERS
    assert LiveStatsView.__annotations__.keys() >= MEMBERS - {"as_of", "data_version", "is_final"}
    return found


def test_live_stats__before_any_results__say_what_they_lack(api: Api) -> None:
    started(api)
    found = shown(api)
    assert (found["as_of"], found["exposures_total"]) == (None, 0)
    assert [found[block]["status"] for block in ("srm", "sequential", "cuped")] == [
        *("insufficient_data", "fixed_horizon", "unavailable"),
    ]
    assert [each["status"] for each in found["comparisons"]] == ["insufficient_data"]


@pytest.mark.parametrize(
    ("arms", "srm", "comparison"),
    [
        ((rate(1_000, 100), rate(1_000, 130)), "ok", "ok"),
        ((rate(1_000, 100), rate(1_400, 130)), "srm_detected", "ok"),
        ((rate(20, 5), rate(20, 3)), "insufficient_data", "ok"),
        ((rate(1, 1), rate(20, 3)), "insufficient_data", "insufficient_data"),
        ((rate(60, 0), rate(60, 0)), "ok", "insufficient_data"),
    ],
)
def test_live_stats__of_published_results__have_every_status(
    api: Api, arms: tuple[VariantAggregate, VariantAggregate], srm: str, comparison: str
) -> None:
    started(api)
    publish(api, *arms)
    found = shown(api)
    assert (found["srm"]["status"], found["comparisons"][0]["status"]) == (srm, comparison)
    assert (found["metric_type"], found["primary_metric_name"]) == ("binary", "bought")
    assert found["as_of"] == "2026-03-02T13:00:00Z"
    assert found["exposures_total"] == sum(arm.n for arm in arms)


def test_live_stats__of_a_design_with_planned_looks__are_active_from_the_first_one_on(api: Api) -> None:
    started(api, design={"mde": 0.1, "baseline": 0.5, "n_looks": 4})
    publish(api, rate(200, 100), rate(200, 100))
    assert shown(api)["sequential"]["status"] == "insufficient_data"
    api.clock.pass_by(HOUR)
    publish(api, rate(500, 250), rate(500, 250))
    sequential = shown(api)["sequential"]
    assert (sequential["status"], sequential["n_looks"]) == ("active", 4)
    assert sequential["treatments"]["larger"]["z"] == 0
    assert sequential["current_boundary_z"] > 3


def test_live_stats__of_a_metric_with_a_pre_period__that_varies__are_adjusted(api: Api) -> None:
    started(api, ADJUSTED)
    rng = random.Random(1)
    before = [rng.gammavariate(2, 1) for _ in range(200)]
    joint = PairAggregate.of([(x, x + rng.gauss(5, 0.3)) for x in before])
    arm = VariantAggregate(joint.n, joint.mean_y, joint.m2_y)
    publish(api, arm, arm, joint=joint)
    cuped = shown(api)["cuped"]
    assert cuped["status"] == "available", cuped
    assert cuped["treatments"]["larger"]["variance_reduction"] > 0.8


def test_live_stats__of_a_metric_with_a_pre_period__say_why_it_is_not_adjusted(api: Api) -> None:
    started(api, ADJUSTED)
    publish(api, FLAT, VariantAggregate.of([1.0, 4.0] * 30))
    found = shown(api)
    assert found["metric_type"] == "continuous"
    assert found["cuped"]["status"] == "unavailable"
    assert found["cuped"]["reason"]


def test_live_stats__of_new_results__replace_those_before_and_their_etag(api: Api) -> None:
    started(api)
    publish(api, rate(1_000, 100), rate(1_000, 130))
    first = api.get("/experiments/1/live-stats", base=BASE)
    known = {"If-None-Match": first.headers["etag"]}
    assert api.get("/experiments/1/live-stats", base=BASE, headers=known).status_code == 304
    assert first.headers["cache-control"] == "private, no-cache"
    api.clock.pass_by(HOUR)
    publish(api, rate(2_000, 200), rate(2_000, 260))
    second = api.get("/experiments/1/live-stats", base=BASE, headers=known)
    assert (second.status_code, second.json()["exposures_total"]) == (200, 4_000)


def test_live_stats__of_final_results__may_be_kept(api: Api) -> None:
    started(api)
    api.post("/experiments/checkout/complete/")
    api.clock.pass_by(2 * HOUR)
    api.registry.batches.record_scan(api.clock.now)
    publish(api, rate(1_000, 100), rate(1_000, 130))
    answer = api.get("/experiments/checkout/live-stats", base=BASE)
    assert answer.json()["is_final"] is True
    assert answer.headers["cache-control"] == "private, max-age=86400"


def test_live_stats__experiment_of_another_environment__is_unknown(api: Api) -> None:
    started(api)
    path = "/experiments/{}/live-stats"
    for name in ("1", "checkout"):
        assert api.get(path.format(name), base=BASE, scope="other").status_code == 404
    api.post("/experiments/", {**EXPERIMENT, "key": "checkout"}, scope="other", base=f"{BASE}/environments/staging")
    own = api.get(path.format("checkout"), base=BASE, scope="other")
    assert (own.status_code, own.json()["experiment_id"]) == (200, 2)
    assert shown(api)["experiment_id"] == 1
    assert api.get(path.format("nobody"), base=BASE).status_code == 404
    assert api.client.get(f"{BASE}/experiments/1/live-stats").status_code == 401
