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
from tests.calibration import changing, parts, quantiles, revenues
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


def test_capped_truth__large_sample__has_these_means__m10() -> None:
    sizes, sigma = (4_000_000, 2_000_000), 1.5
    effect_of_all, lift_of_all = revenues.capped_truth(sizes, sigma=sigma, percentile=99.5, worth=1.2)
    ((control, treatment),) = revenues.capped_arms((1,), 1, sizes, sigma=sigma, worth=1.2)
    assert effect_of_all / lift_of_all == pytest.approx(control.mean, rel=0.02)
    assert effect_of_all / lift_of_all * (1 + lift_of_all) == pytest.approx(treatment.mean, rel=0.02)
    assert 0.05 < lift_of_all < 0.2, "the cap takes a part of the lift"
    assert revenues.capped_truth(sizes, sigma=sigma, percentile=99.5, worth=1.0) == pytest.approx((0, 0), abs=1e-12)


def test_spending__one_in_twenty__spends_as_much_as_it_says() -> None:
    ((control, treatment),) = revenues.adjusted_pairs((1,), 1, (400_000, 400_000), revenues.Spending(worth=2.0))
    assert (control.n, treatment.n) == (400_000, 400_000)
    for mean in (control.mean_x, control.mean_y, treatment.mean_x, treatment.mean_y / 2):
        assert mean == pytest.approx(revenues.Spending().mean, rel=0.05)
    assert treatment.c_xy / (treatment.m2_x * treatment.m2_y) ** 0.5 == pytest.approx(0.25, abs=0.1), "go together"


def test_quantile_of_events__one_page_each__is_that_of_identities__m12() -> None:
    times, q = np.random.default_rng(1).lognormal(0, 1, 2_000), 0.9
    identities, quantile, m2, values = quantiles.page_moments(times, np.arange(2_000), q)
    assert (identities, quantile, values) == (2_000, np.sort(times)[1_799], 2_000)
    assert m2 == pytest.approx(quantiles.arm_of(np.sort(times), q).m2, rel=0.02)
    together = quantiles.page_moments(np.repeat(times, 3), np.repeat(np.arange(2_000), 3), q)
    assert together[:2] == (2_000, quantile)
    assert together[2] == pytest.approx(m2, rel=0.1), "three equal pages tell no more than one"


def test_post_stratified__countries_that_differ__leave_no_error_of_who_is_in_the_arms__c11() -> None:
    found = parts.post_stratified_errors((2,), 200, 3_000)
    assert found["effect:low"] + found["effect:high"] + found["effect"] == found["experiments"] == 200
    assert 180 <= found["effect"] <= 199
    assert parts.post_stratified_errors((2,), 200, 3_000, lift=0.1)["effect"] >= 180


def test_any_value__of_a_breakdown__is_one_that_expects_enough_conversions() -> None:
    arms = parts.any_value((3,), 400, parts.Funnel((0.5, 0.2)), parts.Funnel((0.5, 0.2)), 10_000)
    assert len({control.n for control, _ in arms}) > 10, "values of all sizes"
    means = sorted(control.sum for control, _ in arms)
    assert 12 < means[0] < parts.ENOUGH < means[len(means) // 2] < means[-1] < 350


def test_funnel_over_time__identities_at_once__convert_as_often_as_the_steps_say() -> None:
    steps = parts.Funnel((0.5, 0.4))
    arm = parts.arm_over_time(np.random.default_rng(1), 20, steps, identities=5_000, looks=30)
    share = arm.mean.mean(axis=0)
    assert (np.diff(arm.y, axis=1) >= 0).all()
    assert share[-1] == pytest.approx(0.2 * 0.91, rel=0.05), "the last are still between the steps"
    assert share[0] < 0.01
