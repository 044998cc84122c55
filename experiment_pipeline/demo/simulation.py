"""Synthetic experiments with known effects: seeded draws of exposures and of the events after them.

The model is a shop. Each exposed identity views pages and may buy, all within `FOLLOW_UP`, so that no event falls out
of the window and the expectations of `Behaviour.means` are exact. Events that an analysis must leave out come with
them: purchases before the exposure or after the end, and identities that flicker between two variants.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from experiment_pipeline.domain.events import EPOCH, EXPOSURE_EVENT, MILLISECOND

Times = NDArray[np.int64]
Numbers = NDArray[np.float64]

PAGE_VIEWED = "page_viewed"  # its value: how long the page took to load, in ms
PURCHASED = "purchased"  # its value: the order's
SUPPORT_CONTACTED = "support_contacted"

FOLLOW_UP = timedelta(days=3)  # from the first exposure to the last event that it can cause
FIRST_DAY = 3 ** (-1 / 3)  # of first purchases come within a day: their delay is FOLLOW_UP * u^3, u uniform
REPEAT_PURCHASES = 0.25  # per buyer, on average
ORDER_SPREAD = 0.5  # sigma of the logarithm
LOAD_SPREAD = 0.3

FLICKERING = 0.01  # identities that see a second variant
SEEN_AGAIN = 0.3  # identities exposed a second time to the same variant
OUT_OF_WINDOW = 0.02  # identities that buy before their exposure; as many buy after the end


@dataclass(frozen=True, slots=True)
class Behaviour:
    """The expected behaviour of one identity after its first exposure."""

    buyers: float = 0.12  # share of identities
    order_value: float = 40.0
    pages: float = 8.0  # at least 1: the one that shows the flag
    load_ms: float = 800.0
    support_contacts: float = 0.15

    def means(self) -> dict[str, float]:
        """Return the true mean per identity of each metric that experiments.yaml declares, by name."""
        return {
            "purchase_rate": self.buyers,
            "purchase_rate_first_day": self.buyers * FIRST_DAY,
            "revenue": self.buyers * (1 + REPEAT_PURCHASES) * self.order_value,
            "pages_viewed": self.pages,
            "load_time": self.load_ms,
            "support_contacts": self.support_contacts,
        }


@dataclass(frozen=True, slots=True)
class Arm:
    """A variant's behaviour; `share` is the traffic that it really gets, which may differ from the declared one."""

    variant: str
    share: float
    behaviour: Behaviour


@dataclass(frozen=True, slots=True)
class Simulation:
    """One synthetic experiment. Identities arrive evenly from `started_at` until `FOLLOW_UP` before `ends_at`.

    is_over: its declaration has an end too, and some identities buy after it
    """

    key: str
    feature: str
    identities: int
    arms: tuple[Arm, ...]
    started_at: datetime
    ends_at: datetime
    is_over: bool = True

    def true_lift(self, variant: str, metric: str) -> float:
        """Return the relative difference of the metric's expectations, variant against control."""
        means = {arm.variant: arm.behaviour.means()[metric] for arm in self.arms}
        return means[variant] / means["control"] - 1


@dataclass(frozen=True, slots=True)
class Stream:
    """Every event of one name: identity, time in epoch ms, and a number (for exposures the index of the arm)."""

    identity: NDArray[np.intp]
    timestamp: Times
    value: Numbers


@dataclass(frozen=True, slots=True)
class Draw:
    """One outcome of a simulation: an array per identity, and the events by name.

    arm:        index into the simulation's arms, of the first exposure
    exposed_at: the first exposure, epoch ms
    flickers:   sees a second variant within the window
    """

    arm: NDArray[np.intp]
    exposed_at: Times
    flickers: NDArray[np.bool_]
    streams: dict[str, Stream]


def draw(simulation: Simulation, seed: int) -> Draw:
    """Return every event of one experiment; the same seed gives the same events."""
    rng = np.random.default_rng([seed, *simulation.key.encode()])
    arm = rng.choice(len(simulation.arms), size=simulation.identities, p=[arm.share for arm in simulation.arms])
    arrivals = epoch_ms(simulation.ends_at - FOLLOW_UP) - epoch_ms(simulation.started_at)
    exposed_at = epoch_ms(simulation.started_at) + rng.integers(0, arrivals, size=simulation.identities)
    flickers = rng.random(simulation.identities) < FLICKERING

    behaviours = [each.behaviour for each in simulation.arms]
    streams = {
        EXPOSURE_EVENT: _exposures(rng, arm, exposed_at, flickers, len(behaviours)),
        PAGE_VIEWED: _page_views(rng, exposed_at, _each(behaviours, "pages")[arm], _each(behaviours, "load_ms")[arm]),
        PURCHASED: _purchases(
            rng, simulation, exposed_at, _each(behaviours, "buyers")[arm], _each(behaviours, "order_value")[arm]
        ),
        SUPPORT_CONTACTED: _support_contacts(rng, exposed_at, _each(behaviours, "support_contacts")[arm]),
    }
    return Draw(arm=arm, exposed_at=exposed_at, flickers=flickers, streams=streams)


def epoch_ms(moment: datetime) -> int:
    """Return the milliseconds since 1970."""
    return (moment - EPOCH) // MILLISECOND


def _each(behaviours: Sequence[Behaviour], field: str) -> Numbers:
    return np.array([getattr(behaviour, field) for behaviour in behaviours])


def _exposures(
    rng: np.random.Generator, arm: NDArray[np.intp], exposed_at: Times, flickers: NDArray[np.bool_], arms: int
) -> Stream:
    everybody = np.arange(len(arm))
    again = everybody[rng.random(len(everybody)) < SEEN_AGAIN]
    torn = everybody[flickers]
    other = (arm[torn] + rng.integers(1, arms, size=len(torn))) % arms
    identity = np.concatenate([everybody, again, torn])
    later = _within(rng, FOLLOW_UP, len(again) + len(torn)) + 1
    return Stream(
        identity=identity,
        timestamp=exposed_at[identity] + np.concatenate([np.zeros(len(everybody), dtype=np.int64), later]),
        value=np.concatenate([arm, arm[again], other]).astype(np.float64),
    )


def _page_views(rng: np.random.Generator, exposed_at: Times, pages: Numbers, load_ms: Numbers) -> Stream:
    further = rng.poisson(pages - 1)
    identity = _repeated(1 + further)
    is_first = np.concatenate([[True], identity[1:] != identity[:-1]])
    delay = np.where(is_first, 0, _within(rng, FOLLOW_UP, len(identity)))
    return Stream(
        identity=identity,
        timestamp=exposed_at[identity] + delay,
        value=np.round(load_ms[identity] * _lognormal(rng, LOAD_SPREAD, len(identity))),
    )


def _purchases(
    rng: np.random.Generator, simulation: Simulation, exposed_at: Times, buyers: Numbers, order_value: Numbers
) -> Stream:
    everybody = np.arange(len(exposed_at))
    first_buyers = everybody[rng.random(len(everybody)) < buyers]
    follow_up = FOLLOW_UP // MILLISECOND
    first_delay = (follow_up * rng.random(len(first_buyers)) ** 3).astype(np.int64)
    again = _repeated(rng.poisson(REPEAT_PURCHASES, size=len(first_buyers)))
    again_delay = rng.integers(first_delay[again], follow_up)

    before = everybody[rng.random(len(everybody)) < OUT_OF_WINDOW]
    after = everybody[rng.random(len(everybody)) < OUT_OF_WINDOW * simulation.is_over]
    identity = np.concatenate([first_buyers, first_buyers[again], before, after])
    return Stream(
        identity=identity,
        timestamp=np.concatenate(
            [
                exposed_at[first_buyers] + first_delay,
                exposed_at[first_buyers[again]] + again_delay,
                exposed_at[before] - 1 - _within(rng, FOLLOW_UP, len(before)),
                epoch_ms(simulation.ends_at) + _within(rng, FOLLOW_UP, len(after)),
            ]
        ),
        value=np.round(order_value[identity] * _lognormal(rng, ORDER_SPREAD, len(identity)), 2),
    )


def _support_contacts(rng: np.random.Generator, exposed_at: Times, contacts: Numbers) -> Stream:
    identity = _repeated(rng.poisson(contacts))
    delay = _within(rng, FOLLOW_UP, len(identity))
    return Stream(identity, exposed_at[identity] + delay, np.ones(len(identity)))


def _repeated(times: NDArray[np.integer]) -> NDArray[np.intp]:
    """Return each index i, `times[i]` times."""
    return np.repeat(np.arange(len(times)), times)


def _within(rng: np.random.Generator, duration: timedelta, size: int) -> Times:
    return rng.integers(0, duration // MILLISECOND, size=size)


def _lognormal(rng: np.random.Generator, sigma: float, size: int) -> Numbers:
    """Return draws of a log-normal law of mean one."""
    return rng.lognormal(-sigma * sigma / 2, sigma, size=size)


USUAL = Behaviour()
SIMULATIONS = (
    Simulation(
        key="one_page_checkout",
        feature="checkout_flow",
        identities=6_000,
        arms=(
            Arm("control", 0.5, USUAL),
            Arm("one_page", 0.5, replace(USUAL, buyers=0.18, support_contacts=0.12)),
        ),
        started_at=datetime(2026, 1, 12, tzinfo=UTC),
        ends_at=datetime(2026, 1, 26, tzinfo=UTC),
    ),
    Simulation(
        key="same_banner_twice",
        feature="home_banner",
        identities=5_000,
        arms=(Arm("control", 0.5, USUAL), Arm("same", 0.5, USUAL)),
        started_at=datetime(2026, 1, 14, tzinfo=UTC),
        ends_at=datetime(2026, 1, 28, tzinfo=UTC),
    ),
    Simulation(  # the slower page loses exposures: 44 % arrive where 50 % were declared
        key="search_suggestions",
        feature="search_box",
        identities=4_000,
        arms=(Arm("control", 0.56, USUAL), Arm("suggestions", 0.44, replace(USUAL, pages=8.6, load_ms=880.0))),
        started_at=datetime(2026, 1, 19, tzinfo=UTC),
        ends_at=datetime(2026, 2, 2, tzinfo=UTC),
    ),
    Simulation(
        key="product_page_layout",
        feature="product_page",
        identities=5_000,
        arms=(
            Arm("control", 0.3, USUAL),
            Arm("gallery", 0.3, replace(USUAL, pages=8.8, load_ms=820.0)),
            Arm("reviews_first", 0.3, replace(USUAL, buyers=0.135, order_value=42.0)),
            Arm("holdout", 0.1, USUAL),
        ),
        started_at=datetime(2026, 1, 21, tzinfo=UTC),
        ends_at=datetime(2026, 2, 4, tzinfo=UTC),
        is_over=False,
    ),
)
