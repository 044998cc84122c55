"""Aggregates that several tests share."""

import mpmath
import numpy as np
from hypothesis import strategies as st

from experiment_pipeline.domain.aggregates import VariantAggregate
from experiment_pipeline.stats.effect import Effect, effect
from experiment_pipeline.stats.lift import Lift, lift

CONTROL = VariantAggregate(n=1_000, mean=0.1, m2=90.0)
TREATMENT = VariantAggregate(n=1_100, mean=0.13, m2=1_100 * 0.13 * 0.87)
CONSTANT = VariantAggregate(n=1_000, mean=0.1, m2=0.0)

SMALLEST = mpmath.mpf("1e-300")  # the smallest tail that must be exact

RNG = np.random.default_rng(11)
HABIT = RNG.standard_gamma(2.0, 400)
PAIRS = list(zip((HABIT + RNG.standard_normal(400)).tolist(), HABIT.tolist(), strict=True))


def aggregates(smallest_n: int = 0) -> st.SearchStrategy[VariantAggregate]:
    """Any aggregate that can be constructed, extreme ones included."""
    return st.builds(
        VariantAggregate,
        n=st.one_of(st.integers(smallest_n, 5), st.integers(50, 10**7), st.just(2**53)),
        mean=st.one_of(st.floats(-10, 10), st.floats(allow_nan=False, allow_infinity=False)),
        m2=st.one_of(st.just(0.0), st.floats(0, 1e9), st.floats(0, allow_infinity=False)),
    )


def proportions() -> st.SearchStrategy[VariantAggregate]:
    """Conversions out of any number of identities."""

    def arm(n: int, share: float) -> VariantAggregate:
        converted = round(n * share)
        return VariantAggregate(n, converted / n, converted * (1 - converted / n))

    return st.builds(arm, st.integers(1, 10**6), st.floats(0, 1))


def effect_between(control: VariantAggregate, treatment: VariantAggregate) -> Effect:
    """Return the effect of two arms that have one."""
    found = effect(control, treatment)
    assert isinstance(found, Effect)
    return found


def lift_between(control: VariantAggregate, treatment: VariantAggregate, alpha: float = 0.05) -> Lift:
    """Return the lift of two arms that have one."""
    found = lift(control, treatment, alpha=alpha)
    assert isinstance(found, Lift)
    return found
