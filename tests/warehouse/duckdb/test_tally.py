"""The tally of events per identity (rules M2-M4, M6, M8, X5)."""

import math
import random
from datetime import date

import numpy as np
import pytest

from experiment_pipeline.domain.measures import Aggregation
from experiment_pipeline.warehouse.duckdb.population import Population
from experiment_pipeline.warehouse.duckdb.tally import Piece, Tally, TimeSpan

ALL = tuple(Aggregation)
DAY_US = 24 * 60 * 60 * 1_000_000


def population() -> Population:
    """Two arms; hashes in no order, 7 is first exposed at 100. Its identities are numbered -3, 7, 40."""
    return Population(np.array([7, -3, 40]), np.array([100, 50, 0]), np.array([0, 1, 1]), arms=2)


def piece(identity_hash: list[int], at: list[int], numbers: list[float], of: Population | None = None) -> Piece:
    """Events whose values have the texts of their numbers."""
    texts = [0 if math.isnan(number) else hash(number) or 1 for number in numbers]
    columns = {"identity_hash": identity_hash, "at_us": at, "text": texts}
    arrays = {name: np.array(column, np.int64) for name, column in columns.items()}
    return Piece(of or population(), arrays | {"number": np.array(numbers, np.float64)})


def values(tally: Tally, *aggregations: Aggregation) -> dict[Aggregation, list[float]]:
    return {each: tally.values(each).tolist() for each in aggregations}


def test_population__members__are_the_numbers_of_each_arm() -> None:
    assert [members.tolist() for members in population().members] == [[1], [0, 2]]
    assert population().starts_at.tolist() == [50, 100, 0]


@pytest.mark.parametrize(
    ("span", "counted"),
    [
        (TimeSpan(end_us=10), [1, 2, 0]),
        (TimeSpan(), [1, 3, 0]),
        (TimeSpan(start_us=9), [0, 2, 0]),
        (TimeSpan(start_us=9, end_us=10), [0, 1, 0]),
        (TimeSpan(start_us=-1, end_us=0), [0, 1, 0]),
    ],
)
def test_tally__counts_in_the_span_around_the_first_exposure__m8(span: TimeSpan, counted: list[int]) -> None:
    tally = Tally(population(), span, [Aggregation.COUNT])
    events = [(7, 99), (7, 100), (7, 109), (7, 110), (8, 105), (-3, 55), (-100, 55), (99, 55)]
    tally.add(piece([of for of, _ in events], [at for _, at in events], [1.0] * len(events)))
    assert tally.values(Aggregation.COUNT).tolist() == counted
    assert tally.values(Aggregation.OCCURRENCE).tolist() == [float(count > 0) for count in counted]


def test_tally__values_that_are_no_numbers__are_counted_and_left_out__e5() -> None:
    tally = Tally(population(), TimeSpan(), ALL)
    tally.add(piece([40, 40, 40], [1, 2, 3], [1.5, math.nan, 4.5]))
    tally.add(piece([-3], [60], [math.nan]))
    assert (tally.events.tolist(), tally.numeric_events.tolist()) == ([1, 0, 3], [0, 0, 2])
    expected: dict[Aggregation, list[float]] = {
        Aggregation.OCCURRENCE: [1, 0, 1],
        Aggregation.COUNT: [1, 0, 3],
        Aggregation.SUM: [0, 0, 6],
        Aggregation.MEAN: [0, 0, 3],
        Aggregation.MIN: [0, 0, 1.5],
        Aggregation.MAX: [0, 0, 4.5],
        Aggregation.FIRST: [0, 0, 1.5],
        Aggregation.LAST: [0, 0, 4.5],
        Aggregation.DAYS: [1, 0, 1],
        Aggregation.WEEKS: [1, 0, 1],
        Aggregation.DISTINCT: [0, 0, 2],
    }
    assert values(tally, *expected) == expected


def test_tally__first_and_last_at_one_time__are_the_smallest_and_the_largest__m6() -> None:
    tally = Tally(population(), TimeSpan(), ALL)
    tally.add(piece([40] * 5, [5, 5, 9, 9, 7], [3.0, -2.0, 4.0, 8.0, 100.0]))
    assert values(tally, Aggregation.FIRST, Aggregation.LAST) == {
        Aggregation.FIRST: [0, 0, -2.0],
        Aggregation.LAST: [0, 0, 8.0],
    }


def test_tally__days__are_those_of_utc__m6() -> None:
    tally = Tally(population(), TimeSpan(), [Aggregation.DAYS])
    tally.add(piece([40] * 4, [DAY_US - 1, DAY_US, 2 * DAY_US - 1, 5 * DAY_US], [1.0] * 4))
    assert tally.values(Aggregation.DAYS).tolist() == [0, 0, 3]


@pytest.mark.parametrize(("aggregation", "periods"), [(Aggregation.DAYS, 3), (Aggregation.WEEKS, 2)])
def test_tally__days_and_weeks_before_1970__are_told_apart__m6(aggregation: Aggregation, periods: int) -> None:
    tally = Tally(population(), TimeSpan(start_us=-9 * DAY_US), [aggregation])
    tally.add(piece([40] * 4, [-1, -DAY_US, -DAY_US - 1, -4 * DAY_US], [1.0] * 4))
    assert tally.values(aggregation).tolist() == [0, 0, periods]


def test_tally__weeks__begin_on_monday_in_utc_and_run_on_over_the_year__m6() -> None:
    days = [
        date(2026, 3, 1),
        date(2026, 3, 2),
        date(2026, 3, 8),
        date(2026, 12, 31),
        date(2027, 1, 3),
        date(2027, 1, 4),
    ]
    ends = [(day - date(1970, 1, 1)).days * DAY_US + at for day in days for at in (0, DAY_US - 1)]
    tally = Tally(population(), TimeSpan(), [Aggregation.WEEKS])
    tally.add(piece([40] * len(ends), ends, [1.0] * len(ends)))
    assert tally.values(Aggregation.WEEKS).tolist() == [0, 0, 4]


def test_tally__with_a_condition__counts_events_that_meet_it__m7() -> None:
    events = piece([40, 40, 7], [1, 2, 100], [1.0, 2.0, 4.0])
    events.columns = {**events.columns, "condition": np.array([0, 1, 1], np.uint8)}
    tally = Tally(population(), TimeSpan(), [Aggregation.SUM], condition="condition")
    tally.add(events)
    assert tally.values(Aggregation.SUM).tolist() == [0, 4, 2]


@pytest.mark.parametrize("seed", range(5))
def test_tally__in_any_order_and_pieces__gives_the_same_to_the_last_bit__x5(seed: int) -> None:
    shuffled = random.Random(seed)
    numbers = (0.1, -0.0, 0.0, 1e9, -7.3, math.nan)
    drawn = [
        (shuffled.choice((-3, 7, 40)), shuffled.randrange(6) * DAY_US // 2, shuffled.choice(numbers)) for _ in range(80)
    ]

    def tallied(events: list[tuple[int, int, float]], length: int) -> list[bytes]:
        tally = Tally(population(), TimeSpan(), ALL)
        for start in range(0, len(events), length):
            part = sorted(events[start : start + length], key=lambda event: event[0])
            tally.add(piece([e[0] for e in part], [e[1] for e in part], [e[2] for e in part]))
        return [tally.values(each).tobytes() for each in ALL]

    again = shuffled.sample(drawn, len(drawn))
    assert tallied(drawn, 80) == tallied(again, shuffled.randrange(1, 30))


@pytest.mark.parametrize("aggregation", ALL)
def test_tally__of_nobody__is_empty(aggregation: Aggregation) -> None:
    nobody = np.empty(0, np.int64)
    assert Tally(Population(nobody, nobody, nobody, 1), TimeSpan(), ALL).values(aggregation).tolist() == []
