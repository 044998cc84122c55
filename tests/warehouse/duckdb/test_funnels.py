"""Funnels, beside all chains tried out (rule M14)."""

from itertools import pairwise, permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiment_pipeline.warehouse.duckdb.funnels import reached_steps

STEPS = 3
Event = tuple[int, int, int]  # identity, time, possible steps
events_of_names = st.lists(
    st.lists(st.tuples(st.integers(0, 1), st.integers(0, 4), st.integers(1, 2**STEPS - 1)), max_size=5),
    min_size=1,
    max_size=2,
)


def reached(named: list[list[Event]], within: int | None) -> list[list[bool]]:
    columns = [np.array(events, np.int64).reshape(-1, 3).T for events in named]
    found: list[list[bool]] = reached_steps(2, [(ids, at, steps) for ids, at, steps in columns], STEPS, within).tolist()
    return found


def tried(named: list[list[Event]], within: int | None) -> list[list[bool]]:
    """By step and identity: whether any chain of different events fits, of all that there are."""

    def fits(chain: tuple[Event, ...]) -> bool:
        in_order = all(one[1] <= other[1] for one, other in pairwise(chain))
        in_time = within is None or all(event[1] < chain[0][1] + within for event in chain)
        return in_order and in_time and all(event[2] >> step & 1 for step, event in enumerate(chain))

    def reaches(identity: int, step: int) -> bool:
        own = [event for events in named for event in events if event[0] == identity]
        return any(map(fits, permutations(own, step + 1)))

    return [[reaches(identity, step) for identity in range(2)] for step in range(STEPS)]


@given(events_of_names, st.sampled_from([None, 1, 2, 3]))
def test_reached_steps__of_any_events__are_those_of_some_chain__m14(
    named: list[list[Event]], within: int | None
) -> None:
    assert reached(named, within) == tried(named, within)


@pytest.mark.parametrize(
    ("events", "within", "wanted"),
    [
        ([(0, 1, 0b001), (0, 2, 0b010), (0, 3, 0b100)], None, [True, True, True]),
        ([(0, 3, 0b001), (0, 2, 0b010), (0, 3, 0b100)], None, [True, False, False]),
        ([(0, 1, 0b111)], None, [True, False, False]),  # one event is one step
        ([(0, 1, 0b001), (0, 1, 0b111), (0, 1, 0b001)], None, [True, True, False]),
        ([(0, 1, 0b011), (0, 1, 0b001)], None, [True, True, False]),  # in the order that fits
        ([(0, 1, 0b001), (0, 4, 0b010), (0, 5, 0b001), (0, 6, 0b010), (0, 7, 0b100)], 3, [True, True, True]),
        ([(0, 1, 0b001), (0, 2, 0b010), (0, 4, 0b100)], 3, [True, True, False]),  # `within` is exclusive
    ],
)
def test_reached_steps__of_one_identity__by_hand__m14(
    events: list[Event], within: int | None, wanted: list[bool]
) -> None:
    assert [of_step[0] for of_step in reached([events], within)] == wanted
