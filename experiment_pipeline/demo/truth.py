"""True values of the simulated metrics, worked out from the parameters of shop.py alone: no event is drawn for them.

Shares and means are sums over segments. What has no closed form is computed from exact distributions: orders have whole
cents and load times whole milliseconds, so that a buyer's total, its cap and a quantile come from a list of
probabilities. Sources: the sum of a random number of values by its generating function (compound Poisson).
"""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from experiment_pipeline.demo.shop import (
    ABANDONED_AT_ADDRESS,
    FAST,
    FIRST_DAY,
    LOAD_OF_PRODUCT_PAGES,
    LOAD_SPREAD,
    ORDER_SPREAD,
    PAGES_SEEN,
    REPEAT_ORDERS,
    SEGMENTS,
    Behaviour,
    Segment,
)
from experiment_pipeline.demo.simulation import Simulation

Segments = Sequence[Segment]
Probabilities = NDArray[np.float64]

HOLDOUT = "holdout"
CAP_SHARE = 0.99  # of identities with revenue are not above the cap that experiments.yaml declares
SLOW = 0.9  # the quantile of load_time_p90
MOST_CENTS = 1 << 18  # a buyer's total is never larger, with a probability of error below 1e-12
MOST_MS = 1 << 14  # nor a load time


def _mean(segments: Segments, of: Callable[[Segment], float]) -> float:
    """Return the mean over the visitors of some segments."""
    return sum(each.share * of(each) for each in segments) / sum(each.share for each in segments)


def _buyers(behaviour: Behaviour, segments: Segments) -> float:
    return _mean(segments, behaviour.buyers_of)


def _average_order_value(behaviour: Behaviour, segments: Segments) -> float:
    spent = _mean(segments, lambda each: behaviour.buyers_of(each) * behaviour.order_value_of(each))
    return spent / _buyers(behaviour, segments)


def _at_address(behaviour: Behaviour, segments: Segments) -> float:
    carts, buyers = _mean(segments, behaviour.carts_of), _buyers(behaviour, segments)
    return buyers + ABANDONED_AT_ADDRESS * (carts - buyers)


def _slow_product_page(behaviour: Behaviour, segments: Segments) -> float:
    """Return the quantile of the load times of product pages: every segment views as many."""
    of_product = LOAD_OF_PRODUCT_PAGES
    each_law = (
        each.share * _rounded_lognormal(of_product * behaviour.load_ms_of(each), LOAD_SPREAD, MOST_MS)
        for each in segments
    )
    return float(_nearest_rank(sum(each_law, np.zeros(MOST_MS)), SLOW))


VALUES: Mapping[str, Callable[[Behaviour, Segments], float]] = {  # by metric; revenue depends on other variants, too
    "purchase_rate": _buyers,
    "purchase_rate_first_day": lambda behaviour, segments: FIRST_DAY * _buyers(behaviour, segments),
    "average_order_value": _average_order_value,
    "checkout": lambda behaviour, segments: FAST * _buyers(behaviour, segments),
    "day_7_retention": lambda behaviour, _: behaviour.returning,
    "pages_viewed": lambda behaviour, _: PAGES_SEEN * behaviour.pages,
    "load_time": lambda behaviour, segments: _mean(segments, behaviour.load_ms_of),
    "load_time_p90": _slow_product_page,
    "support_contacts": lambda behaviour, _: behaviour.support_contacts,
}
STEPS: Mapping[str, Callable[[Behaviour, Segments], float]] = {  # of the checkout, before the last one
    "checkout, step 1": lambda behaviour, segments: _mean(segments, behaviour.carts_of),
    "checkout, step 2": _at_address,
}
METRICS = (*VALUES, "revenue")


@dataclass(frozen=True, slots=True)
class Truth:
    """The true values of one simulation's metrics, and the lifts that follow from them."""

    simulation: Simulation

    def value(self, variant: str, metric: str, segments: Segments = SEGMENTS) -> float:
        """Return what a metric, or a step of the checkout, comes to in a variant, over everybody or some segments."""
        behaviour = self._behaviour(variant)
        if metric == "revenue":
            cap = self.revenue_cap()
            return _mean(
                segments, lambda each: behaviour.buyers_of(each) * _capped_total(behaviour.order_value_of(each), cap)
            )
        return (STEPS if metric in STEPS else VALUES)[metric](behaviour, segments)

    def lift(self, variant: str, metric: str, segments: Segments = SEGMENTS) -> float:
        """Return the difference of a metric's true values, treatment against control, relative to control."""
        return self.value(variant, metric, segments) / self.value("control", metric, segments) - 1

    def revenue_cap(self) -> int:
        """Return the cap of revenue in cents: a percentile of all buyers' totals, over the compared variants."""
        buyers: defaultdict[float, float] = defaultdict(float)  # by order value
        for arm in self.simulation.arms:
            for each in SEGMENTS if arm.variant != HOLDOUT else ():
                buyers[arm.behaviour.order_value_of(each)] += arm.share * each.share * arm.behaviour.buyers_of(each)
        totals = (share * _buyer_total(order_value) for order_value, share in buyers.items())
        return _nearest_rank(sum(totals, np.zeros(MOST_CENTS)), CAP_SHARE)

    def _behaviour(self, variant: str) -> Behaviour:
        (behaviour,) = (arm.behaviour for arm in self.simulation.arms if arm.variant == variant)
        return behaviour


def segments_with(trait: str, value: str | None) -> Segments:
    """Return the segments of visitors with this value of a trait; None for those without one."""
    return [each for each in SEGMENTS if each.traits.get(trait) == value]


@cache
def _capped_total(order_value: float, cap: int) -> float:
    """Return the mean of a buyer's total, in which larger totals than the cap (cents) count as it."""
    total = _buyer_total(order_value)
    return float(np.minimum(np.arange(MOST_CENTS), cap) @ total) / 100


@cache
def _buyer_total(order_value: float) -> Probabilities:
    """Return the probability of each total, in cents, of a buyer's 1 + Poisson(`REPEAT_ORDERS`) orders."""
    one = np.fft.rfft(_rounded_lognormal(100 * order_value, ORDER_SPREAD, MOST_CENTS))
    return np.fft.irfft(one * np.exp(REPEAT_ORDERS * (one - 1)), MOST_CENTS)


def _rounded_lognormal(mean: float, sigma: float, size: int) -> Probabilities:
    """Return the probability of 0, 1, ... of a log-normal law that is rounded to whole numbers."""
    edges = np.concatenate([[0.0], np.arange(size) + 0.5])
    with np.errstate(divide="ignore"):  # the logarithm of the first edge
        below = ndtr(np.log(edges / mean) / sigma + sigma / 2)
    return np.diff(below)


def _nearest_rank(weights: Probabilities, share: float) -> int:
    """Return the smallest index at which the cumulative weight reaches a share of all."""
    below: Probabilities = np.cumsum(weights)
    return int(np.searchsorted(below, share * below[-1]))
