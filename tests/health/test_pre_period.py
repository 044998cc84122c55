"""The check of the pre-period: arms that differed before the experiment, by an anytime-valid test (rule M11)."""

import json
from dataclasses import replace
from datetime import timedelta

import pytest

from experiment_pipeline.domain.aggregates import MetricAggregates, PairAggregate, VariantAggregate
from experiment_pipeline.domain.experiments import Variant, VariantRole
from experiment_pipeline.domain.floors import Floors
from experiment_pipeline.domain.measures import Aggregation
from experiment_pipeline.domain.metrics import Mean
from experiment_pipeline.health.finding import Finding, Severity
from experiment_pipeline.health.inputs import HealthInputs
from experiment_pipeline.health.pre_period import BIAS_ALPHA, CHECK
from experiment_pipeline.results.compute import compute_results
from tests.metrics import version_1
from tests.results.subjects import CONTROL, experiment

N = 4_000
PLAIN = version_1(7, "prod", "revenue", "purchase", Aggregation.SUM)
assert isinstance(PLAIN.statistic, Mean)
ADJUSTED = replace(PLAIN, statistic=replace(PLAIN.statistic, covariate_before=timedelta(days=14)))


def pair(before: float, n: int = N) -> PairAggregate:
    """Return an arm whose pre-period has this mean and a variance of 4; the metric itself is the same in every arm."""
    return PairAggregate(n, before, 1.0, 4.0 * n, 2.0 * n, 0.5 * n)


def inputs(*before: float, nonzero: int = 1_000, covariate: bool = True) -> HealthInputs:
    """Return the inputs of control and one treatment per further mean of the pre-period."""
    keys = ["control", *(f"b{number}" for number in range(1, len(before)))]
    share = 100 / len(before)
    treatments = [Variant(key, VariantRole.TREATMENT, share) for key in keys[1:]]
    subject = experiment((CONTROL, *treatments), metric=ADJUSTED if covariate else PLAIN)
    joint: dict[str, PairAggregate | None] = {key: pair(mean) for key, mean in zip(keys, before, strict=True)}
    aggregates = (
        MetricAggregates(
            7,
            {key: VariantAggregate(N, 1.0, 2.0 * N) for key in keys},
            joint=joint if covariate else {},
            nonzero_x=dict.fromkeys(keys, nonzero) if covariate else {},
        ),
    )
    results = compute_results(subject, dict.fromkeys(keys, N), aggregates, Floors())
    return HealthInputs(subject, aggregates, results)


def found(*before: float, nonzero: int = 1_000, covariate: bool = True) -> Finding:
    return CHECK.judge(inputs(*before, nonzero=nonzero, covariate=covariate))


def smallest_told(*others: float) -> float:
    """Return the smallest difference, in hundredths, that is told of the first treatment."""
    return next(step / 100 for step in range(100) if not found(1.0, 1.0 + step / 100, *others).passed)


def test_pre_period__just_below_and_above_the_level__is_found_to_be() -> None:
    smallest = smallest_told()
    below, above = found(1.0, 1.0 + smallest - 0.01), found(1.0, 1.0 + smallest)
    assert (below.code, below.severity) == ("pre_period_alike", Severity.OK)
    assert (above.code, above.severity) == ("pre_period_differs", Severity.WARNING)
    assert above.evidence["differences"][0]["adjusted_p_value"] <= BIAS_ALPHA
    standard_error = (2 * 4.0 / N) ** 0.5
    assert 3.3 < smallest / standard_error < 6  # a test that is made once would tell from 3.29 on


def test_pre_period__of_several_treatments__is_judged_by_holm() -> None:
    assert smallest_told(1.0, 1.0, 1.0) > smallest_told()


@pytest.mark.parametrize(("nonzero", "covariate", "tested"), [(150, True, 1), (149, True, 0), (1_000, False, 0)])
def test_pre_period__with_too_little_or_none__is_not_compared(nonzero: int, covariate: bool, tested: int) -> None:
    finding = found(1.0, 2.0, nonzero=nonzero, covariate=covariate)
    assert finding.evidence["tested"] == tested
    assert finding.passed is not bool(tested)
    assert ("with enough data" in finding.detail) is not bool(tested)


def test_pre_period__whose_moments_are_too_large__is_not_compared() -> None:
    one = inputs(1.0, 2.0)
    found_of = replace(one.aggregates[0], joint={"control": pair(1.0), "b1": None})
    results = compute_results(one.experiment, {"control": N, "b1": N}, (found_of,), Floors())
    assert CHECK.judge(replace(one, results=results)).code == "pre_period_alike"


def test_pre_period__that_differs__is_told_with_both_means_and_what_to_do() -> None:
    finding = found(1.0, 1.5)
    assert "revenue: a mean of 1 in control and 1.5 in b1" in finding.detail
    assert "restart with a new split" in finding.detail
    (shown,) = json.loads(json.dumps(finding.evidence, allow_nan=False))["differences"]
    assert (shown["metric"], shown["treatment"]) == ("revenue", "b1")
