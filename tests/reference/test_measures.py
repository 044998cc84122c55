"""Rules M6, M8, M10, M11 and M14 on the events of one identity."""

from datetime import UTC, datetime, timedelta
from fractions import Fraction

import pytest

from tests.reference.events import Event
from tests.reference.exposures import Analysed, FirstExposure
from tests.reference.measures import (
    Thresholds,
    counted,
    counted_before,
    covariate,
    has_number,
    steps_reached,
    thresholds,
    value_of,
)
from tests.reference.metrics import Aggregation, Bound, Condition, Events, Funnel, Measure

START = datetime(2026, 3, 1, 23, tzinfo=UTC)
HOUR, TICK = timedelta(hours=1), timedelta(milliseconds=1)
ANN = Analysed(FirstExposure(START, "b", excluded=False), START)
AS_OF = START + 100 * HOUR


def happened(name: str, after: timedelta, value: str | None = None, event_id: str = "") -> Event:
    """An event of one identity some time after her first exposure."""
    return Event("demo", name, None, "ann", value, START + after, event_id)


BOUGHT = [
    happened("buy", 2 * HOUR, "4"),
    happened("buy", HOUR, "8"),
    happened("buy", HOUR, "-2.5"),
    happened("buy", 26 * HOUR, "4.0"),
    happened("buy", 26 * HOUR, "4"),
    happened("buy", timedelta(0), "none"),
    happened("buy", 90 * HOUR),
]


@pytest.mark.parametrize(
    ("aggregation", "value"),
    [
        ("occurrence", Fraction(1)),
        ("count", Fraction(7)),
        ("sum", Fraction("17.5")),
        ("mean", Fraction("3.5")),
        ("min", Fraction("-2.5")),
        ("max", Fraction(8)),
        ("first", Fraction("-2.5")),  # "none" is no number; of two at one time the smallest
        ("last", Fraction(4)),  # and the largest
        ("days", Fraction(4)),  # 1 March 23:00, 2 March, 3 March, 5 March
        ("weeks", Fraction(2)),  # to Sunday, 1 March, and from Monday on
        ("distinct", Fraction(5)),  # 4 and 4.0 are two texts, no value is none
    ],
)
def test_m6_aggregations(aggregation: Aggregation, value: Fraction) -> None:
    assert value_of(Measure(Events("buy"), aggregation), BOUGHT) == value


def test_m6_last__of_two_at_one_time_the_largest() -> None:
    events = [happened("buy", HOUR, "3"), happened("buy", HOUR, "7"), happened("buy", timedelta(0), "9")]
    assert value_of(Measure(Events("buy"), "last"), events) == 7
    assert value_of(Measure(Events("buy"), "first"), events) == 9


@pytest.mark.parametrize("aggregation", ["occurrence", "count", "sum", "days", "weeks", "distinct"])
def test_m6_without_events__these_are_0(aggregation: Aggregation) -> None:
    measure = Measure(Events("buy"), aggregation)
    assert value_of(measure, []) == 0
    assert has_number(measure, [])


@pytest.mark.parametrize("aggregation", ["mean", "min", "max", "first", "last"])
def test_m6_without_a_number__these_have_no_value_unless_missing_is_zero(aggregation: Aggregation) -> None:
    unreadable = [happened("buy", HOUR, "none")]
    for events in ([], unreadable):
        assert value_of(Measure(Events("buy"), aggregation), events) is None
        zero = Measure(Events("buy"), aggregation, zero_if_missing=True)
        assert value_of(zero, events) == 0
        assert not has_number(zero, events)
    assert covariate(Measure(Events("buy"), aggregation)) == zero


def times(events: Events, *after: timedelta, as_of: datetime = AS_OF) -> list[timedelta]:
    """When the events that count happened, of purchases at these times."""
    return [event.timestamp - START for event in counted([happened("buy", one) for one in after], events, ANN, as_of)]


def test_m8_a_window_is_half_open_and_ends_with_the_as_of() -> None:
    around = (HOUR - TICK, HOUR, 2 * HOUR - TICK, 2 * HOUR)
    assert times(Events("buy", start=HOUR, end=2 * HOUR), *around) == [HOUR, 2 * HOUR - TICK]
    assert times(Events("buy", start=HOUR), *around) == list(around[1:])
    assert times(Events("buy"), -TICK, timedelta(0)) == [timedelta(0)]
    assert times(Events("buy", end=2 * HOUR), *around, as_of=START + HOUR) == [HOUR - TICK]
    assert times(Events("sell"), *around) == []


def test_m8_only_events_that_meet_the_conditions_count() -> None:
    dear = Events("buy", where=(Condition("value", "at_least", 4),))
    assert [event.value for event in counted(BOUGHT, dear, ANN, AS_OF)] == ["4", "8", "4.0", "4"]


def test_m11_the_pre_period_ends_with_the_first_exposure() -> None:
    around = [happened("buy", after) for after in (-HOUR - TICK, -HOUR, -TICK, timedelta(0))]
    later = Events("buy", start=HOUR, end=2 * HOUR)  # the measure's own window says nothing about it
    found = counted_before(around, later, Analysed(ANN.first, START + HOUR), HOUR)
    assert [event.timestamp - START for event in found] == [-HOUR, -TICK]


def test_m10_thresholds__numbers_and_percentiles() -> None:
    pooled = [Fraction(number) for number in (0, 0, 0, 0, 0, 0, 1, 2, 3, 4)]
    measure = Measure(Events("buy"), "sum", cap=Bound(percentile=90), floor=Bound(at=-1))
    assert thresholds(measure, pooled) == Thresholds(cap=Fraction(3), floor=Fraction(-1))
    of_nonzero = Measure(Events("buy"), "sum", cap=Bound(percentile=75, of_nonzero=True))
    assert thresholds(of_nonzero, pooled) == Thresholds(cap=Fraction(3))
    assert thresholds(of_nonzero, pooled[:6]) == Thresholds()
    assert thresholds(Measure(Events("buy"), "sum", cap=Bound(percentile=60)), pooled) == Thresholds(cap=Fraction(0))


def test_m10_a_cap_below_the_floor_wins() -> None:
    limits = Thresholds(cap=Fraction(2), floor=Fraction(5))
    assert [limits.held(Fraction(value)) for value in (1, 3, 9)] == [2, 2, 2]
    assert [limits.is_capped(Fraction(value)) for value in (1, 2, 3)] == [False, False, True]
    assert [limits.is_floored(Fraction(value)) for value in (4, 5)] == [True, False]


CHECKOUT = (Events("view"), Events("address"), Events("buy"))


def reached(*events: Event, within: timedelta | None = None, steps: tuple[Events, ...] = CHECKOUT) -> int:
    """How many steps of a funnel."""
    return steps_reached(Funnel(steps, within), events, ANN, AS_OF)


def test_m14_steps_come_in_order_from_the_first_exposure_on() -> None:
    view, address, buy = happened("view", HOUR), happened("address", 2 * HOUR), happened("buy", 3 * HOUR)
    assert reached() == 0
    assert reached(address, buy) == 0
    assert reached(view, buy) == 1
    assert reached(buy, address, view) == 3
    assert reached(happened("view", 4 * HOUR), address, buy) == 1
    assert reached(happened("view", -TICK), address, buy) == 0
    assert reached(view, address, happened("buy", 100 * HOUR)) == 2


def test_m14_at_equal_times_any_order_fits() -> None:
    assert reached(happened("buy", HOUR), happened("view", HOUR), happened("address", HOUR)) == 3


def test_m14_every_step_is_another_event() -> None:
    twice = (Events("view"), Events("view"))
    assert reached(happened("view", HOUR), steps=twice) == 1
    assert reached(happened("view", HOUR), happened("view", HOUR, event_id="2"), steps=twice) == 2


def test_m14_within_counts_from_the_first_step_and_any_chain_counts() -> None:
    first, again = happened("view", timedelta(0)), happened("view", 2 * HOUR)
    address, buy = happened("address", 3 * HOUR), happened("buy", 4 * HOUR)
    assert reached(first, address, buy, within=4 * HOUR) == 2
    assert reached(first, address, buy, within=4 * HOUR + TICK) == 3
    assert reached(first, again, address, buy, within=3 * HOUR) == 3  # by way of the second view


def test_m14_a_later_step_need_not_take_the_earliest_event() -> None:
    # The event that both steps could take is the only one for the second.
    either = Events("view", where=(Condition("value", "in", ("a", "b")),))
    second = Events("view", where=(Condition("value", "is", "a"),))
    assert reached(happened("view", HOUR, "a"), happened("view", HOUR, "b"), steps=(either, second)) == 2
