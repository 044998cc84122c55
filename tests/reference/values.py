"""What every identity is to a metric: rules M6, M8-M14."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

from tests.reference.aggregations import AGGREGATIONS
from tests.reference.events import Event
from tests.reference.exposures import Analysed, Experiment, FirstExposure, analysed
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
from tests.reference.metrics import Events, Funnel, Mean, Measure, Metric, Quantile, Ratio

EventsOf = Mapping[str, Sequence[Event]]
Chosen = Callable[[Event], bool]


@dataclass(frozen=True)
class Value:
    """One identity: y, and x where there are two; both None where the identity is left out.

    `read` are the events whose value is read as a number, `invalid` those of them where it is none. `events` are the
    numeric values of single events, where the metric is about these. `capped` and `floored` tell, measure by measure,
    whether a bound has touched the value.
    """

    y: Fraction | None
    x: Fraction | None = None
    has_number: bool = True
    has_event: bool = False
    read: int = 0
    invalid: int = 0
    capped: tuple[bool, ...] = ()
    floored: tuple[bool, ...] = ()
    events: Sequence[Fraction] = ()


@dataclass(frozen=True)
class Values:
    """All identities, and the thresholds of each measure."""

    of_identity: dict[str, Value]
    held_to: Sequence[Thresholds] = ()
    are_pairs: bool = False

    def only(self, identities: Iterable[str]) -> "Values":
        """Some of the identities; the thresholds stay."""
        kept = {identity: self.of_identity[identity] for identity in identities if identity in self.of_identity}
        return replace(self, of_identity=kept)


@dataclass(frozen=True)
class People:
    """The identities that a metric is about, those that wait for their window to end, and the events of all."""

    who: dict[str, Analysed]
    waiting: dict[str, Analysed]
    events: EventsOf
    experiment: Experiment

    def of(self, wanted: Events) -> dict[str, list[Event]]:
        """The counted events of each."""
        as_of = self.experiment.as_of
        return {identity: counted(self.events[identity], wanted, who, as_of) for identity, who in self.who.items()}

    def only(self, identities: set[str]) -> "People":
        """Some of them."""
        return replace(
            self,
            who={identity: who for identity, who in self.who.items() if identity in identities},
            waiting={identity: who for identity, who in self.waiting.items() if identity in identities},
        )

    def is_compared(self, identity: str) -> bool:
        """Whether its variant is control or a treatment."""
        who = self.who.get(identity) or self.waiting[identity]
        return who.first.variant in self.experiment.compared_keys

    def pooled(self, values: Mapping[str, Fraction | None]) -> list[Fraction]:
        """The values that there are in the compared variants, all together."""
        return [value for identity, value in values.items() if value is not None and self.is_compared(identity)]


def people_of(
    metric: Metric, events: Iterable[Event], firsts: dict[str, FirstExposure], experiment: Experiment
) -> People:
    """Rule M8: with `maturity: complete` those whose longest window has ended by the as-of, and those who wait."""
    events = list(events)
    everybody = analysed(events, firsts, experiment)
    own: defaultdict[str, list[Event]] = defaultdict(list)
    for event in events:
        if event.environment_key == experiment.environment_key:
            own[event.identifier].append(event)
    ends = [wanted.end for wanted in metric.events if wanted.end is not None]
    waiting = {
        identity: who
        for identity, who in everybody.items()
        if metric.complete and ends and who.start + max(ends) > experiment.as_of
    }
    who = {identity: who for identity, who in everybody.items() if identity not in waiting}
    return People(who, waiting, own, experiment)


def values_of(metric: Metric, people: People, chosen: Chosen = lambda _: True, step: int | None = None) -> Values:
    """The value of each identity for the metric.

    `chosen` tells the events of a slice, which the first of two measures is of (rule M18). `step` is that of a funnel;
    the last one, unless it is given.
    """
    match metric.statistic:
        case Funnel() as funnel:
            wanted = step or len(funnel.steps)
            as_of = people.experiment.as_of
            return Values(
                {
                    identity: Value(Fraction(reached), has_event=reached)
                    for identity, who in people.who.items()
                    for reached in [steps_reached(funnel, people.events[identity], who, as_of) >= wanted]
                }
            )
        case Quantile(of=Events() as events):
            return Values({identity: _value_of_events(own) for identity, own in people.of(events).items()})
        case Ratio(numerator, denominator):
            own_y, own_x = _only(people.of(numerator.events), chosen), people.of(denominator.events)
            whole = _with_value(numerator, own_y) & _with_value(denominator, own_x)
            y, x = (
                _values_of_measure(numerator, people, own_y, whole),
                _values_of_measure(denominator, people, own_x, whole),
            )
            pairs = {identity: _pair(y.of_identity[identity], x.of_identity[identity]) for identity in people.who}
            return Values(pairs, [*y.held_to, *x.held_to], are_pairs=True)
        case Mean(measure, before) if before is not None:
            own_y = _only(people.of(measure.events), chosen)
            earlier = {
                identity: counted_before(people.events[identity], measure.events, who, before)
                for identity, who in people.who.items()
            }
            whole = _with_value(measure, own_y)
            y = _values_of_measure(measure, people, own_y, whole)
            x = _values_of_measure(covariate(measure), people, _only(earlier, chosen), whole)
            beside = {identity: _beside(own, x.of_identity[identity]) for identity, own in y.of_identity.items()}
            return Values(beside, [*y.held_to, *x.held_to], are_pairs=True)
        case _:
            (measure,) = metric.measures
            own = _only(people.of(measure.events), chosen)
            return _values_of_measure(measure, people, own, _with_value(measure, own))


def _only(events: dict[str, list[Event]], chosen: Chosen) -> dict[str, list[Event]]:
    return {identity: list(filter(chosen, own)) for identity, own in events.items()}


def _with_value(measure: Measure, events: EventsOf) -> set[str]:
    return {identity for identity, own in events.items() if value_of(measure, own) is not None}


def _values_of_measure(measure: Measure, people: People, events: EventsOf, whole: set[str]) -> Values:
    """`whole` are the identities that count in the metric, so that percentiles are of these."""
    raw = {identity: value_of(measure, own) if identity in whole else None for identity, own in events.items()}
    limits = thresholds(measure, people.pooled(raw))
    reads = AGGREGATIONS[measure.aggregation].reads_numbers
    return Values(
        {
            identity: Value(
                y=None if value is None else limits.held(value),
                has_number=has_number(measure, events[identity]),
                has_event=bool(events[identity]),
                read=len(events[identity]) if reads else 0,
                invalid=sum(event.number is None for event in events[identity]) if reads else 0,
                capped=(value is not None and limits.is_capped(value),),
                floored=(value is not None and limits.is_floored(value),),
            )
            for identity, value in raw.items()
        },
        [limits],
    )


def _value_of_events(own: Sequence[Event]) -> Value:
    numbers = [Fraction(event.number) for event in own if event.number is not None]
    return Value(
        y=Fraction(0),
        has_number=bool(numbers),
        has_event=bool(own),
        read=len(own),
        invalid=len(own) - len(numbers),
        events=numbers,
    )


def _beside(y: Value, x: Value) -> Value:
    """Rule M11: a pre-period beside the metric's own value."""
    return replace(y, x=x.y, capped=(*y.capped, *x.capped), floored=(*y.floored, *x.floored))


def _pair(y: Value, x: Value) -> Value:
    """Rule M6: an identity counts if both have a value."""
    return replace(
        y,
        x=x.y,
        has_number=y.y is not None and x.y is not None,
        has_event=y.has_event or x.has_event,
        read=y.read + x.read,
        invalid=y.invalid + x.invalid,
        capped=(*y.capped, *x.capped),
        floored=(*y.floored, *x.floored),
    )
