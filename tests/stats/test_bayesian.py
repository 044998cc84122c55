"""Probabilities of decisions: exact when degenerate, flipped when lower is better, true to their integrals."""

import math

import mpmath
import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiment_pipeline.domain.aggregates import VariantAggregate
from experiment_pipeline.domain.metrics import Direction
from experiment_pipeline.stats.bayesian import (
    InformedLift,
    LiftPrior,
    chance_to_be_best,
    chance_to_win,
    expected_loss,
    informed_lift,
)
from experiment_pipeline.stats.effect import Effect, effect
from experiment_pipeline.stats.lift import lift
from experiment_pipeline.stats.not_computable import NotComputable
from tests.stats.arms import CONSTANT, CONTROL, TREATMENT

UP, DOWN = Direction.UP, Direction.DOWN


def posterior(mean: float, sd: float) -> Effect:
    return Effect(mean, sd, mean - 2 * sd, mean + 2 * sd)


@given(st.floats(-1e3, 1e3), st.floats(1e-6, 1e3))
def test_chance_to_win__lower_is_better__is_the_other_arm_s(mean: float, sd: float) -> None:
    won = chance_to_win(posterior(mean, sd), UP)
    assert won == chance_to_win(posterior(mean, sd), Direction.INFORMATIONAL)
    assert won + chance_to_win(posterior(mean, sd), DOWN) == pytest.approx(1)


@pytest.mark.parametrize(("mean", "chance"), [(-0.1, 0.0), (0.0, 0.5), (0.1, 1.0)])
def test_chance_to_win__no_variance__is_certain(mean: float, chance: float) -> None:
    assert chance_to_win(posterior(mean, 0.0), UP) == chance
    assert chance_to_win(posterior(mean, 0.0), DOWN) == 1 - chance


@pytest.mark.parametrize("z", [-36.0, -20.0, -6.0, -1.0, 0.0, 0.5, 4.0, 30.0])
def test_expected_loss__any_distance__is_its_integral(z: float) -> None:
    mpmath.mp.dps = 50
    x, sd = mpmath.mpf(z), 0.01
    gain = sd * (x * mpmath.ncdf(x) + mpmath.npdf(x))
    loss = expected_loss(posterior(z * sd, sd), UP)
    assert loss.if_keep == pytest.approx(float(gain), rel=1e-9)
    assert loss.if_keep - loss.if_ship == pytest.approx(z * sd, abs=1e-12)
    mirrored = expected_loss(posterior(z * sd, sd), DOWN)
    assert (mirrored.if_ship, mirrored.if_keep) == (loss.if_keep, loss.if_ship)


def test_expected_loss__no_variance__is_the_whole_difference() -> None:
    loss = expected_loss(posterior(-0.2, 0.0), UP)
    assert (loss.if_ship, loss.if_keep) == (0.2, 0.0)


@given(st.floats(-0.5, 0.5), st.floats(1e-3, 10))
def test_informed_lift__any_prior__lies_between_prior_and_data(mean: float, sd: float) -> None:
    observed = lift(CONTROL, TREATMENT, interval="delta")
    found = informed_lift(CONTROL, TREATMENT, LiftPrior(mean, sd), UP)
    assert isinstance(found, InformedLift)
    assert not isinstance(observed, NotComputable)
    assert min(mean, observed.value) - 1e-12 <= found.value <= max(mean, observed.value) + 1e-12
    error = (observed.ci_high - observed.ci_low) / (2 * 1.959963984540054)
    assert 1 / found.standard_deviation**2 == pytest.approx(1 / error**2 + 1 / sd**2, rel=1e-9)
    assert found.value / found.standard_deviation**2 == pytest.approx(
        observed.value / error**2 + mean / sd**2, rel=1e-9
    )


def test_informed_lift__no_variance__ignores_the_prior() -> None:
    found = informed_lift(CONSTANT, VariantAggregate(50, 0.2, 0.0), LiftPrior(0.0, 0.01), UP)
    assert found == InformedLift(1.0, 0.0, 1.0, 1.0, 1.0)


def test_informed_lift__no_lift__says_why() -> None:
    nothing = VariantAggregate(100, 0.0, 0.0)
    assert informed_lift(nothing, TREATMENT, LiftPrior(0.0, 0.1), UP) == NotComputable("control_mean_not_positive")


@pytest.mark.parametrize(("mean", "sd", "argument"), [(math.nan, 1.0, "mean"), (0.0, 0.0, "standard_deviation")])
def test_lift_prior__impossible__is_refused_by_name(mean: float, sd: float, argument: str) -> None:
    with pytest.raises(ValueError, match=f"^{argument}: "):
        LiftPrior(mean, sd)


def test_chance_to_be_best__two_arms__is_the_chance_to_win() -> None:
    for direction in (UP, DOWN):
        chances = chance_to_be_best({"control": CONTROL, "b": TREATMENT}, direction)
        absolute = effect(CONTROL, TREATMENT)
        assert isinstance(absolute, Effect)
        assert isinstance(chances, dict)
        assert chances["b"] == pytest.approx(chance_to_win(absolute, direction), abs=1e-9)


def test_chance_to_be_best__certain_arms__share_ties_and_meet_the_others() -> None:
    chances = chance_to_be_best({"a": CONSTANT, "b": CONSTANT, "c": VariantAggregate(9, 0.05, 0.0)}, UP)
    assert chances == {"a": 0.5, "b": 0.5, "c": 0.0}
    against = chance_to_be_best({"a": CONSTANT, "b": VariantAggregate(1_000, 0.1, 90.0)}, UP)
    assert against == pytest.approx({"a": 0.5, "b": 0.5})


def test_chance_to_be_best__one_arm_or_too_little_data__says_why() -> None:
    few = VariantAggregate(1, 0.1, 0.0)
    assert chance_to_be_best({"a": CONTROL}, UP) == NotComputable("fewer_than_two_arms")
    assert chance_to_be_best({"a": CONTROL, "b": few}, UP) == NotComputable("fewer_than_two_identities")
    huge = VariantAggregate(10, 1e200, 1.0)
    assert chance_to_be_best({"a": CONTROL, "b": huge}, UP) == NotComputable("out_of_range")
