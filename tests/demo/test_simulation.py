"""The simulations do what they say: a truth, and the troubles around it."""

import numpy as np
import pytest

from experiment_pipeline.demo.simulation import PURCHASED, SIMULATIONS, Simulation, draw, epoch_ms
from experiment_pipeline.domain.events import EXPOSURE_EVENT
from tests.demo.outcomes import METRICS, per_identity


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
    exposures = outcome.streams[EXPOSURE_EVENT]
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
