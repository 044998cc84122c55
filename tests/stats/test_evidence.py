"""The evidence of a comparison: what the clock of the anytime-valid interval counts (C1, C2)."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiment_pipeline.domain.aggregates import VariantAggregate
from experiment_pipeline.domain.experiments import Design
from experiment_pipeline.domain.measures import Clock
from experiment_pipeline.stats.evidence import (
    UNPLANNED,
    accrued_evidence,
    planned_evidence,
    planned_lift,
    pooled_standard_error,
    relative_information,
)
from experiment_pipeline.stats.normal import lower_quantile, two_sided_quantile
from experiment_pipeline.stats.not_computable import NotComputable
from experiment_pipeline.stats.power import sample_size
from tests.results.subjects import rate
from tests.stats.arms import CONTROL, effect_between

DESIGN, NO_DESIGN = Design(mde=0.1, baseline=0.1), Design()


def occurrence(converted: int, design: Design) -> float:
    arm = rate(10_000, converted)
    return accrued_evidence(Clock.ODDS, arm, arm, (0, 0), design).amount


@pytest.mark.parametrize("converted", [50, 1_000, 5_000, 9_900])
def test_accrued_evidence__occurrence__runs_on_the_odds_and_ahead_of_them__c1(converted: int) -> None:
    odds = converted / (10_000 - converted)
    assert occurrence(converted, NO_DESIGN) == pytest.approx(5_000 * odds * (1 + odds**2), rel=1e-3)
    ahead = (1 + odds**2) / (1 + (1 / 9) ** 2)
    assert occurrence(converted, DESIGN) == pytest.approx(5_000 * odds * ahead**3, rel=1e-3)


def test_accrued_evidence__occurrence_of_everybody_or_of_nobody__is_a_number() -> None:
    for design in (DESIGN, NO_DESIGN, Design(mde=0.1, baseline=2.0), Design(mde=0.1, baseline=-1.0)):
        assert occurrence(0, design) == 0
        assert occurrence(10_000, design) == pytest.approx(1e40)
        assert 0 < occurrence(5_000, design) < 1e40 or design.baseline == 2.0


def test_accrued_evidence__events_without_a_design__counts_events_not_identities__c1() -> None:
    arms = VariantAggregate(30_000, 0.1, 9e3), VariantAggregate(10_000, 3.0, 9e4)
    for events in (0, 0.01, 1.0, 20.0):  # of each identity
        found = accrued_evidence(Clock.EVENTS, *arms, (30_000 * events, 10_000 * events), NO_DESIGN)
        assert found.amount == pytest.approx(7_500 * events)


@pytest.mark.parametrize("clock", [clock for clock in Clock if clock is not Clock.ODDS])
def test_accrued_evidence__design__is_the_information_about_the_lift(clock: Clock) -> None:
    arm = VariantAggregate(5_000, 2.0, 4_999 * 9.0)
    found = accrued_evidence(clock, arm, arm, (0, 0), DESIGN)
    assert found.amount == pytest.approx(4 / (9 * 2 / 5_000))
    assert found.mixture == ((0.1, 1.0),)


@pytest.mark.parametrize("design", [DESIGN, NO_DESIGN])
@pytest.mark.parametrize(
    ("clock", "events", "factor"),
    [
        (Clock.EXTREMES, 0.5, 1.0),
        (Clock.EXTREMES, 1.0, 1.0),
        (Clock.EXTREMES, 3.0, 9.0),
        (Clock.REPLACED, 0.5, 1.0),
        (Clock.REPLACED, 3.0, math.exp(4)),
    ],
)
def test_accrued_evidence__values_that_later_events_replace__runs_ahead_of_the_events__c1(
    clock: Clock, events: float, factor: float, design: Design
) -> None:
    arm = VariantAggregate(1_000, 2.0, 9e3)
    of_both = (1_000 * events, 1_000 * events)
    plain = accrued_evidence(Clock.EVENTS, arm, arm, of_both, design).amount
    assert accrued_evidence(clock, arm, arm, of_both, design).amount == pytest.approx(factor * plain)


def test_accrued_evidence__many_replaced_values__is_a_number() -> None:
    arm = VariantAggregate(1_000, 2.0, 9e3)
    for clock in (Clock.EXTREMES, Clock.REPLACED):
        assert 1e12 < accrued_evidence(clock, arm, arm, (1e300, 1e300), DESIGN).amount <= 1e40


def test_accrued_evidence__final_values__count_identities_alone() -> None:
    arms = VariantAggregate(30_000, 0.1, 9e3), VariantAggregate(10_000, 3.0, 9e4)
    for events in (0.0, 1e6):
        assert accrued_evidence(Clock.IDENTITIES, *arms, (events, events), NO_DESIGN).amount == pytest.approx(7_500)


@pytest.mark.parametrize("design", [DESIGN, NO_DESIGN])
def test_accrued_evidence__sum_of_conversions__runs_on_their_odds__c1(design: Design) -> None:
    """Ten conversions of 80 % each: the odds are 4."""
    sums = VariantAggregate(5_000, 8.0, 4_998 * 1.6)
    found = accrued_evidence(Clock.SATURATING, sums, sums, (0, 0), design)
    assert found.amount == pytest.approx(relative_information(sums, sums) * (1 + 4**2), rel=1e-3)
    spread = VariantAggregate(5_000, 8.0, 5_000 * 9.0)
    assert accrued_evidence(Clock.SATURATING, spread, spread, (0, 0), design).amount == relative_information(
        spread, spread
    )


def test_accrued_evidence__everything_seen_by_everybody__is_a_number() -> None:
    for mean in (0.0, 5.0):
        arm = VariantAggregate(5_000, mean, 0.0)
        assert 0 <= accrued_evidence(Clock.SATURATING, arm, arm, (0, 0), NO_DESIGN).amount <= 1e40


def test_accrued_evidence__estimates_without_events__is_the_information_with_and_without_a_design() -> None:
    arm = VariantAggregate(5_000, 2.0, 4_999 * 9.0)
    for design, mixture in ((DESIGN, ((0.1, 1.0),)), (NO_DESIGN, UNPLANNED)):
        found = accrued_evidence(Clock.INFORMATION, arm, arm, (7.0, 7.0), design)
        assert found.amount == pytest.approx(4 / (9 * 2 / 5_000))
        assert found.mixture == mixture


def test_accrued_evidence__fixed_sample_of_the_design__is_that_of_80_percent_power_at_5_percent() -> None:
    n = sample_size(standard_deviation=0.3, effect=0.01).control
    arm = VariantAggregate(n, 0.1, (n - 1) * 0.09)
    found = accrued_evidence(Clock.EVENTS, arm, arm, (0, 0), DESIGN)
    assert found.amount * 0.1**2 == pytest.approx((two_sided_quantile(0.05) + lower_quantile(0.8)) ** 2, rel=1e-3)


@pytest.mark.parametrize("design", [NO_DESIGN, Design(mde=0.1), Design(baseline=0.1), Design(mde=0.1, baseline=0.0)])
def test_planned_lift__design_without_the_lift_or_its_mean__is_none(design: Design) -> None:
    assert planned_lift(design) is None
    assert accrued_evidence(Clock.EVENTS, CONTROL, CONTROL, (1, 1), design).mixture == UNPLANNED


@given(st.floats(-1e3, 1e3), st.floats(1e-3, 1e3), st.floats(1e-3, 1e3))
def test_relative_information__other_unit__is_the_same(mean: float, deviation: float, unit: float) -> None:
    def arm(factor: float) -> VariantAggregate:
        return VariantAggregate(1_000, factor * mean, factor * factor * 1_000 * deviation**2)

    plain, scaled = relative_information(arm(1), arm(1)), relative_information(arm(unit), arm(unit))
    assert scaled == pytest.approx(plain, rel=1e-9)


def test_relative_information__no_variance_or_no_value__is_all_or_nothing() -> None:
    nothing = VariantAggregate(1_000, 0.0, 0.0)
    assert relative_information(nothing, nothing) == 0
    assert relative_information(VariantAggregate(1_000, 3.0, 0.0), nothing) >= 1e40


def test_pooled_standard_error__equal_arms__is_the_effect_s_own() -> None:
    own = effect_between(CONTROL, CONTROL).standard_error
    assert pooled_standard_error(CONTROL, CONTROL) == pytest.approx(own, rel=1e-12)


@pytest.mark.parametrize("clock", [Clock.ODDS, Clock.EVENTS, Clock.INFORMATION, Clock.IDENTITIES])
@pytest.mark.parametrize("treatments", [1, 3])
def test_planned_evidence__at_the_planned_sample__is_what_has_accrued(clock: Clock, treatments: int) -> None:
    sample = sample_size(standard_deviation=0.3, effect=0.01, alpha=0.05 / treatments)
    arm = rate(sample.control, round(sample.control / 10))
    planned = planned_evidence(clock, DESIGN, treatments)
    assert accrued_evidence(clock, arm, arm, (0, 0), DESIGN).amount == pytest.approx(planned, rel=1e-3)


@pytest.mark.parametrize("clock", [Clock.SATURATING, Clock.EXTREMES, Clock.REPLACED])
def test_planned_evidence__clock_that_runs_ahead__is_withheld(clock: Clock) -> None:
    assert planned_evidence(clock, DESIGN, 1) == NotComputable("evidence_not_planned")
    assert planned_evidence(clock, NO_DESIGN, 1) == NotComputable("design_incomplete")
