"""A small, seeded calibration of metrics of version 2; docs/calibration.md has the large simulation (C1, C4, C12)."""

import math

import numpy as np
import pytest

from experiment_pipeline.domain.aggregates import VariantAggregate
from experiment_pipeline.domain.experiments import Design
from experiment_pipeline.domain.measures import Aggregation, Clock
from experiment_pipeline.stats.confidence_sequence import anytime_effect
from experiment_pipeline.stats.effect import effect
from experiment_pipeline.stats.evidence import accrued_evidence
from tests.calibration import changing, quantiles, revenues
from tests.calibration.changing import Changing, draw
from tests.calibration.clocks import Looks, log_evidence
from tests.calibration.fixed import errors
from tests.calibration.kinds import KINDS
from tests.calibration.populations import computed
from tests.calibration.studies import Study

EXPERIMENTS, FEW = 200, 50
NOW = ("A/", "Breakdown")  # the names of studies that take a moment


def noise(share: float, experiments: int) -> float:
    """Four standard errors of a share that so few experiments find."""
    return 4 * math.sqrt(max(share * (1 - share), 1 / experiments) / experiments)


@pytest.mark.slow
@pytest.mark.parametrize("study", KINDS, ids=[study.name for study in KINDS])
def test_kinds__small_sample__does_not_refute_the_bound__c1(study: Study) -> None:
    experiments = EXPERIMENTS if study.name.startswith(NOW) else FEW
    found = study.run((7, KINDS.index(study)), experiments)
    for reading in study.readings:
        measured = reading.measured(found)
        low, high = (bound + sign * noise(bound, experiments) for bound, sign in ((reading.low, -1), (reading.high, 1)))
        assert low <= measured <= high, reading.name


@pytest.mark.parametrize(("values", "q"), [(quantiles.halves, 0.5), (quantiles.levels, 0.6), (quantiles.counts, 0.9)])
def test_quantile__values_with_ties__are_rarely_a_difference__c12(values: quantiles.Values, q: float) -> None:
    """On half of the width of their intervals 50, 50 and 19 % of these A/A tests reject."""
    found = errors(quantiles.identity_arms((1,), 200, values, q, 200))
    assert found["effect:low"] + found["effect:high"] <= 0.05 * 200


def test_last_of_many_events__everybody_at_once__is_rarely_a_difference__c1() -> None:
    """On the information about the lift 24 % of these A/A tests are called."""
    case = Changing(Aggregation.LAST, 300, 12.0, looks=120, planned=True)
    assert changing.errors(case, (2,), 50)["anytime"] <= 0.056 * 50 + 1


@pytest.mark.parametrize("design", [Design(), Design(mde=0.2, baseline=1.5)], ids=["no_design", "design"])
@pytest.mark.parametrize("clock", [each for each in Clock if each is not Clock.ODDS])
def test_looks__arrays__say_what_the_verdict_s_own_interval_says(clock: Clock, design: Design) -> None:
    rng = np.random.default_rng(5)

    def arm() -> Looks:
        n = rng.integers(60, 900, (3, 4)).astype(float)
        mean, m2 = rng.normal(1.5, 0.3, (3, 4)), n * rng.uniform(0.5, 4.0, (3, 4))
        return Looks(n, mean, m2, n * rng.uniform(0.5, 3.0, (3, 4)), n)

    control, treatment = arm(), arm()
    log_m = log_evidence(control, treatment, clock, design, 0.0)
    for i, k in np.ndindex(3, 4):
        arms = [
            VariantAggregate(int(each.n[i, k]), float(each.mean[i, k]), float(each.m2[i, k]))
            for each in (control, treatment)
        ]
        events = float(control.events[i, k]), float(treatment.events[i, k])
        evidence = accrued_evidence(clock, arms[0], arms[1], events, design)
        exact = anytime_effect(computed(effect(arms[0], arms[1])), arms[0], arms[1], evidence)
        assert math.exp(-max(0.0, float(log_m[i, k]))) == pytest.approx(exact.p_value, rel=1e-9)


@pytest.mark.parametrize("aggregation", [Aggregation.FIRST, Aggregation.LAST, Aggregation.MAX, Aggregation.MEAN])
def test_changing__identities_with_a_value__grow_and_events_too(aggregation: Aggregation) -> None:
    looks = draw(Changing(aggregation, 200, 3.0, looks=20, arriving=True), np.random.default_rng(1), 3)
    for counts in (looks.n, looks.events):
        assert (np.diff(counts, axis=1) >= 0).all()
    assert (looks.counted == looks.n).all(), "no value is 0"
    assert (looks.events >= looks.n).all()
    assert (looks.n[:, -1] < 200).all(), "who comes last has no event"


def test_capped__percentile_of_everybody__is_the_nearest_rank__m10() -> None:
    values = [np.array([5.0, 1.0]), np.array([2.0, 9.0])]
    capped = revenues.capped(values, [10, 10], 90.0)  # rank 18 of 20: the second of four buyers
    assert [each.tolist() for each in capped] == [[2.0, 1.0], [2.0, 2.0]]
    assert [each.tolist() for each in revenues.capped(values, [10, 10], 80.0)] == [[0.0, 0.0], [0.0, 0.0]]
