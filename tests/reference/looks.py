"""What moved between two looks: rule R9. Both are recomputed from nothing and compared identity by identity."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from fractions import Fraction

from tests.reference.events import EXPOSURE, Event
from tests.reference.exposures import Analysed, Experiment, analysed, first_exposures
from tests.reference.metrics import Mean, Measure, Metric, Quantile, Ratio, Retention, Statistic
from tests.reference.values import people_of, values_of

Told = tuple[Fraction | None, Fraction | None, tuple[Fraction, ...]]


@dataclass(frozen=True)
class Moved:
    """Numbers of events and identities; `identities_before` are those of the earlier look."""

    identities_before: int
    late_events: int
    new_identities: int
    restated_identities: int
    newly_quarantined: int
    removed_events: int


def moved(before: set[Event], now: set[Event], experiment: Experiment, earlier: datetime) -> Moved:
    """From a look at the events `before` as of a moment to one at the events `now` as of the experiment's."""
    known = replace(experiment, as_of=earlier)
    was, have, would = _who(before, known), _who(now, experiment), _who(now, known)
    known_hashes = {event.hash for event in before}  # an event that a link gives to somebody else has not come anew
    hashes = {event.hash for event in now}
    both = was.keys() & have.keys()
    restated = {identity for identity in both if was[identity] != would.get(identity)}
    for metric in map(_without_bounds, experiment.metrics):
        of_was, of_would = _values(metric, before, known), _values(metric, now, known)
        restated |= {identity for identity in both & of_was.keys() if of_was[identity] != of_would.get(identity)}
    return Moved(
        identities_before=len(was),
        late_events=sum(_is_late(event, experiment, earlier) for event in now if event.hash not in known_hashes),
        new_identities=len(have.keys() - was.keys()),
        restated_identities=len(restated),
        newly_quarantined=len(was.keys() - have.keys()),
        removed_events=sum(_is_late(event, experiment, earlier) for event in before if event.hash not in hashes),
    )


def _who(events: Iterable[Event], experiment: Experiment) -> dict[str, tuple[datetime, str, datetime]]:
    """The first exposure, variant and start of everybody who is analysed in a compared variant."""
    events = list(events)
    people: dict[str, Analysed] = analysed(events, first_exposures(events, experiment), experiment)
    return {
        identity: (who.first.at, who.first.variant, who.start)
        for identity, who in people.items()
        if who.first.variant in experiment.compared_keys
    }


def _values(metric: Metric, events: Iterable[Event], experiment: Experiment) -> dict[str, Told]:
    """The values of everybody who is in the metric by then (rule M8); of a quantile of events, their numbers."""
    events = list(events)
    people = people_of(metric, events, first_exposures(events, experiment), experiment)
    return {
        identity: (value.y, value.x, tuple(sorted(value.events)))
        for identity, value in values_of(metric, people).of_identity.items()
    }


def _without_bounds(metric: Metric) -> Metric:
    """Rule M10 is of all identities together: here each is looked at alone."""

    def free(measure: Measure) -> Measure:
        return replace(measure, cap=None, floor=None)

    statistic: Statistic = metric.statistic
    match statistic:
        case Mean(measure) | Retention(measure):
            statistic = replace(statistic, measure=free(measure))
        case Ratio(numerator, denominator):
            statistic = Ratio(free(numerator), free(denominator))
        case Quantile(q, Measure() as measure):
            statistic = Quantile(q, free(measure))
    return replace(metric, statistic=statistic)


def _is_late(event: Event, experiment: Experiment, earlier: datetime) -> bool:
    """Whether an event that came or left is dated before the earlier look, and of a kind and time that is analysed."""
    if event.environment_key != experiment.environment_key or event.timestamp >= min(earlier, experiment.as_of):
        return False
    if event.event == EXPOSURE:
        return event.feature_name == experiment.feature and event.timestamp >= experiment.started_at
    pre_periods = [_pre_period(metric) for metric in experiment.metrics if event.event in _names(metric)]
    if experiment.entry is not None and event.event == experiment.entry.name:
        pre_periods.append(timedelta(0))
    return bool(pre_periods) and event.timestamp >= experiment.started_at - max(pre_periods)


def _names(metric: Metric) -> set[str]:
    return {events.name for events in metric.events}


def _pre_period(metric: Metric) -> timedelta:
    return (metric.statistic.before if isinstance(metric.statistic, Mean) else None) or timedelta(0)
