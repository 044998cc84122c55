"""True values, worked out from parameters, are those that very many simulated identities come to."""

from collections.abc import Iterator
from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from experiment_pipeline.demo.shop import COUNTRIES, DEVICES, ORDER_SPREAD, REPEAT_ORDERS, SEGMENTS, Segment
from experiment_pipeline.demo.simulation import ADDRESS_ENTERED, CART_VIEWED, SIMULATIONS, Draw, Simulation, draw
from experiment_pipeline.demo.truth import (
    CAP_SHARE,
    METRICS,
    MOST_CENTS,
    SLOW,
    STEPS,
    Truth,
    _buyer_total,
    segments_with,
)
from tests.demo.outcomes import Values, analysed, attributed, orders, per_identity, product_pages, total

WINNER, SAME, _, LAYOUT = SIMULATIONS
PARTS: tuple[tuple[str, str | None] | None, ...] = (
    None,
    *(("device", device) for device in DEVICES),
    *(("country", country) for country in COUNTRIES),
)
FAR = 4.5  # standard errors


@cache
def large(key: str) -> tuple[Simulation, Draw, dict[str, Values]]:
    """A draw of many identities, and their values."""
    (simulation,) = (replace(each, identities=150_000) for each in SIMULATIONS if each.key == key)
    outcome = draw(simulation, 1)
    return simulation, outcome, per_identity(simulation, outcome)


def those_in(part: tuple[str, str | None] | None) -> list[Segment]:
    return list(SEGMENTS) if part is None else list(segments_with(*part))


def errors_of(variant: str, key: str, part: tuple[str, str | None] | None) -> Iterator[tuple[str, Values]]:
    """Each metric and step with a number per identity whose mean is 0 if the true value is right."""
    simulation, outcome, means = large(key)
    truth, segments = Truth(simulation), those_in(part)
    names = [arm.variant for arm in simulation.arms]
    inside = np.isin(outcome.segment, [SEGMENTS.index(segment) for segment in segments])
    inside &= outcome.arm == names.index(variant)
    for metric in (*METRICS, *STEPS):
        true = truth.value(variant, metric, segments)
        if metric == "average_order_value":
            numerator, denominator = orders(simulation, outcome)
            errors = numerator - true * denominator
        elif metric == "load_time_p90":
            fast, pages = product_pages(simulation, outcome, true)
            errors = fast - SLOW * pages
        elif metric in STEPS:
            step = attributed(simulation, outcome, CART_VIEWED if metric.endswith("1") else ADDRESS_ENTERED)
            errors = np.minimum(total(simulation, step), 1) - true
        else:
            errors = means[metric] - true
        yield metric, errors[inside & ~np.isnan(errors)]


@pytest.mark.parametrize("part", PARTS, ids=str)
@pytest.mark.parametrize(
    ("key", "variant"), [(each.key, arm.variant) for each in (WINNER, LAYOUT) for arm in each.arms], ids=str
)
def test_value__of_every_metric_variant_and_part__is_what_many_identities_come_to(
    key: str, variant: str, part: tuple[str, str | None] | None
) -> None:
    far = {
        metric: errors.mean() / errors.std() * len(errors) ** 0.5 for metric, errors in errors_of(variant, key, part)
    }
    assert set(far) == {*METRICS, *STEPS}
    assert {metric: z for metric, z in far.items() if abs(z) > FAR} == {}


@pytest.mark.parametrize("simulation", [WINNER, LAYOUT], ids=lambda simulation: simulation.key)
def test_revenue_cap__is_above_99_percent_of_what_buyers_spend(simulation: Simulation) -> None:
    many, outcome, _ = large(simulation.key)
    spent, _ = orders(many, outcome)
    buyers = spent[analysed(many, outcome) & (spent > 0)]
    assert (buyers > Truth(simulation).revenue_cap() / 100).mean() == pytest.approx(1 - CAP_SHARE, abs=0.005)


def test_buyer_total__has_mean_and_variance_of_a_sum_of_a_random_number_of_orders() -> None:
    total, cents = _buyer_total(30.0), np.arange(MOST_CENTS)
    mean = cents @ total
    variance = (cents - mean) ** 2 @ total
    of_order = 3_000**2 * np.expm1(ORDER_SPREAD**2) + 1 / 12  # log-normal, and rounded
    assert mean == pytest.approx((1 + REPEAT_ORDERS) * 3_000, rel=1e-6)
    assert variance == pytest.approx((1 + REPEAT_ORDERS) * of_order + REPEAT_ORDERS * 3_000**2, rel=1e-6)


def test_lift__of_the_winner__is_on_mobile_alone() -> None:
    truth = Truth(WINNER)
    for metric in ("purchase_rate", "revenue", "checkout"):
        assert truth.lift("one_page", metric, segments_with("device", "mobile")) == pytest.approx(1)
        assert truth.lift("one_page", metric, segments_with("device", "desktop")) == pytest.approx(0, abs=1e-12)
        in_countries = [truth.lift("one_page", metric, segments_with("country", country)) for country in COUNTRIES]
        assert in_countries == pytest.approx([truth.lift("one_page", metric)] * len(COUNTRIES))
    assert truth.lift("one_page", "average_order_value") == pytest.approx(0, abs=1e-12)


def test_lift__of_the_same__is_none() -> None:
    assert {round(Truth(SAME).lift("same", metric), 12) for metric in METRICS} == {0.0}


def test_lift__of_revenue__is_less_than_without_a_cap() -> None:
    uncapped = 0.13248 * 47.7 / (0.118 * 45.428571) - 1  # buyers and their average orders, both from closed forms
    assert 0.15 < Truth(LAYOUT).lift("reviews_first", "revenue") < uncapped
