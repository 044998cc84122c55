"""Funnels where events lie, as Ibis expressions: the steps that each identity reaches (rule M14).

Events are counted by identity and time, since different events of one time may be steps in any order. Of the chains
that reach a step the one that starts last is the best: every event that another can go on with, it can go on with, too.
So one time per step is enough: the latest start of a chain so far, a running maximum.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import reduce
from itertools import combinations
from operator import and_, or_
from typing import Any

import ibis

from experiment_pipeline.domain.analysis import AnalysisScope
from experiment_pipeline.domain.events import MILLISECOND
from experiment_pipeline.domain.measures import Events
from experiment_pipeline.domain.metrics import Funnel, Metric
from experiment_pipeline.warehouse.duckdb.moments import ArmMoments, Counts, Moments
from experiment_pipeline.warehouse.ibis.chosen_events import ChosenEvents
from experiment_pipeline.warehouse.ibis.measures import joined_events, one

NEVER = 0  # the start of a chain that there is not: what ClickHouse has for the maximum of no rows, others have null


def reached_steps(
    scope: AnalysisScope, metric: Metric, funnel: Funnel, people: Any, *, unique_rows: bool = False
) -> Any:
    """Return a row per identity with an event of any step, with 1 or 0 for every step in `reached_<step>`.

    Args:
        scope: of the analysis.
        metric: that the funnel is of.
        funnel: of two or more steps.
        people: the identities, with `identifier`, `first_ms` and more columns.
        unique_rows: whether each event is declared to have one row.
    """
    chosen = ChosenEvents(funnel.steps, unique_rows=unique_rows)
    events = joined_events(scope, [metric], people, chosen)
    kinds = list(dict.fromkeys(funnel.steps))
    is_kind = {f"kind_{number}": chosen.are(events, kind) for number, kind in enumerate(kinds)}
    events = events.filter(reduce(or_, is_kind.values())).mutate(**is_kind)
    kept = [name for name in people.columns if name != "identifier"]
    counts = {
        _count_of(numbers): one(reduce(or_, (events[f"kind_{number}"] for number in numbers))).sum()
        for numbers in _sets_of_kinds(kinds)
    }
    times = events.group_by("identifier", *kept, "at_ms").agg(**counts)
    places = [kinds.index(step) for step in funnel.steps]
    times = _with_starts(times, places, kinds, None if funnel.within is None else funnel.within // MILLISECOND)
    steps = range(1, len(places) + 1)
    reached = {f"reached_{step}": one(times[f"start_{step}"].max() != NEVER) for step in steps}
    return times.group_by("identifier", *kept).agg(**reached)


def counted_steps(reached: Any, funnel: Funnel, arms: Sequence[str]) -> Any:
    """Return a row per arm with the identities that reach every step, in `reached_<step>`."""
    names = [f"reached_{step}" for step in range(1, len(funnel.steps) + 1)]
    return reached.group_by(*arms).agg(**{name: reached[name].sum() for name in names})


def step_moments(row: Mapping[str, Any] | None, step: int, people: int, mature: int) -> ArmMoments:
    """Return the moments of a step in one arm: an occurrence of all its identities."""
    reached = 0 if row is None else int(row[f"reached_{step}"] or 0)
    if not mature:
        return ArmMoments(Moments(0, 0.0, 0.0), counts=Counts(not_mature=people))
    counts = Counts(
        identities=mature, not_mature=people - mature, nonzero=reached, with_value=mature, with_event=reached
    )
    of_step = Moments(mature, reached / mature, reached * (mature - reached) / mature)
    return ArmMoments(of_step, largest=1.0 if reached else 0.0, counts=counts)


def _with_starts(times: Any, places: Sequence[int], kinds: Sequence[Events], within_ms: int | None) -> Any:
    """Return the rows with the latest start of a chain that reaches each step with an event of that time."""
    earlier = ibis.window(group_by="identifier", order_by="at_ms", preceding=(None, 1))
    for step in range(1, len(places) + 1):
        starts = [_starts_at_once(times, places[:step], kinds)]
        for reached in range(1, step):
            before = times[f"before_{reached}"]
            goes_on = (before != NEVER) & _are_there(times, places[reached:step], kinds)
            if within_ms is not None:
                goes_on &= times.at_ms < before + within_ms
            starts.append(goes_on.ifelse(before, NEVER))
        times = times.mutate(**{f"start_{step}": ibis.greatest(*starts) if len(starts) > 1 else starts[0]})
        if step < len(places):
            before = times[f"start_{step}"].max().over(earlier).fill_null(NEVER)
            times = times.mutate(**{f"before_{step}": before})
    return times


def _starts_at_once(times: Any, places: Sequence[int], kinds: Sequence[Events]) -> Any:
    """Return the time where all these steps are of that time, the first of all among them."""
    return _are_there(times, places, kinds).ifelse(times.at_ms, ibis.literal(NEVER, type="int64"))


def _are_there(times: Any, places: Sequence[int], kinds: Sequence[Events]) -> Any:
    """Return whether different events of one time can be all these steps, one each.

    They can where any of the steps together have at least as many events (Hall 1935, "On representatives of subsets").

    Args:
        times: with the events of each time.
        places: the kind of every step.
        kinds: of events that steps are.
    """
    wanted = set(places)
    conditions = [
        times[_count_of(numbers)] >= sum(place in numbers for place in places)
        for numbers in _sets_of_kinds(kinds)
        if wanted.issuperset(numbers)
    ]
    return reduce(and_, conditions)


def _sets_of_kinds(kinds: Sequence[Events]) -> Iterator[tuple[int, ...]]:
    """Yield all sets of kinds that one event can be: those of one name."""
    for name in dict.fromkeys(kind.name for kind in kinds):
        of_name = [number for number, kind in enumerate(kinds) if kind.name == name]
        for size in range(1, len(of_name) + 1):
            yield from combinations(of_name, size)


def _count_of(numbers: Collection[int]) -> str:
    return "events_" + "_".join(map(str, numbers))
