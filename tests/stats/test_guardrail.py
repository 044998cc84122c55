"""Guardrails with a margin: within it, beyond it, or neither is shown (rule C9)."""

import math
from dataclasses import replace

import pytest

from experiment_pipeline.domain.aggregates import PairAggregate, VariantAggregate
from experiment_pipeline.domain.measures import Clock
from experiment_pipeline.domain.metrics import ExpectedDirection
from experiment_pipeline.stats.confidence_sequence import AnytimeEffect
from experiment_pipeline.stats.cuped import CupedAdjustment, cuped
from experiment_pipeline.stats.evidence import Evidence, relative_information
from experiment_pipeline.stats.guardrail import (
    MarginReading,
    at_margin,
    check_margin,
    decide_margin,
    margin_evidence,
    margin_reading,
)
from experiment_pipeline.stats.late_values import widened_for_late_values
from experiment_pipeline.stats.not_computable import NotComputable
from experiment_pipeline.stats.verdict import Verdict
from tests.stats.arms import PAIRS

NOT_DECREASE, NOT_INCREASE = ExpectedDirection.NOT_DECREASE, ExpectedDirection.NOT_INCREASE
ABOVE, BELOW, ACROSS = (AnytimeEffect(low, high, 0.01) for low, high in ((0.1, 0.2), (-0.2, -0.1), (-0.1, 0.1)))
N = 100_000


def converted(share: float, n: int = N) -> VariantAggregate:
    return VariantAggregate(n, share, n * share * (1 - share))


def read(
    control: VariantAggregate, treatment: VariantAggregate, expected: ExpectedDirection, margin: float
) -> MarginReading:
    evidence = margin_evidence(Clock.ODDS, control, treatment, (control.sum, treatment.sum), margin)
    found = margin_reading(at_margin(control, expected, margin), treatment, evidence)
    assert isinstance(found, MarginReading)
    return found


def verdict(share: float, expected: ExpectedDirection, margin: float = 0.05, n: int = N) -> Verdict:
    """Return what is said of a treatment with this share beside a control of a half."""
    found = read(converted(0.5, n), converted(share, n), expected, margin)
    return decide_margin(found.anytime, expected, trustworthy=True)


@pytest.mark.parametrize(("expected", "factor"), [(NOT_DECREASE, 0.9), (NOT_INCREASE, 1.1)])
def test_reading__difference_and_error__are_of_control_at_the_margin__c9(
    expected: ExpectedDirection, factor: float
) -> None:
    control, treatment = VariantAggregate(1_000, 3.0, 4_000.0), VariantAggregate(500, 2.9, 1_500.0)
    found = margin_reading(at_margin(control, expected, 0.1), treatment, Evidence(1_000.0, ((0.1, 1.0),)))
    assert isinstance(found, MarginReading)
    assert found.effect.value == pytest.approx(2.9 - factor * 3.0)
    squared = 1_500 / 499 / 500 + factor**2 * 4_000 / 999 / 1_000
    assert found.effect.standard_error == pytest.approx(math.sqrt(squared))


@pytest.mark.parametrize(
    ("share", "expected", "said"),
    [
        (0.5, NOT_DECREASE, Verdict.OK),
        (0.5, NOT_INCREASE, Verdict.OK),
        (0.6, NOT_DECREASE, Verdict.OK),
        (0.4, NOT_INCREASE, Verdict.OK),
        (0.475, NOT_DECREASE, Verdict.INCONCLUSIVE),
        (0.525, NOT_INCREASE, Verdict.INCONCLUSIVE),
        (0.45, NOT_DECREASE, Verdict.HARMED),
        (0.55, NOT_INCREASE, Verdict.HARMED),
    ],
)
def test_guardrail__better_equal_or_worse_than_the_margin__is_said__c9(
    share: float, expected: ExpectedDirection, said: Verdict
) -> None:
    assert verdict(share, expected) is said


def test_guardrail__worse_but_within_the_margin__is_ok__c9() -> None:
    assert verdict(0.49, NOT_DECREASE, margin=0.1) is Verdict.OK
    assert verdict(0.49, NOT_DECREASE, margin=0.01) is Verdict.INCONCLUSIVE


def test_guardrail__little_data__shows_neither() -> None:
    assert {verdict(share, NOT_DECREASE, n=300) for share in (0.45, 0.475, 0.5)} == {Verdict.INCONCLUSIVE}


@pytest.mark.parametrize(
    ("anytime", "expected", "said"),
    [
        (ABOVE, NOT_DECREASE, Verdict.INCONCLUSIVE),
        (BELOW, NOT_INCREASE, Verdict.INCONCLUSIVE),
        (BELOW, NOT_DECREASE, Verdict.HARMED),
        (ABOVE, NOT_INCREASE, Verdict.HARMED),
        (ACROSS, NOT_DECREASE, Verdict.INCONCLUSIVE),
    ],
)
def test_decide__split_not_trustworthy__warns_and_never_says_ok__s3(
    anytime: AnytimeEffect, expected: ExpectedDirection, said: Verdict
) -> None:
    assert decide_margin(anytime, expected, trustworthy=False) is said
    assert decide_margin(anytime, expected, trustworthy=True, readable=False) is Verdict.INCONCLUSIVE


def test_decide__no_interval__says_why() -> None:
    def said(reason: str) -> Verdict:
        return decide_margin(NotComputable(reason), NOT_DECREASE, trustworthy=True)

    assert said("below_minimum_identities") is Verdict.COLLECTING_DATA
    assert said("control_mean_not_positive") is Verdict.INCONCLUSIVE


def test_decide__interval_that_touches_the_margin__is_inconclusive() -> None:
    assert decide_margin(AnytimeEffect(0.0, 0.1, 0.05), NOT_DECREASE, trustworthy=True) is Verdict.INCONCLUSIVE


@pytest.mark.parametrize("mean", [0.0, -2.0])
def test_reading__control_mean_not_positive__is_withheld__c9(mean: float) -> None:
    control, treatment = VariantAggregate(1_000, mean, 900.0), VariantAggregate(1_000, 1.0, 900.0)
    found = margin_reading(at_margin(control, NOT_DECREASE, 0.1), treatment, Evidence(10.0, ((0.1, 1.0),)))
    assert found == NotComputable("control_mean_not_positive")


def test_reading__too_few_identities_or_too_large__is_withheld() -> None:
    evidence, many = Evidence(10.0, ((0.1, 1.0),)), VariantAggregate(10, 1e200, 1.0)
    assert margin_reading(VariantAggregate(1, 1.0, 0.0), many, evidence) == NotComputable("fewer_than_two_identities")
    assert margin_reading(VariantAggregate(9, 1.0, 1.0), many, evidence) == NotComputable("out_of_range")


@pytest.mark.parametrize(("value", "said"), [(96.0, Verdict.OK), (95.0, Verdict.INCONCLUSIVE), (94.0, Verdict.HARMED)])
def test_guardrail__constants__are_certain(value: float, said: Verdict) -> None:
    control, treatment = VariantAggregate(1_000, 100.0, 0.0), VariantAggregate(1_000, value, 0.0)
    found = read(control, treatment, NOT_DECREASE, 0.05)
    assert decide_margin(found.anytime, NOT_DECREASE, trustworthy=True) is said


@pytest.mark.parametrize(
    ("expected", "margin", "named"),
    [
        (ExpectedDirection.INCREASE, 0.1, "only not_decrease and not_increase have one, got increase"),
        (NOT_DECREASE, 0.0, "must be above 0"),
        (NOT_INCREASE, -0.1, "must be above 0"),
        (NOT_INCREASE, math.inf, "finite"),
        (NOT_INCREASE, math.nan, "above 0"),
        (NOT_DECREASE, 1.0, "must be below 1 for not_decrease"),
    ],
)
def test_margin__that_no_guardrail_can_have__is_refused(expected: ExpectedDirection, margin: float, named: str) -> None:
    with pytest.raises(ValueError, match=named):
        check_margin(expected, margin)
    with pytest.raises(ValueError, match=named):
        at_margin(converted(0.5), expected, margin)


def test_margin__more_than_double__is_allowed_for_not_increase() -> None:
    assert at_margin(converted(0.1), NOT_INCREASE, 1.5).mean == pytest.approx(0.25)


@pytest.mark.parametrize(
    ("clock", "factor"), [(Clock.ODDS, 1.0), (Clock.EVENTS, 1.0), (Clock.IDENTITIES, 1.0), (Clock.EXTREMES, 9.0)]
)
def test_evidence__of_every_clock__has_the_unit_of_the_margin__c1(clock: Clock, factor: float) -> None:
    """A fixed sample needs 7.85 over the squared margin, where few convert and where nearly all do."""
    often = converted(0.9)
    found = margin_evidence(clock, often, often, (3 * N, 3 * N), 0.02)
    assert found.amount == pytest.approx(factor * relative_information(often, often))
    assert found.mixture[0] == (0.02, 0.8)
    assert sum(weight for _, weight in found.mixture) == pytest.approx(1)


def test_evidence__small_margin__does_not_hide_large_harm__c9() -> None:
    """Tuned to the margin of 1 % alone, the interval would be wide enough for a fall of four tenths until later."""
    control, treatment = converted(0.5, 400), converted(0.3, 400)
    at_one = at_margin(control, NOT_DECREASE, 0.01)
    evidence = margin_evidence(Clock.ODDS, control, treatment, (200, 120), 0.01)
    found, alone = (
        margin_reading(at_one, treatment, each) for each in (evidence, replace(evidence, mixture=((0.01, 1.0),)))
    )
    assert isinstance(found, MarginReading)
    assert isinstance(alone, MarginReading)
    assert decide_margin(found.anytime, NOT_DECREASE, trustworthy=True) is Verdict.HARMED
    assert decide_margin(alone.anytime, NOT_DECREASE, trustworthy=True) is Verdict.INCONCLUSIVE


def test_evidence__late_values__widen_the_interval_of_a_guardrail__m3() -> None:
    both = VariantAggregate(N, 0.9, 9_000.0)
    plain = margin_evidence(Clock.EVENTS, both, both, (N, N), 0.02)
    wider = widened_for_late_values(plain, both, both, (90_000, 90_000))
    assert wider.error_factor > 1
    assert wider.mixture == plain.mixture


def test_pair__adjusted_at_the_margin__has_the_error_of_the_identities_themselves__m11() -> None:
    """The values of every identity times 1 - m, adjusted as any metric is."""
    control, treatment = PairAggregate.of(PAIRS[:200]), PairAggregate.of(PAIRS[200:])
    multiplied = PairAggregate.of([(x, 0.8 * y) for x, y in PAIRS[:200]])
    found, expected = cuped(at_margin(control, NOT_DECREASE, 0.2), treatment), cuped(multiplied, treatment)
    assert isinstance(found, CupedAdjustment)
    assert isinstance(expected, CupedAdjustment)
    assert found.control.mean == pytest.approx(expected.control.mean)
    assert found.control.m2 == pytest.approx(expected.control.m2)
    assert found.theta == pytest.approx(expected.theta)
