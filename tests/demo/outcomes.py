"""What an analysis should see of a draw: one number per identity and metric, over its arrays (rules M2 to M14)."""

import numpy as np
from numpy.typing import NDArray

from experiment_pipeline.demo.simulation import (
    ADDRESS_ENTERED,
    CART_VIEWED,
    PAGE_VIEWED,
    PURCHASED,
    SIGNED_IN,
    SUPPORT_CONTACTED,
    Draw,
    Simulation,
    Stream,
    epoch_ms,
)

DAY_MS = 24 * 60 * 60 * 1000
MEANS = (
    "purchase_rate", "purchase_rate_first_day", "revenue", "checkout", "day_7_retention", "pages_viewed", "load_time",
    "support_contacts",
)  # fmt: skip
Values = NDArray[np.float64]


def attributed(simulation: Simulation, outcome: Draw, event: str) -> Stream:
    """The events of the window after the first exposure (rule M2), their times counted from it."""
    stream = outcome.streams[event]
    after = stream.timestamp - outcome.exposed_at[stream.identity]
    counts = (after >= 0) & (stream.timestamp < epoch_ms(simulation.ends_at))
    of_product = None if stream.of_product is None else stream.of_product[counts]
    return Stream(stream.identity[counts], after[counts], stream.value[counts], of_product)


def total(simulation: Simulation, stream: Stream, weights: Values | None = None) -> Values:
    """A sum of each identity, or the number of its events."""
    return np.bincount(stream.identity, weights, minlength=simulation.identities).astype(np.float64)


def per_identity(simulation: Simulation, outcome: Draw) -> dict[str, Values]:
    """The value of each identity, NaN where it has none: rules M3, M6, M8, M10, M13, M14."""
    pages, purchases, sign_ins, contacts = (
        attributed(simulation, outcome, event) for event in (PAGE_VIEWED, PURCHASED, SIGNED_IN, SUPPORT_CONTACTED)
    )
    spent, views = total(simulation, purchases, purchases.value), total(simulation, pages)
    on_first_day = (purchases.timestamp < DAY_MS).astype(np.float64)
    on_eighth_day = (sign_ins.timestamp >= 7 * DAY_MS) & (sign_ins.timestamp < 8 * DAY_MS)
    is_mature = outcome.exposed_at + 8 * DAY_MS <= epoch_ms(simulation.ends_at)
    returned = np.minimum(total(simulation, sign_ins, on_eighth_day.astype(np.float64)), 1)
    load_time = np.full(simulation.identities, np.nan)
    np.divide(total(simulation, pages, pages.value), views, where=views > 0, out=load_time)
    return {
        "purchase_rate": np.minimum(total(simulation, purchases), 1),
        "purchase_rate_first_day": np.minimum(total(simulation, purchases, on_first_day), 1),
        "revenue": np.minimum(spent, cap_of(simulation, outcome, spent)),
        "checkout": checked_out(simulation, outcome),
        "day_7_retention": np.where(is_mature, returned, np.nan),
        "pages_viewed": views,
        "load_time": load_time,
        "support_contacts": total(simulation, contacts),
    }


def analysed(simulation: Simulation, outcome: Draw) -> NDArray[np.bool_]:
    """Who is in a variant that is compared: no holdout, nobody who saw several (rule X3)."""
    compared = np.array([arm.variant != "holdout" for arm in simulation.arms])
    return compared[outcome.arm] & ~outcome.flickers


def cap_of(simulation: Simulation, outcome: Draw, spent: Values) -> float:
    """The value at the nearest rank of 99 % of those that are not 0 (rule M10)."""
    values = np.sort(spent[analysed(simulation, outcome) & (spent > 0)])
    return float(values[int(np.ceil(99 * len(values) / 100)) - 1])


def checked_out(simulation: Simulation, outcome: Draw) -> Values:
    """Who has some cart, address and purchase in this order, all within a day of the cart (rule M14)."""
    carts, addresses, purchases = (
        attributed(simulation, outcome, event) for event in (CART_VIEWED, ADDRESS_ENTERED, PURCHASED)
    )
    cart_at, address_at = (np.full(simulation.identities, np.inf) for _ in range(2))
    cart_at[carts.identity], address_at[addresses.identity] = carts.timestamp, addresses.timestamp  # at most one each
    buyer = purchases.identity
    fits = (address_at[buyer] >= cart_at[buyer]) & (purchases.timestamp >= address_at[buyer])
    fits &= purchases.timestamp < cart_at[buyer] + DAY_MS
    return np.minimum(total(simulation, purchases, fits.astype(np.float64)), 1)


def orders(simulation: Simulation, outcome: Draw) -> tuple[Values, Values]:
    """Numerator and denominator of the average order value."""
    purchases = attributed(simulation, outcome, PURCHASED)
    return total(simulation, purchases, purchases.value), total(simulation, purchases)


def product_pages(simulation: Simulation, outcome: Draw, at_most: float) -> tuple[Values, Values]:
    """Product pages that load in this time, in ms, and all product pages."""
    pages = attributed(simulation, outcome, PAGE_VIEWED)
    assert pages.of_product is not None
    fast = (pages.value <= at_most) & pages.of_product
    return total(simulation, pages, fast.astype(float)), total(simulation, pages, pages.of_product.astype(float))
