"""From the events of one identity to one number: rules M2, M3, M6, M8, M10, M11, M14 and M18."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from fractions import Fraction
from itertools import product

from tests.reference.aggregations import AGGREGATIONS, numbers
from tests.reference.conditions import meets_all
from tests.reference.events import Event
from tests.reference.exposures import Analysed
from tests.reference.metrics import Bound, Events, Funnel, Measure
from tests.reference.quantiles import nearest_rank, share


@dataclass(frozen=True)
class Thresholds:
    """Rule M10: the bounds of a measure as numbers; None where there is none."""

    cap: Fraction | None = None
    floor: Fraction | None = None

    def held(self, value: Fraction) -> Fraction:
        """Floor first, then cap."""
        if self.floor is not None:
            value = max(value, self.floor)
        return value if self.cap is None else min(value, self.cap)

    def is_capped(self, value: Fraction) -> bool:
        """Whether the cap touches a value as it was before."""
        return self.cap is not None and value > self.cap

    def is_floored(self, value: Fraction) -> bool:
        """Whether the floor does."""
        return self.floor is not None and value < self.floor


def counted(own: Iterable[Event], wanted: Events, who: Analysed, as_of: datetime) -> list[Event]:
    """Rule M8: events in the window after the identity's start, and before the as-of."""
    return [
        event
        for event in own
        if event.event == wanted.name
        and event.timestamp < as_of
        and event.timestamp - who.start >= wanted.start
        and (wanted.end is None or event.timestamp - who.start < wanted.end)
        and meets_all(event, wanted.where)
    ]


def counted_before(own: Iterable[Event], wanted: Events, who: Analysed, before: timedelta) -> list[Event]:
    """Rule M11: the same events in a time that ends with the first exposure, which no treatment has touched."""
    return [
        event
        for event in own
        if event.event == wanted.name
        and who.first.at - before <= event.timestamp < who.first.at
        and meets_all(event, wanted.where)
    ]


def value_of(measure: Measure, events: Sequence[Event]) -> Fraction | None:
    """Rules M3 and M6: what the counted events of one identity become; None where it has no value."""
    how = AGGREGATIONS[measure.aggregation]
    if how.may_lack and not numbers(events):
        return Fraction(0) if measure.zero_if_missing else None
    return Fraction(how.of(events))


def has_number(measure: Measure, events: Iterable[Event]) -> bool:
    """Rule M6: whether an identity has a value, also where a missing one is 0."""
    return not AGGREGATIONS[measure.aggregation].may_lack or any(event.number is not None for event in events)


def covariate(measure: Measure) -> Measure:
    """Rule M11: an identity without a value in the pre-period is 0 there."""
    return replace(measure, zero_if_missing=True)


def thresholds(measure: Measure, pooled: Sequence[Fraction]) -> Thresholds:
    """Rule M10: the bounds of a measure, given the values of all compared identities that have one."""
    return Thresholds(cap=_threshold(measure.cap, pooled), floor=_threshold(measure.floor, pooled))


def _threshold(bound: Bound | None, pooled: Sequence[Fraction]) -> Fraction | None:
    if bound is None:
        return None
    if bound.at is not None:
        return Fraction(bound.at)
    assert bound.percentile is not None
    values = [value for value in pooled if value != 0 or not bound.of_nonzero]
    return nearest_rank(values, share(bound.percentile) / 100) if values else None


def steps_reached(funnel: Funnel, own: Sequence[Event], who: Analysed, as_of: datetime) -> int:
    """Rule M14: how many steps the longest chain of distinct events has; every chain is tried."""
    candidates = [counted(own, step, who, as_of) for step in funnel.steps]
    reached = 0
    while reached < len(candidates) and any(
        _is_chain(chain, funnel.within) for chain in product(*candidates[: reached + 1])
    ):
        reached += 1
    return reached


def _is_chain(chain: Sequence[Event], within: timedelta | None) -> bool:
    times = [event.timestamp for event in chain]
    return (
        len(set(chain)) == len(chain)
        and times == sorted(times)
        and (within is None or all(time - times[0] < within for time in times[1:]))
    )
