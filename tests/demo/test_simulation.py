"""The simulations do what they say: a population, and the troubles around it."""

import numpy as np
import pytest

from experiment_pipeline.demo.shop import PRE_PERIOD, SEGMENTS
from experiment_pipeline.demo.simulation import PAGE_VIEWED, PURCHASED, SIMULATIONS, Simulation, draw, epoch_ms
from experiment_pipeline.domain.events import EXPOSURE_EVENT, MILLISECOND


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


def test_draw__regular_customers_alone_ordered_before__and_within_the_pre_period() -> None:
    outcome = draw(SIMULATIONS[0], 1)
    purchases = outcome.streams[PURCHASED]
    before = outcome.exposed_at[purchases.identity] - purchases.timestamp
    regular = np.array([segment.is_regular for segment in SEGMENTS])[outcome.segment]
    assert set(purchases.identity[before > 0]) <= set(np.flatnonzero(regular))
    assert before.max() <= PRE_PERIOD // MILLISECOND


def test_draw__some_identities_have_no_page__and_no_load_time() -> None:
    outcome = draw(SIMULATIONS[0], 1)
    assert 0.03 < 1 - len(np.unique(outcome.streams[PAGE_VIEWED].identity)) / SIMULATIONS[0].identities < 0.07
