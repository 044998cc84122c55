"""The floor of identities that are not 0: equal means of unequal shapes are not told apart (docs/adr/0034)."""

import math

import numpy as np
import pytest

from experiment_pipeline.domain.aggregates import MetricAggregates, PairAggregate, ValueSummary, VariantAggregate
from experiment_pipeline.domain.experiments import Design
from experiment_pipeline.domain.floors import Floors
from experiment_pipeline.domain.measures import Aggregation, Events, Measure
from experiment_pipeline.domain.metrics import Metric, Ratio
from experiment_pipeline.results.compute import compute_results
from tests.metrics import version_1
from tests.results.subjects import experiment, metric_payload

EXPERIMENTS, LOOKS, BATCH = 60, 30, 500  # identities an arm and look
MANY, FEW = 0.1, 0.01  # buyers; each arm earns one per identity on average
PLANNED, FIXED_SAMPLE = 1_000, 7.849  # identities an arm; squared standard errors that have 80 % power
DESIGN = Design(mde=math.sqrt(2 * FIXED_SAMPLE * (math.e / MANY - 1) / PLANNED), baseline=1.0)
REVENUE = version_1(7, "prod", "revenue", "purchase", Aggregation.SUM)


def arms(rng: np.random.Generator, buyers: float) -> list[tuple[VariantAggregate, ValueSummary]]:
    """Return an arm at every look; purchases are lognormal."""
    found, spent = [], np.empty(0)
    for look in range(1, LOOKS + 1):
        new = rng.lognormal(-0.5, 1, rng.binomial(BATCH, buyers)) / buyers
        n, spent = BATCH * look, np.concatenate([spent, new])
        total = float(spent.sum())
        aggregate = VariantAggregate(n, total / n, float((spent * spent).sum()) - total * total / n)
        found.append((aggregate, ValueSummary(len(spent), n, float(spent.max(initial=0.0)), total)))
    return found


def called_a_difference(floors: Floors) -> int:
    """Return how many of the experiments are called winning or losing at any look."""
    rng = np.random.default_rng(12)
    subject = experiment(metric=REVENUE, design=DESIGN)
    called = 0
    for _ in range(EXPERIMENTS):
        for control, treatment in zip(arms(rng, MANY), arms(rng, FEW), strict=True):
            moments: dict[str, VariantAggregate | None] = {"control": control[0], "b": treatment[0]}
            values = {"control": control[1], "b": treatment[1]}
            events = {key: each.nonzero for key, each in values.items()}
            aggregates = MetricAggregates(7, moments, values=events, of_identities=values)
            n = control[0].n
            results = compute_results(subject, {"control": n, "b": n}, [aggregates], floors)
            if results.metrics[0].comparisons[0].verdict in ("winning", "losing"):
                called += 1
                break
    return called


@pytest.mark.slow
def test_equal_means__from_fewer_and_larger_purchases__are_called_a_difference_only_without_the_floor() -> None:
    assert called_a_difference(Floors(nonzero=1)) >= 6, "a sixth of 60"
    assert called_a_difference(Floors()) <= 5, "2.6 % of 60; 5.6 % is the bound"


@pytest.mark.parametrize(("nonzero", "reason"), [((149, 500), True), ((500, 149), True), ((150, 150), False)])
@pytest.mark.parametrize("aggregation", [Aggregation.COUNT, Aggregation.SUM, Aggregation.MEAN])
def test_results__floor_of_nonzero__is_kept_exactly_in_both_arms(
    aggregation: Aggregation, nonzero: tuple[int, int], reason: bool
) -> None:
    moments: dict[str, VariantAggregate | None] = dict.fromkeys(("control", "b"), VariantAggregate(1000, 2.0, 900.0))
    values = {key: ValueSummary(count, 1000, 9.0, 2000.0) for key, count in zip(("control", "b"), nonzero, strict=True)}
    subject = experiment(metric=version_1(7, "prod", "m", "purchase", aggregation))
    aggregates = [MetricAggregates(7, moments, of_identities=values)]
    metric = metric_payload(compute_results(subject, {"control": 1000, "b": 1000}, aggregates, Floors()))
    assert metric["reason"] == {"b": "below_minimum_nonzero" if reason else None}
    assert metric["verdict"] == {"b": "collecting_data" if reason else "inconclusive"}


@pytest.mark.parametrize(
    ("numerators", "denominators", "reason"), [(150, 150, False), (149, 900, True), (900, 149, True)]
)
def test_results__floor_of_a_ratio__counts_what_is_not_0_exactly_on_both_sides__c4(
    numerators: int, denominators: int, reason: bool
) -> None:
    purchases = Events("purchase")
    statistic = Ratio(Measure(purchases, Aggregation.SUM), Measure(purchases, Aggregation.COUNT))
    # Few large counts: moments alone would prove of a thousand identities only that 3 are not 0.
    pair = PairAggregate(1000, mean_x=2.0, mean_y=60.0, m2_x=1.2e6, m2_y=1.2e9, c_xy=3.5e7)
    aggregates = MetricAggregates(
        7,
        dict.fromkeys(("control", "b"), VariantAggregate(1000, pair.mean_y, pair.m2_y)),
        of_identities=dict.fromkeys(("control", "b"), ValueSummary(numerators, 1000, 9.0, 60_000.0)),
        joint=dict.fromkeys(("control", "b"), pair),
        nonzero_x={"control": 900, "b": denominators},
    )
    subject = experiment(metric=Metric(7, "prod", "m", statistic))
    metric = metric_payload(compute_results(subject, {"control": 1000, "b": 1000}, [aggregates], Floors()))
    assert metric["reason"] == {"b": "below_minimum_nonzero" if reason else None}
    assert metric["nonzero_denominator"] == {"control": 900, "b": denominators}
