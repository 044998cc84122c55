"""Whatever goes in, no method answers NaN or infinity, and no numpy warning escapes (warnings are errors here)."""

import dataclasses
import math
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiment_pipeline.domain.aggregates import PairAggregate, VariantAggregate
from experiment_pipeline.domain.experiments import Design
from experiment_pipeline.domain.measures import Clock
from experiment_pipeline.domain.metrics import Direction, ExpectedDirection
from experiment_pipeline.stats import bayesian, frequentist
from experiment_pipeline.stats.confidence_sequence import anytime_effect
from experiment_pipeline.stats.cuped import cuped
from experiment_pipeline.stats.effect import Effect, effect
from experiment_pipeline.stats.evidence import accrued_evidence, planned_lift
from experiment_pipeline.stats.group_sequential import (
    drift_for_power,
    exit_probabilities,
    obrien_fleming_boundaries,
    obrien_fleming_spending,
    spending_boundaries,
)
from experiment_pipeline.stats.lift import lift
from experiment_pipeline.stats.not_computable import NotComputable
from experiment_pipeline.stats.power import minimum_detectable_effect, power_of, sample_size
from experiment_pipeline.stats.ratio import ratio_aggregate
from experiment_pipeline.stats.srm import anytime_srm_test, srm_test
from experiment_pipeline.stats.verdict import Verdict, decide
from tests.stats.arms import CONTROL, TREATMENT, aggregates, proportions

DESIGNS = st.sampled_from([Design(), Design(mde=0.05, baseline=0.1), Design(mde=1e-200, baseline=1e-200)])
ALPHAS = st.floats(1e-12, 1 - 1e-12)
FINITE = st.floats(allow_nan=False, allow_infinity=False)


def assert_sound(answer: object) -> None:
    """A reason, or numbers that are numbers."""
    if isinstance(answer, NotComputable):
        assert answer.reason.replace("_", "").isalnum()
    elif isinstance(answer, float):
        assert math.isfinite(answer)
    elif dataclasses.is_dataclass(answer):
        for field in dataclasses.fields(answer):
            assert_sound(getattr(answer, field.name))


@given(aggregates(), aggregates(), ALPHAS, DESIGNS, st.sampled_from(Direction))
def test_means__any_two_arms__answer_or_say_why(
    control: VariantAggregate, treatment: VariantAggregate, alpha: float, design: Design, direction: Direction
) -> None:
    assert_sound(frequentist.welch_test(control, treatment, alpha=alpha))
    assert_sound(bayesian.informed_lift(control, treatment, bayesian.LiftPrior(0.0, 0.1), direction, alpha=alpha))
    for interval in ("fieller", "delta"):
        assert_sound(lift(control, treatment, alpha=alpha, interval=interval))
    absolute = effect(control, treatment, alpha=alpha)
    assert_sound(absolute)
    if isinstance(absolute, NotComputable):
        return
    assert 0 <= bayesian.chance_to_win(absolute, direction) <= 1
    assert_sound(bayesian.expected_loss(absolute, direction))
    for clock in Clock:
        evidence = accrued_evidence(clock, control, treatment, (min(control.n, 7), treatment.n), design)
        assert_sound(evidence)
        anytime = anytime_effect(absolute, control, treatment, evidence, alpha=alpha)
        assert_sound(anytime)
        assert 0 <= anytime.p_value <= 1
        assert anytime.ci_low <= absolute.value <= anytime.ci_high
        verdict = decide(anytime, direction=direction, expected_direction=ExpectedDirection.INCREASE, trustworthy=True)
        assert verdict in (Verdict.WINNING, Verdict.LOSING, Verdict.INCONCLUSIVE)


@given(proportions(), proportions(), ALPHAS)
def test_proportions__any_two_arms__answer_or_say_why(
    control: VariantAggregate, treatment: VariantAggregate, alpha: float
) -> None:
    test = frequentist.two_proportion_test(control, treatment, alpha=alpha)
    assert_sound(test)
    if isinstance(test, frequentist.ProportionTest):
        assert -1 - 1e-12 <= test.ci_low <= test.ci_high <= 1 + 1e-12


@given(st.lists(st.tuples(FINITE, FINITE), max_size=5), st.lists(st.tuples(FINITE, FINITE), max_size=5))
def test_pairs__any_two_samples__answer_or_say_why(
    one: list[tuple[float, float]], other: list[tuple[float, float]]
) -> None:
    try:
        control, treatment = PairAggregate.of(one), PairAggregate.of(other)
    except (ValueError, OverflowError):
        return  # too large to have moments
    assert_sound(ratio_aggregate(control))
    assert_sound(cuped(control, treatment))


@given(
    st.dictionaries(st.sampled_from("abcd"), st.integers(0, 2**51)),
    st.dictionaries(st.sampled_from("abcd"), st.floats(0, 1e6)),
)
def test_srm__any_counts_and_shares__answers_or_says_why(counts: dict[str, int], shares: dict[str, float]) -> None:
    fixed, anytime = srm_test(counts, shares), anytime_srm_test(counts, shares)
    assert_sound(fixed)
    assert_sound(anytime)
    assert isinstance(fixed, NotComputable) == isinstance(anytime, NotComputable)


@given(st.dictionaries(st.integers(0, 9), aggregates(), max_size=6), st.sampled_from(Direction))
def test_chance_to_be_best__any_arms__sums_to_one_or_says_why(
    arms: dict[int, VariantAggregate], direction: Direction
) -> None:
    chances = bayesian.chance_to_be_best({str(key): arm for key, arm in arms.items()}, direction)
    assert_sound(chances)
    if not isinstance(chances, NotComputable):
        assert math.fsum(chances.values()) == pytest.approx(1)
        assert all(0 <= chance <= 1 for chance in chances.values())


def test_chance_to_be_best__a_thousand_arms__sums_to_one() -> None:
    arms = {str(i): VariantAggregate(1_000, 0.1 + i * 1e-5, 90.0 + i) for i in range(1_000)}
    chances = bayesian.chance_to_be_best(arms, Direction.UP)
    assert not isinstance(chances, NotComputable)
    assert math.fsum(chances.values()) == pytest.approx(1)
    assert max(chances, key=chances.__getitem__) == "999"


def test_chance_to_be_best__a_thousand_arms_of_every_spread__sums_to_one() -> None:
    arms = {str(i): VariantAggregate(1_000, i % 7 / 7, 10.0 ** (i % 90 / 10)) for i in range(1_000)}
    chances = bayesian.chance_to_be_best(arms, Direction.UP)
    assert not isinstance(chances, NotComputable)
    assert math.fsum(chances.values()) == pytest.approx(1)


def test_chance_to_be_best__distances_that_are_no_float__are_certain() -> None:
    arms = {"a": VariantAggregate(1_000, 0.0, 0.0), "b": VariantAggregate(50, 0.0, TINY)}
    arms["c"] = VariantAggregate(2**53, 1e149, 1.0)
    assert bayesian.chance_to_be_best(arms, Direction.UP) == pytest.approx({"a": 0.0, "b": 0.0, "c": 1.0}, abs=1e-30)


def test_srm__a_thousand_arms__has_its_nominal_p() -> None:
    keys = [str(i) for i in range(1_000)]
    test = srm_test(dict.fromkeys(keys, 1_000), dict.fromkeys(keys, 0.1))
    assert not isinstance(test, NotComputable)
    assert (test.dof, test.p_value) == (999, 1.0)


@pytest.mark.parametrize("alpha", [0.0, 5e-324, 1.0, -0.1, 2.0, math.nan, math.inf])
@pytest.mark.parametrize(
    "method",
    [
        lambda alpha: effect(CONTROL, TREATMENT, alpha=alpha),
        lambda alpha: lift(CONTROL, TREATMENT, alpha=alpha),
        lambda alpha: frequentist.welch_test(CONTROL, TREATMENT, alpha=alpha),
        lambda alpha: frequentist.two_proportion_test(CONTROL, TREATMENT, alpha=alpha),
        lambda alpha: spending_boundaries([0.5, 1.0], alpha),
        lambda alpha: obrien_fleming_boundaries(2, alpha),
        lambda alpha: sample_size(standard_deviation=1.0, effect=0.1, alpha=alpha),
        lambda alpha: minimum_detectable_effect(standard_deviation=1.0, control_n=9, treatment_n=9, alpha=alpha),
    ],
)
def test_alpha__not_between_0_and_1__is_refused_by_name(method: Callable[[float], object], alpha: float) -> None:
    with pytest.raises(ValueError, match=r"^alpha: "):
        method(alpha)


@pytest.mark.parametrize(
    ("counts", "shares", "argument"),
    [
        ({"a": -1, "b": 500}, {"a": 1, "b": 1}, "counts"),
        ({"a": 2**53 + 1, "b": 500}, {"a": 1, "b": 1}, "counts"),
        ({"a": 500, "b": 500}, {"a": math.nan, "b": 1}, "shares"),
        ({"a": 500, "b": 500}, {"a": math.inf, "b": 1}, "shares"),
        ({"a": 500, "b": 500}, {"a": -0.5, "b": 1}, "shares"),
        ({"a": 500, "b": 500}, {"a": 1e308, "b": 1e308}, "shares"),
    ],
)
def test_srm__impossible_argument__is_refused_by_name(
    counts: dict[str, int], shares: dict[str, float], argument: str
) -> None:
    for test in (srm_test, anytime_srm_test):
        with pytest.raises(ValueError, match=f"^{argument}: "):
            test(counts, shares)


HUGE, TINY = 1.7e308, 1e-320
SOME = Effect(0.03, 0.01, 0.01, 0.05)
MILLION = VariantAggregate(10**6, -1.0, 0.2)


@pytest.mark.parametrize(
    "answer",
    [
        frequentist.welch_test(VariantAggregate(2, 0.0, TINY), VariantAggregate(2, 1e149, 0.0)),
        frequentist.welch_test(MILLION, VariantAggregate(3, -2.0, 1e-12), alpha=1e-300),
        cuped(PairAggregate(9, 0, 0, 1, HUGE, 0), PairAggregate(9, 0, 0, 1, HUGE, 0)),
    ],
)
def test_moments__too_large_to_be_compared__are_out_of_range(answer: object) -> None:
    assert answer == NotComputable("out_of_range")


@pytest.mark.parametrize(
    ("method", "argument"),
    [
        (lambda: frequentist.wilson_interval(0, 0, 1.96), "converted"),
        (lambda: frequentist.wilson_interval(5, 4, 1.96), "converted"),
        (lambda: power_of(math.nan, 1.0), "effect"),
        (lambda: minimum_detectable_effect(standard_deviation=HUGE, control_n=1, treatment_n=1), "standard_deviation"),
        (lambda: planned_lift(Design(mde=math.nan, baseline=1.0)), "design"),
        (lambda: obrien_fleming_spending(math.nan, 0.05), "fraction"),
        (lambda: exit_probabilities([1.0], [2.0], math.nan), "drift"),
        (lambda: exit_probabilities([1e308], [2.0]), "fractions"),
        (lambda: drift_for_power([0.5, 1.0], [math.inf, math.inf]), "power"),
        (lambda: drift_for_power([], []), "power"),
    ],
)
def test_argument__impossible_one__is_refused_by_name(method: Callable[[], object], argument: str) -> None:
    with pytest.raises(ValueError, match=f"^{argument}: "):
        method()
