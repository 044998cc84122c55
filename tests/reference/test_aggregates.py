"""Rules M2-M5 on three identities."""

from datetime import UTC, datetime, timedelta
from fractions import Fraction

import pytest

from tests.reference.aggregates import Aggregates, aggregate, moments
from tests.reference.events import Event
from tests.reference.exposures import Experiment, FirstExposure, Variant
from tests.reference.metrics import Aggregation, version_1

START = datetime(2026, 3, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
EXPERIMENT = Experiment(
    environment_key="demo",
    feature="checkout",
    variants=[Variant("control", "control"), Variant("b", "treatment", 50)],
    metrics=[],
    started_at=START,
    as_of=START + 10 * HOUR,
    data_version=1,
)
FIRSTS = {
    "ann": FirstExposure(START + HOUR, "b", excluded=False),
    "bob": FirstExposure(START, "b", excluded=False),
    "eve": FirstExposure(START, "control", excluded=True),
}


def bought(identifier: str, value: str | None, after: timedelta) -> Event:
    """A purchase some time after the start."""
    return Event("demo", "purchase", None, identifier, value, START + after, "")


EVENTS = [
    bought("ann", "100", HOUR - timedelta(milliseconds=1)),  # before her exposure
    bought("ann", "2", HOUR),
    bought("ann", "4", 2 * HOUR),
    bought("ann", "four", 3 * HOUR),
    bought("ann", "8", 10 * HOUR),  # at the end of the window
    bought("eve", "1", 2 * HOUR),
    bought("nobody", "1", 2 * HOUR),
]


def of(aggregation: Aggregation, window: timedelta | None = None) -> Aggregates:
    """The aggregates of a purchase metric."""
    return aggregate(version_1(1, "purchase", aggregation, window=window), EVENTS, FIRSTS, EXPERIMENT)


@pytest.mark.parametrize(
    ("aggregation", "ann"), [("occurrence", 1), ("count", 3), ("sum", 6), ("mean", 3)]
)  # bob has no events: 0
def test_m2_m3_m4_what_an_identity_contributes(aggregation: Aggregation, ann: int) -> None:
    assert of(aggregation).by_variant["b"] == moments([Fraction(ann), Fraction(0)])


def test_m2_the_metric_window_is_half_open() -> None:
    assert of("sum", window=HOUR).by_variant["b"].total == 2
    assert of("sum", window=HOUR + timedelta(milliseconds=1)).by_variant["b"].total == 6


def test_e5_values_that_are_no_numbers_are_counted() -> None:
    assert of("sum").invalid_values == {"b": 1, "control": 0}
    assert of("count").invalid_values == {}


@pytest.mark.parametrize(
    ("aggregation", "with_value", "largest"), [("occurrence", 2, 1), ("count", 2, 3), ("sum", 2, 6), ("mean", 1, 3)]
)
def test_identities_that_are_not_0_have_a_value_or_the_largest(
    aggregation: Aggregation, with_value: int, largest: int
) -> None:
    found = of(aggregation)
    assert found.nonzero == {"b": 1, "control": 0}
    assert found.with_value == {"b": with_value, "control": 0}
    assert found.largest == {"b": Fraction(largest), "control": None}


def test_x3_an_excluded_identity_is_in_no_aggregate() -> None:
    assert of("sum").by_variant["control"] == moments([])


def test_m5_moments_are_exact_where_floats_lose_everything() -> None:
    sample = moments([Fraction(10**9 + x) for x in (-1, 0, 1)])
    assert sample.mean == 10**9
    assert sample.m2 == 2
