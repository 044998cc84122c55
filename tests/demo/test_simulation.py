"""The simulations do what they say: a truth that intervals cover, and the troubles around it."""

from collections import Counter
from fractions import Fraction

import numpy as np
import pytest
from numpy.typing import NDArray

from experiment_pipeline.demo.simulation import (
    EXPOSURE,
    PAGE_VIEWED,
    PURCHASED,
    SIMULATIONS,
    SUPPORT_CONTACTED,
    Behaviour,
    Draw,
    Simulation,
    Stream,
    draw,
    epoch_ms,
)
from tests.reference.aggregates import Moments
from tests.reference.inference import lift_interval

DAY_MS = 24 * 60 * 60 * 1000
METRICS = tuple(Behaviour().means())
Values = NDArray[np.float64]


def attributed(simulation: Simulation, outcome: Draw, stream: Stream) -> Stream:
    """The events of the window after the first exposure (rule M2)."""
    after = stream.timestamp - outcome.exposed_at[stream.identity]
    counts = (after >= 0) & (stream.timestamp < epoch_ms(simulation.ends_at))
    return Stream(stream.identity[counts], after[counts], stream.value[counts])


def per_identity(simulation: Simulation, outcome: Draw) -> dict[str, Values]:
    """Rule M3 over the arrays of a draw."""
    pages, purchases, contacts = (
        attributed(simulation, outcome, outcome.streams[event]) for event in (PAGE_VIEWED, PURCHASED, SUPPORT_CONTACTED)
    )

    def total(stream: Stream, weights: Values | None = None) -> Values:
        return np.bincount(stream.identity, weights, minlength=simulation.identities).astype(np.float64)

    on_first_day = (purchases.timestamp < DAY_MS).astype(np.float64)
    return {
        "purchase_rate": np.minimum(total(purchases), 1),
        "purchase_rate_first_day": np.minimum(total(purchases, on_first_day), 1),
        "revenue": total(purchases, purchases.value),
        "pages_viewed": total(pages),
        "load_time": total(pages, pages.value) / total(pages),
        "support_contacts": total(contacts),
    }


def moments(values: Values) -> Moments:
    return Moments(len(values), Fraction(float(values.sum())), Fraction(float((values * values).sum())))


def test_draw__the_interval_covers_the_true_lift_as_often_as_it_says() -> None:
    covered: Counter[str] = Counter()
    intervals: Counter[str] = Counter()
    for simulation in SIMULATIONS:
        variants = [arm.variant for arm in simulation.arms]
        for seed in range(200):
            outcome = draw(simulation, seed)
            for metric, values in per_identity(simulation, outcome).items():
                arms = {
                    variant: moments(values[(outcome.arm == index) & ~outcome.flickers])
                    for index, variant in enumerate(variants)
                }
                for treatment in set(variants) - {"control", "holdout"}:
                    interval = lift_interval(arms["control"], arms[treatment])
                    assert interval is not None
                    low, high = interval
                    covered[metric] += low <= simulation.true_lift(treatment, metric) <= high
                    intervals[metric] += 1
    assert set(intervals) == set(METRICS)
    shares = {metric: covered[metric] / intervals[metric] for metric in METRICS}
    assert {metric: share for metric, share in shares.items() if not 0.92 <= share <= 0.98} == {}


@pytest.mark.parametrize("simulation", SIMULATIONS, ids=lambda simulation: simulation.key)
def test_draw__means_of_control__are_the_true_ones(simulation: Simulation) -> None:
    sums = dict.fromkeys(METRICS, 0.0)
    identities = 0
    for seed in range(20):
        outcome = draw(simulation, seed)
        control = outcome.arm == 0
        identities += int(control.sum())
        for metric, values in per_identity(simulation, outcome).items():
            sums[metric] += float(values[control].sum())
    means = {metric: total / identities for metric, total in sums.items()}
    assert means == pytest.approx(simulation.arms[0].behaviour.means(), rel=0.05)


@pytest.mark.parametrize("simulation", SIMULATIONS, ids=lambda simulation: simulation.key)
def test_draw__one_percent_flickers_within_the_window(simulation: Simulation) -> None:
    outcome = draw(simulation, 1)
    exposures = outcome.streams[EXPOSURE]
    assert (exposures.timestamp >= epoch_ms(simulation.started_at)).all()
    assert (exposures.timestamp < epoch_ms(simulation.ends_at)).all()
    seen: dict[int, set[float]] = {}
    for identity, arm in zip(exposures.identity.tolist(), exposures.value.tolist(), strict=True):
        seen.setdefault(identity, set()).add(arm)
    assert len(seen) == simulation.identities
    assert {identity for identity, arms in seen.items() if len(arms) > 1} == set(np.flatnonzero(outcome.flickers))
    assert 0.005 < outcome.flickers.mean() < 0.015


@pytest.mark.parametrize("simulation", SIMULATIONS, ids=lambda simulation: simulation.key)
def test_draw__some_purchases_must_not_count(simulation: Simulation) -> None:
    outcome = draw(simulation, 1)
    purchases = outcome.streams[PURCHASED]
    assert (purchases.timestamp < outcome.exposed_at[purchases.identity]).any()
    assert (purchases.timestamp >= epoch_ms(simulation.ends_at)).any() == simulation.is_over


def test_draw__another_seed__draws_something_else() -> None:
    one, same, other = (draw(SIMULATIONS[0], seed) for seed in (1, 1, 2))
    assert np.array_equal(one.exposed_at, same.exposed_at)
    assert not np.array_equal(one.exposed_at, other.exposed_at)


def test_true_lift() -> None:
    winner, same = SIMULATIONS[:2]
    assert winner.true_lift("one_page", "purchase_rate") == pytest.approx(0.5)
    assert {same.true_lift("same", metric) for metric in METRICS} == {0.0}
