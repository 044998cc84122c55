"""Readings: what metrics need to be read of the lake, each kind of event once for all of them."""

from collections import ChainMap, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeAlias

from experiment_pipeline.domain.audience import LARGEST_VALUES
from experiment_pipeline.domain.measures import Aggregation, Condition, Events, Measure
from experiment_pipeline.domain.metrics import Funnel, Maturity, Mean, Metric, Quantile, Ratio, Retention
from experiment_pipeline.warehouse.duckdb.conditions import Parameters, meets_all, path_of, text_of
from experiment_pipeline.warehouse.duckdb.field_types import code_of
from experiment_pipeline.warehouse.duckdb.slices import Slice
from experiment_pipeline.warehouse.duckdb.statements import statement
from experiment_pipeline.warehouse.duckdb.tally import TimeSpan

Conditions: TypeAlias = tuple[Condition, ...]
Chosen: TypeAlias = tuple[Conditions, Slice | None]

MEASURED_EVENTS = "measured_events"
MICROSECOND = timedelta(microseconds=1)
TEXT_HASH = "coalesce(md5_number_lower(value), 0)"  # 0, which is no text's hash, for an event without a value


@dataclass(frozen=True, slots=True)
class Tallied:
    """Events that are tallied, by identity; metrics that count the same ones share them."""

    name: str
    where: Conditions
    span: TimeSpan
    slice: Slice | None = None


@dataclass(frozen=True, slots=True)
class KeptNumbers:
    """Events whose own numbers are kept, for the quantile of events."""

    name: str
    where: Conditions
    span: TimeSpan


@dataclass(frozen=True, slots=True)
class KeptSteps:
    """Events of one name whose times are kept, for a funnel; `steps` are those that they can be, from 0 on."""

    name: str
    steps: tuple[tuple[int, Conditions], ...]


Request: TypeAlias = Tallied | KeptNumbers | KeptSteps


@dataclass(frozen=True, slots=True)
class Reading:
    """One kind of event, read once for all metrics.

    Attributes:
        requests: what is kept of it, with the aggregations that what is tallied is for.
    """

    name: str
    requests: dict[Request, frozenset[Aggregation]]

    @property
    def conditions(self) -> dict[Chosen, str]:
        """The names of the columns that say which events are chosen; where all are, there is none."""
        found = dict.fromkeys(chosen for request in self.requests for chosen in _chosen(request) if any(chosen))
        return {chosen: f"condition_{position}" for position, chosen in enumerate(found)}

    @property
    def types(self) -> dict[str, str]:
        """The names of the columns that tell the type of a property, by the property that is chosen by."""
        found = dict.fromkeys(field for where, of in self.conditions for field in _properties(where, of))
        return {field: f"type_{position}" for position, field in enumerate(found)}

    @property
    def before(self) -> timedelta:
        """How long before the first exposure events are read, for pre-periods."""
        starts = [request.span.start_us for request in self.requests if not isinstance(request, KeptSteps)]
        return -min([0, *starts]) * MICROSECOND

    @property
    def columns(self) -> dict[str, str]:
        """The columns that are read, with their SQL."""
        aggregations: frozenset[Aggregation] = frozenset().union(*self.requests.values())
        columns = {"identity_hash": "identity_hash", "at_us": "at_us"}
        keeps_numbers = any(isinstance(request, KeptNumbers) for request in self.requests)
        if keeps_numbers or any(each.reads_numbers for each in aggregations):
            columns["number"] = "coalesce(numeric_value, 'nan')"
        if any(each.reduction.reads_texts for each in aggregations):
            columns["text"] = TEXT_HASH
        columns |= {name: f"({_is_chosen(each, name)[0]})::utinyint" for each, name in self.conditions.items()}
        return columns | {name: code_of(field, f"{name}_path")[0] for field, name in self.types.items()}

    def statement(self, *further: str) -> tuple[str, dict[str, Any]]:
        """Return the SQL that reads the events, with the parameters of its conditions; `further` are other columns."""
        columns = ", ".join([*(f"{expression} as {name}" for name, expression in self.columns.items()), *further])
        base = statement(MEASURED_EVENTS)
        parameters = [_is_chosen(each, name)[1] for each, name in self.conditions.items()]
        parameters += [code_of(field, f"{name}_path")[1] for field, name in self.types.items()]
        return f"select {columns}\nfrom (\n{base})\n", dict(ChainMap(*parameters))


def readings(sliced: Iterable[tuple[Metric, Slice | None]]) -> list[Reading]:
    """Return what is read for these metrics, or slices of them, by the name of the event."""
    by_name: defaultdict[str, defaultdict[Request, set[Aggregation]]] = defaultdict(lambda: defaultdict(set))
    for metric, of in sliced:
        for request, aggregation in _requests(metric, of):
            by_name[request.name][request].update([] if aggregation is None else [aggregation])
    return [
        Reading(name, {request: frozenset(wanted) for request, wanted in requests.items()})
        for name, requests in by_name.items()
    ]


def merged(same: Sequence[Reading]) -> Reading:
    """Return one reading of a kind of event for all that these are for."""
    requests: defaultdict[Request, set[Aggregation]] = defaultdict(set)
    for reading in same:
        for request, aggregations in reading.requests.items():
            requests[request].update(aggregations)
    return Reading(same[0].name, {request: frozenset(wanted) for request, wanted in requests.items()})


def slice_values_statement(metric: Metric, path: str) -> tuple[str, Parameters]:
    """Return the SQL of the largest values of a property among the events that a metric counts: one over the limit."""
    request = tallied(metric.measures[0], None)
    condition, parameters = meets_all(request.where, "counted") if request.where else ("true", {})
    column, json_path = path_of(path)
    events, identities = statement(MEASURED_EVENTS), statement("analysed_identities")
    event = f"select *, {text_of(column, 'slice_path')} as slice_value\nfrom (\n{events})\nwhere {condition}"
    is_complete = metric.maturity is Maturity.COMPLETE
    bound = {
        "slice_path": json_path,
        "start_us": request.span.start_us,
        "end_us": request.span.end_us,
        "mature_after_us": request.span.end_us if is_complete else None,
        "limit": LARGEST_VALUES + 1,
    }
    return (
        f"with event as (\n{event}\n),\nidentity as (\n{identities})\n{statement('slice_values')}",
        parameters | bound,
    )


def tallied(measure: Measure, of: Slice | None) -> Tallied:
    """Return the events that a measure counts, or a slice of them."""
    return Tallied(measure.events.name, measure.events.where, span_of(measure.events), of)


def tallied_before(measure: Measure, before: timedelta, of: Slice | None) -> Tallied:
    """Return the events that a measure counts over the pre-period (rule M11), or a slice of them."""
    return Tallied(
        measure.events.name, measure.events.where, TimeSpan(-(before // MICROSECOND), 0, of_exposure=True), of
    )


def kept_numbers(events: Events) -> KeptNumbers:
    """Return the events whose numbers a quantile of events is of."""
    return KeptNumbers(events.name, events.where, span_of(events))


def kept_steps(funnel: Funnel) -> list[KeptSteps]:
    """Return the events that a funnel is made of: one that two steps ask for is one event."""
    by_name: defaultdict[str, list[tuple[int, Conditions]]] = defaultdict(list)
    for position, step in enumerate(funnel.steps):
        by_name[step.name].append((position, step.where))
    return [KeptSteps(name, tuple(steps)) for name, steps in by_name.items()]


def span_of(events: Events) -> TimeSpan:
    """Return the window of events in microseconds."""
    end = events.window.end
    return TimeSpan(events.window.start // MICROSECOND, None if end is None else end // MICROSECOND)


def _requests(metric: Metric, of: Slice | None) -> Iterator[tuple[Request, Aggregation | None]]:
    match metric.statistic:
        case Funnel() as funnel:
            yield from ((steps, None) for steps in kept_steps(funnel))
        case Quantile(of=Events() as events):
            yield kept_numbers(events), None
        case Mean(measure, before):
            yield tallied(measure, of), measure.aggregation
            if before is not None:
                yield tallied_before(measure, before, of), measure.aggregation
        case Ratio() | Retention() | Quantile():
            yield from ((tallied(measure, of), measure.aggregation) for measure in metric.measures)


def _chosen(request: Request) -> Iterator[Chosen]:
    match request:
        case KeptSteps(_, steps):
            yield from ((where, None) for _, where in steps)
        case KeptNumbers(_, where, _):
            yield where, None
        case Tallied(_, where, _, of):
            yield where, of


def _properties(where: Conditions, of: Slice | None) -> Iterator[str]:
    """Yield the properties that events are chosen by; the value, which the lake keeps as text, is none."""
    yield from (condition.field for condition in where if condition.field != "value")
    if of is not None:
        yield of.path


def _is_chosen(chosen: Chosen, name: str) -> tuple[str, Parameters]:
    """Return the SQL of whether an event meets the conditions and is in the slice."""
    where, of = chosen
    expression, parameters = meets_all(where, name) if where else ("true", {})
    if of is None:
        return expression, parameters
    is_in, bound = of.holds(f"{name}_slice")
    return f"{expression} and {is_in}", parameters | bound
