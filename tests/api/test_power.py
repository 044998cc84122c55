"""Power over HTTP: plans from what was measured, and what an experiment detects by now."""

from datetime import timedelta
from typing import Any

import pytest

from experiment_pipeline.domain.aggregates import VariantAggregate
from experiment_pipeline.domain.definitions import definition_of
from experiment_pipeline.domain.exposures import Window
from experiment_pipeline.domain.metric_measurement import MeasuredStatistic, MeasurementSource, MetricMeasurement
from experiment_pipeline.domain.refresh import Computation
from experiment_pipeline.results.payload import results_payload
from tests.api.conftest import NOW, Api
from tests.api.test_computations import HOUR, publish
from tests.results.subjects import experiment, rate, results


def measured(api: Api) -> None:
    """Store a measurement of the metric `revenue`: mean 1, standard deviation 3, a thousand identities a day."""
    metric = api.registry.metrics.find("production", "revenue")
    statistic = MeasuredStatistic(VariantAggregate(10_001, 1.0, 90_000.0))
    window = Window(NOW - timedelta(days=14), NOW)
    source = MeasurementSource.PREVIEW
    api.registry.measurements.store(
        MetricMeasurement(metric.id, definition_of(metric), source, NOW, window, 1, 14_000, statistic)
    )


def test_plan__of_a_measured_metric__has_sample_and_days(api: Api) -> None:
    shown = api.metric()
    measured(api)
    plan = api.post("/power/", {"metric": "revenue", "mde": 0.1}, scope="read")
    assert plan.status_code == 200, plan.text
    body = plan.json()
    assert (body["metric_id"], body["metric"], body["traffic"], body["variants"]) == (shown["id"], "revenue", 1000, 2)
    (reading,) = body["readings"]
    assert reading["once"] == {"per_variant": 14_128, "identities": 28_256, "days": 28.256, "reason": None}
    assert body["measured"]["source"] == "preview"
    by_id = api.post("/power/", {"metric": shown["id"], "mde": 0.1, "traffic": 2000, "variants": 3}).json()
    assert by_id["readings"][0]["once"]["days"] == by_id["readings"][0]["once"]["identities"] / 2000


def test_plan__of_nothing_measured__is_a_conflict_that_says_what_to_run(api: Api) -> None:
    api.metric()
    refused = api.post("/power/", {"metric": "revenue"})
    assert refused.status_code == 409
    assert "Run `experiment-pipeline metrics preview revenue`" in refused.json()["detail"]


@pytest.mark.parametrize(
    ("body", "status", "field"),
    [
        ({}, 400, "metric"),
        ({"metric": "revenue", "mde": 10}, 400, "mde"),
        ({"metric": "revenue", "alpha": 0.4, "power": 0.3}, 400, "power"),
        ({"metric": "revenue", "variants": 2.5}, 400, "variants"),
        ({"metric": "revenue", "variant": 2}, 400, "variant"),
        ({"metric": "revenue", "covariate": True}, 400, "covariate"),
        ({"metric": "revenue", "cap": "yes"}, 400, "cap"),
        ({"metric": "nothing"}, 404, None),
    ],
)
def test_plan__that_breaks_a_rule__names_the_field(
    api: Api, body: dict[str, Any], status: int, field: str | None
) -> None:
    api.metric()
    measured(api)
    refused = api.post("/power/", body)
    assert refused.status_code == status, refused.text
    assert field is None or list(refused.json()["errors"]) == [field]


def test_plan__without_a_key__is_refused(api: Api) -> None:
    assert api.post("/power/", {"metric": "revenue"}, scope="no key").status_code == 401


def test_power__of_a_running_experiment__is_what_it_detects_by_now(api: Api) -> None:
    api.experiment("start")
    refused = api.get("/experiments/checkout/power/", scope="read")
    assert refused.status_code == 409
    assert "No results of 'checkout' are published yet." in refused.json()["detail"]
    api.clock.pass_by(HOUR)
    computed = results(experiment(), {"control": rate(14_128, 1413), "b": rate(14_128, 1413)})
    publish(api, Computation.RESULTS, results_payload(computed))
    shown = api.get("/experiments/checkout/power/", scope="read")
    assert shown.status_code == 200, shown.text
    (metric,) = shown.json()["metrics"]
    (reading,) = metric["treatments"]["b"]["lifts"]
    assert reading["once"] == pytest.approx(0.1, rel=1e-3)
    assert shown.json()["planned"]["reason"] == "design_incomplete"
    assert api.get("/experiments/nobody/power/", scope="read").status_code == 404
