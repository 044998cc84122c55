"""The interval of every metric runs on what has accrued for it; the design is the primary metric's alone (rule C1)."""

import dataclasses
import json

import pytest

from experiment_pipeline.domain.aggregates import MetricAggregates, ValueSummary, VariantAggregate
from experiment_pipeline.domain.experiments import Design
from experiment_pipeline.domain.floors import Floors
from experiment_pipeline.domain.measures import Aggregation
from experiment_pipeline.domain.metrics import VERSION_1_AGGREGATIONS, AttachedMetric, ExpectedDirection
from experiment_pipeline.results.compute import compute_results
from experiment_pipeline.results.payload import results_payload
from experiment_pipeline.stats.confidence_sequence import anytime_effect
from experiment_pipeline.stats.effect import Effect, effect
from experiment_pipeline.stats.evidence import UNPLANNED, Evidence, pooled_standard_error
from experiment_pipeline.stats.late_values import widened_for_late_values
from tests.metrics import version_1
from tests.results.subjects import experiment, rate

N = 4_000  # identities of either arm
CONTROL, TREATMENT = rate(N, 800), rate(N, 880)
NUMERIC = {"control": 900, "b": 1_000}  # events with a number: more than identities that are not 0
DESIGN = Design(mde=0.1, baseline=0.2)
FIRST = AttachedMetric(version_1(3, "prod", "first", "visit", Aggregation.COUNT), ExpectedDirection.INCREASE)
PLACES = {
    "primary": ExpectedDirection.INCREASE,
    "secondary": ExpectedDirection.INCREASE,
    "guardrail": ExpectedDirection.NOT_DECREASE,
}


def expected_evidence(aggregation: Aggregation, *, planned: bool) -> Evidence:
    """Return the evidence of both arms, by the formulas of docs/adr/0038."""
    mixture = ((0.1, 1.0),) if planned else UNPLANNED
    information = (0.2**2 + 0.22**2) / 2 / pooled_standard_error(CONTROL, TREATMENT) ** 2
    ahead, at_baseline = 1 + (0.21 / 0.79) ** 2, 1 + (0.2 / 0.8) ** 2
    if aggregation is Aggregation.OCCURRENCE:
        return Evidence(information * ((ahead / at_baseline) ** 3 if planned else ahead), mixture)
    if planned:
        return Evidence(information, mixture)
    counted = 800 + 880 if aggregation is Aggregation.COUNT else 900 + 1_000
    return Evidence(N / 2 * counted / (2 * N), mixture)


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("aggregation", VERSION_1_AGGREGATIONS)
def test_anytime__of_every_kind_of_metric__runs_on_its_own_evidence__c1(aggregation: Aggregation, place: str) -> None:
    expected = p_value_of(expected_evidence(aggregation, planned=place == "primary"))
    assert 0.001 < expected < 1
    assert shown_p_value(aggregation, place, with_value=N) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("place", PLACES)
def test_anytime__of_a_mean_that_some_have_no_value_for__is_widened__c1(place: str) -> None:
    evidence = expected_evidence(Aggregation.MEAN, planned=place == "primary")
    expected = p_value_of(widened_for_late_values(evidence, CONTROL, TREATMENT, (3_000, 3_000)))
    assert expected > 1.03 * p_value_of(evidence)
    assert shown_p_value(Aggregation.MEAN, place, with_value=3_000) == pytest.approx(expected, rel=1e-9)
    assert shown_p_value(Aggregation.SUM, place, with_value=3_000) == pytest.approx(p_value_of(evidence), rel=1e-9)


def p_value_of(evidence: Evidence) -> float:
    difference = effect(CONTROL, TREATMENT)
    assert isinstance(difference, Effect)
    return anytime_effect(difference, CONTROL, TREATMENT, evidence).p_value


def shown_p_value(aggregation: Aggregation, place: str, *, with_value: int) -> float:
    """Return the anytime-valid p-value of the payload, of a metric that so many identities have a value for."""
    judged = AttachedMetric(version_1(7, "prod", "m", "purchase", aggregation), PLACES[place])
    attached = (judged, FIRST) if place == "primary" else (FIRST, judged)
    moments: dict[str, VariantAggregate | None] = {"control": CONTROL, "b": TREATMENT}
    of_identities = {key: ValueSummary(800, with_value, 1.0, 800.0) for key in moments}
    aggregates = MetricAggregates(7, moments, values=NUMERIC, of_identities=of_identities)
    subject = dataclasses.replace(experiment(design=DESIGN), metrics=attached)
    payload = results_payload(compute_results(subject, dict.fromkeys(moments, N), [aggregates], Floors()))
    (metric,) = (each for each in json.loads(json.dumps(payload))["metrics"] if each["metric_id"] == 7)
    return float(metric["anytime"]["b"]["p_value"])
