"""Synthetic experiments with known effects: seeded draws of exposures and of the events around them.

The model is the shop of shop.py. What an exposure causes comes within `FOLLOW_UP`, so that no event falls out of the
window and the true values of truth.py are exact; only the return on the eighth day may come after the end, where
visitors are not mature. Events that an analysis must leave out come with them: orders before the exposure or after the
end, sign-ins on other days, and identities that flicker between two variants.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from experiment_pipeline.demo.shop import (
    ABANDONED_AT_ADDRESS,
    CART_BEFORE_ORDER,
    FOLLOW_UP,
    LOAD_OF_OTHER_PAGES,
    LOAD_OF_PRODUCT_PAGES,
    LOAD_SPREAD,
    ORDER_SPREAD,
    ORDERS_BEFORE,
    PAGES_SEEN,
    PRE_PERIOD,
    PRODUCT_PAGES,
    REPEAT_ORDERS,
    RETURN,
    SEGMENTS,
    Behaviour,
    Segment,
)
from experiment_pipeline.domain.events import EPOCH, EXPOSURE_EVENT, MILLISECOND

Times = NDArray[np.int64]
Numbers = NDArray[np.float64]
Indices = NDArray[np.intp]

PAGE_VIEWED = "page_viewed"  # its value: how long the page took to load, in ms
CART_VIEWED = "cart_viewed"
ADDRESS_ENTERED = "address_entered"
PURCHASED = "purchased"  # its value: the order's
SIGNED_IN = "signed_in"
SUPPORT_CONTACTED = "support_contacted"

DAY = timedelta(days=1)
FLICKERING = 0.01  # identities that see a second variant
SEEN_AGAIN = 0.3  # identities exposed a second time to the same variant
AFTER_THE_END = 0.02  # identities that order after the end
SIGNED_IN_EARLIER = 0.2  # identities that sign in within `FOLLOW_UP`


@dataclass(frozen=True, slots=True)
class Arm:
    """A variant's behaviour; `share` is the traffic that it really gets, which may differ from the declared one."""

    variant: str
    share: float
    behaviour: Behaviour


@dataclass(frozen=True, slots=True)
class Simulation:
    """One synthetic experiment. Identities arrive evenly from `started_at` until `FOLLOW_UP` before `ends_at`.

    is_over: its declaration has an end too, and some identities order after it
    """

    key: str
    feature: str
    identities: int
    arms: tuple[Arm, ...]
    started_at: datetime
    ends_at: datetime
    is_over: bool = True


@dataclass(frozen=True, slots=True)
class Stream:
    """Every event of one name: identity, time in epoch ms, and a number (for exposures the index of the arm).

    The number is NaN where the event has no value. of_product: whether it is of a product page; None for other events.
    """

    identity: Indices
    timestamp: Times
    value: Numbers
    of_product: NDArray[np.bool_] | None = None


@dataclass(frozen=True, slots=True)
class Draw:
    """One outcome of a simulation: an array per identity, and the events by name.

    arm:        index into the simulation's arms, of the first exposure
    segment:    index into `SEGMENTS`
    exposed_at: the first exposure, epoch ms
    flickers:   sees a second variant within the window
    """

    arm: Indices
    segment: Indices
    exposed_at: Times
    flickers: NDArray[np.bool_]
    streams: dict[str, Stream]


def draw(simulation: Simulation, seed: int) -> Draw:
    """Return every event of one experiment; the same seed gives the same events."""
    rng = np.random.default_rng([seed, *simulation.key.encode()])
    arm = rng.choice(len(simulation.arms), size=simulation.identities, p=[arm.share for arm in simulation.arms])
    segment = rng.choice(len(SEGMENTS), size=simulation.identities, p=[segment.share for segment in SEGMENTS])
    arrivals = epoch_ms(simulation.ends_at - FOLLOW_UP) - epoch_ms(simulation.started_at)
    exposed_at = epoch_ms(simulation.started_at) + rng.integers(0, arrivals, size=simulation.identities)
    flickers = rng.random(simulation.identities) < FLICKERING

    def each(parameter: Callable[[Behaviour, Segment], float]) -> Numbers:
        """Return a parameter of every identity."""
        table = [[parameter(one.behaviour, of) for of in SEGMENTS] for one in simulation.arms]
        return np.array(table)[arm, segment]

    pages, load_ms = each(lambda behaviour, _: behaviour.pages), each(Behaviour.load_ms_of)
    has_cart, ordered_after = _carts(rng, each(Behaviour.carts_of), each(Behaviour.buyers_of))
    is_regular = np.array([of.is_regular for of in SEGMENTS])[segment]
    streams = {
        EXPOSURE_EVENT: _exposures(rng, arm, exposed_at, flickers, len(simulation.arms)),
        PAGE_VIEWED: _page_views(rng, exposed_at, pages, load_ms),
        **_checkouts(rng, exposed_at, has_cart, ordered_after),
        PURCHASED: _purchases(
            rng,
            simulation,
            exposed_at,
            ordered_after=ordered_after,
            is_regular=is_regular,
            order_value=each(Behaviour.order_value_of),
        ),
        SIGNED_IN: _sign_ins(rng, exposed_at, each(lambda behaviour, _: behaviour.returning)),
        SUPPORT_CONTACTED: _support_contacts(rng, exposed_at, each(lambda behaviour, _: behaviour.support_contacts)),
    }
    return Draw(arm=arm, segment=segment, exposed_at=exposed_at, flickers=flickers, streams=streams)


def epoch_ms(moment: datetime) -> int:
    """Return the milliseconds since 1970."""
    return (moment - EPOCH) // MILLISECOND


def _exposures(
    rng: np.random.Generator, arm: Indices, exposed_at: Times, flickers: NDArray[np.bool_], arms: int
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
    counted = rng.random(len(pages)) < PAGES_SEEN
    identity = _repeated((1 + rng.poisson(pages - 1)) * counted)
    is_first = np.concatenate([[True], identity[1:] != identity[:-1]])
    delay = np.where(is_first, 0, _within(rng, FOLLOW_UP, len(identity)))
    of_product = rng.random(len(identity)) < PRODUCT_PAGES
    mean = load_ms[identity] * np.where(of_product, LOAD_OF_PRODUCT_PAGES, LOAD_OF_OTHER_PAGES)
    return Stream(
        identity=identity,
        timestamp=exposed_at[identity] + delay,
        value=np.round(mean * _lognormal(rng, LOAD_SPREAD, len(identity))),
        of_product=of_product,
    )


def _carts(rng: np.random.Generator, carts: Numbers, buyers: Numbers) -> tuple[NDArray[np.bool_], Times]:
    """Return who views a cart, and how long after the exposure each first order comes: -1 where there is none."""
    level = rng.random(len(carts))
    delay = (FOLLOW_UP // MILLISECOND * rng.random(len(carts)) ** 3).astype(np.int64)
    return level < carts, np.where(level < buyers, delay, -1)


def _checkouts(
    rng: np.random.Generator, exposed_at: Times, has_cart: NDArray[np.bool_], ordered_after: Times
) -> dict[str, Stream]:
    """Return the steps before an order; carts without one are abandoned there or at the address."""
    cart = np.flatnonzero(has_cart)
    ordered = ordered_after[cart] >= 0
    abandoned_after = _within(rng, FOLLOW_UP, len(cart))
    cart_after = np.where(ordered, ((1 - CART_BEFORE_ORDER) * ordered_after[cart]).astype(np.int64), abandoned_after)
    address_after = np.where(ordered, (cart_after + ordered_after[cart]) // 2, cart_after)
    has_address = ordered | (rng.random(len(cart)) < ABANDONED_AT_ADDRESS)
    address, nothing = cart[has_address], np.full(len(cart), np.nan)
    return {
        CART_VIEWED: Stream(cart, exposed_at[cart] + cart_after, nothing),
        ADDRESS_ENTERED: Stream(address, exposed_at[address] + address_after[has_address], nothing[has_address]),
    }


def _purchases(
    rng: np.random.Generator,
    simulation: Simulation,
    exposed_at: Times,
    *,
    ordered_after: Times,
    is_regular: NDArray[np.bool_],
    order_value: Numbers,
) -> Stream:
    buyers = np.flatnonzero(ordered_after >= 0)
    again = np.repeat(buyers, rng.poisson(REPEAT_ORDERS, size=len(buyers)))
    again_after = rng.integers(ordered_after[again], FOLLOW_UP // MILLISECOND)

    before = _repeated(rng.poisson(ORDERS_BEFORE * is_regular))
    after = np.flatnonzero(rng.random(len(exposed_at)) < AFTER_THE_END * simulation.is_over)
    identity = np.concatenate([buyers, again, before, after])
    return Stream(
        identity=identity,
        timestamp=np.concatenate(
            [
                exposed_at[buyers] + ordered_after[buyers],
                exposed_at[again] + again_after,
                exposed_at[before] - 1 - _within(rng, PRE_PERIOD, len(before)),
                epoch_ms(simulation.ends_at) + _within(rng, FOLLOW_UP, len(after)),
            ]
        ),
        value=np.round(order_value[identity] * _lognormal(rng, ORDER_SPREAD, len(identity)), 2),
    )


def _sign_ins(rng: np.random.Generator, exposed_at: Times, returning: Numbers) -> Stream:
    back = np.flatnonzero(rng.random(len(exposed_at)) < returning)
    earlier = np.flatnonzero(rng.random(len(exposed_at)) < SIGNED_IN_EARLIER)
    identity = np.concatenate([back, earlier])
    delay = np.concatenate(
        [RETURN // MILLISECOND + _within(rng, DAY, len(back)), _within(rng, FOLLOW_UP, len(earlier))]
    )
    return Stream(identity, exposed_at[identity] + delay, np.full(len(identity), np.nan))


def _support_contacts(rng: np.random.Generator, exposed_at: Times, contacts: Numbers) -> Stream:
    identity = _repeated(rng.poisson(contacts))
    delay = _within(rng, FOLLOW_UP, len(identity))
    return Stream(identity, exposed_at[identity] + delay, np.full(len(identity), np.nan))


def _repeated(times: NDArray[np.integer]) -> Indices:
    """Return each index i, `times[i]` times."""
    return np.repeat(np.arange(len(times)), times)


def _within(rng: np.random.Generator, duration: timedelta, size: int) -> Times:
    return rng.integers(0, duration // MILLISECOND, size=size)


def _lognormal(rng: np.random.Generator, sigma: float, size: int) -> Numbers:
    """Return draws of a log-normal law of mean one."""
    return rng.lognormal(-sigma * sigma / 2, sigma, size=size)


USUAL = Behaviour()
MORE_ORDERS = replace(USUAL, ordered_on_desktop=0.75, ordered_on_mobile=0.42, order_value=31.5)
SIMULATIONS = (
    Simulation(  # on one page mobile visitors finish twice as often; visitors on a desktop did so before
        key="one_page_checkout",
        feature="checkout_flow",
        identities=6_000,
        arms=(
            Arm("control", 0.5, USUAL),
            Arm("one_page", 0.5, replace(USUAL, ordered_on_mobile=0.75, returning=0.3, support_contacts=0.12)),
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
        arms=(Arm("control", 0.56, USUAL), Arm("suggestions", 0.44, replace(USUAL, pages=7.6, load_ms=880.0))),
        started_at=datetime(2026, 1, 19, tzinfo=UTC),
        ends_at=datetime(2026, 2, 2, tzinfo=UTC),
    ),
    Simulation(
        key="product_page_layout",
        feature="product_page",
        identities=5_000,
        arms=(
            Arm("control", 0.3, USUAL),
            Arm("gallery", 0.3, replace(USUAL, pages=7.8, load_ms=820.0)),
            Arm(
                "reviews_first", 0.3, replace(USUAL, ordered_on_desktop=0.75, ordered_on_mobile=0.42, order_value=31.5)
            ),
            Arm("holdout", 0.1, USUAL),
        ),
        started_at=datetime(2026, 1, 21, tzinfo=UTC),
        ends_at=datetime(2026, 2, 4, tzinfo=UTC),
        is_over=False,
    ),
)
