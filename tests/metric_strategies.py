"""Hypothesis strategies: metrics drawn from the whole grammar, and events that make them collide (rules M6-M14, M18).

Pools are small: events lie at the bounds of windows, values are equal or nearly so, conditions meet mixed types, and an
event comes again with other traits. Records are kept as JSON literals, as in `tests.strategies`.
"""

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

from hypothesis import strategies as st

from tests.reference import aggregations
from tests.reference.events import EPOCH, MILLISECOND, LandingObject
from tests.reference.exposures import Experiment, Variant
from tests.reference.metrics import (
    Bound,
    Condition,
    Events,
    Funnel,
    Mean,
    Measure,
    Metric,
    Operator,
    Quantile,
    Ratio,
    Retention,
    Scalar,
    Statistic,
)
from tests.strategies import (
    AS_EXPOSURE,
    DAY,
    ENVIRONMENTS,
    FEATURE,
    HOUR,
    LANDED_LATE,
    STARTED_AT,
    Record,
    Scenario,
    envelope,
    object_name,
    written,
)

NAMES = ("purchase", "page")
IDENTIFIERS = ("a", "A", " a", "ünï", "b1", "b2")
ARMS = ("control", "b", "c", "h")
LENGTHS = (HOUR, DAY, 2 * DAY)
NO_TIME = timedelta(0)
AS_OFS = (2 * DAY + HOUR, 3 * DAY, 3 * DAY + MILLISECOND)
ONE_PLACE = (NO_TIME, NO_TIME, -MILLISECOND, MILLISECOND)
EXPOSED_AFTER = (NO_TIME, NO_TIME, HOUR, DAY)
HAPPENS_AFTER = (*[HOUR, DAY, 2 * DAY, DAY + HOUR] * 2, NO_TIME, 3 * DAY, -HOUR, -DAY, -2 * DAY, DAY - HOUR)

# Sums, products and quotients of these are the same in doubles and in fractions wherever values are compared.
NUMBERS = ("1", "1", "2.5", "-3", "0", "4", "10", ".5", "1e3", "-0.25")
VALUES = (
    *map(json.dumps, NUMBERS),
    *('"1.0"', '"5."', '"+3"', '"1e-400"', '"-0"', "5", "1.0", "1E2", "-0.25", "null", "null"),
    *('"1e400"', '" 1"', '"NaN"', '"inf"', '"1_0"', '"٣"', '""', "true", '"true"', "false", '"ä"', '"😀"', '"\uffff"'),
)
LITERALS = (  # under a name in traits and metadata
    *("5", "5", "5.0", '"5"', "true", '"true"', "false", '"DE"', '"DE"', '"de"', '"AT"', '""', "null", "{}", "[]"),
    *('["DE"]', '{"DE": 1}', "-3", "0", "100", "1e2", "1E2", "2.50", '"1e2"', "9007199254740993", "0.1", "-0"),
    *('"ä"', '"z"', '"Z"', '"😀"', '"\uffff"', '"a\\"b"', '"it\'s"', '"\\n"', '" "', '"null"', '"\\u0001"'),
    *('"\\u0044E"', '"\\ud83d\\ude00"', '"\\u00e4"', '"sl\\/ash"', '"\\u007f"'),  # the same texts, written otherwise
)
HARD = ("ünï", "a b", "it's", 'qu"ote', "sl/ash", "ti~lde", "til~0de", "*", "0", "$", "#", "[0]", "DE", "a\\b", "%")
NESTED = ("plan.paid", "plan.seats", "plan.0.paid", "plan.seats.deep", "country.DE", "country.0", "a b.c d")
PATHS = ("country", "plan", "plan", *NESTED, *HARD)
FEW = ("5", "5.0", '"5"', "-3", "true", '"true"', '"DE"', '"DE"', "null", '["DE"]')  # what most conditions meet
FEW_OPERANDS: tuple[Scalar, ...] = (5, 5, "5", -3, True, "true", "DE", "DE")
OPERANDS: tuple[Scalar, ...] = (
    *(5, 5.0, "5", True, "true", False, "DE", "DE", "de", "AT", "", -3, 0, 100, 2.5, "1e2", 9007199254740992, 0.1),
    *("ä", "z", "Z", "😀", "\uffff", 'a"b', "it's", "\n", " ", "null", "sl/ash", "\u0001", "\u007f"),
)
NUMBERS_OF_VALUE: tuple[Scalar, ...] = (1, 1.0, 0, -3, 2.5, 5)
TEXTS_OF_VALUE: tuple[Scalar, ...] = ("1", "1.0", "true", "", "NaN", " 1", "ä", "😀", "\uffff", "5.")
DIMENSIONS = {"country": "country", "plan": "plan", "paid": "plan.paid", "other name": "a b"}
AGGREGATIONS = (*aggregations.AGGREGATIONS, "sum")  # most metrics are sums
OPERATORS: tuple[Operator, ...] = ("is", "in", "not_in", "at_least", "at_most", "exists")
CATEGORIES = tuple(f"c{number:02}" for number in range(23))  # with those of LITERALS more than are listed


@st.composite
def measured_scenarios(draw: st.DrawFn, metric_count: int) -> Scenario:
    """An experiment with so many metrics, and events of a few identities in a few objects."""
    batch_count = draw(st.integers(1, 2))
    experiment = draw(_experiments(batch_count, metric_count))
    records = draw(st.lists(EXPOSURES, min_size=8, max_size=12))
    records += draw(st.lists(_conversions(experiment.as_of - STARTED_AT), min_size=25, max_size=60))
    if draw(st.integers(0, 3)) == 0:
        records += draw(_crowd())
    again = draw(st.lists(st.tuples(st.integers(0, 60), PROPERTIES), max_size=6))
    records += [records[position % len(records)] | changes for position, changes in again]
    object_count = draw(st.integers(1, 3))
    objects: list[list[Record]] = [[] for _ in range(object_count * batch_count)]
    shuffled = draw(st.randoms(use_true_random=False))
    for record in records:
        shuffled.choice(objects).append(record)
    batches: list[list[LandingObject]] = [[] for _ in range(batch_count)]
    for number, content in enumerate(objects):
        text = envelope(content) if number % 2 else b"\n".join(map(written, content))
        name = object_name(ENVIRONMENTS[0], LANDED_LATE, number)
        batches[number // object_count].append(LandingObject(name, ENVIRONMENTS[0], LANDED_LATE, text))
    return Scenario(batches, experiment)


@st.composite
def _experiments(draw: st.DrawFn, batch_count: int, metric_count: int) -> Experiment:
    names = draw(st.lists(st.sampled_from(sorted(DIMENSIONS)), max_size=2, unique=True))
    metrics = [draw(_metrics(number)) for number in range(1, metric_count + 1)]
    entry = draw(st.one_of(st.none(), st.none(), STEPS))
    return Experiment(
        environment_key=ENVIRONMENTS[0],
        feature=FEATURE,
        variants=(
            Variant("control", "control"),
            Variant("b", "treatment", 30),
            Variant("c", "treatment", 30),
            Variant("h", "holdout", 10),
        ),
        metrics=metrics,
        started_at=STARTED_AT,
        as_of=STARTED_AT + draw(st.sampled_from(AS_OFS)),
        data_version=draw(st.sampled_from([1, *[batch_count] * 3])),
        multiple_exposures=draw(st.sampled_from(("exclude", "first"))),
        dimensions={name: DIMENSIONS[name] for name in names},
        cross=[(names[0], names[1])] if len(names) == 2 and draw(st.booleans()) else [],
        entry=entry,
        only=tuple(draw(st.lists(CONDITIONS, max_size=1))) if draw(st.integers(0, 3)) == 0 else (),
        exclude_identifiers=draw(st.lists(st.sampled_from((*IDENTIFIERS, "nobody")), max_size=2)),
    )


@st.composite
def _events(draw: st.DrawFn, starts: Sequence[timedelta], lengths: Sequence[timedelta | None]) -> Events:
    start, length = draw(st.sampled_from(starts)), draw(st.sampled_from(lengths))
    return Events(
        name=draw(st.sampled_from(NAMES)),
        where=tuple(draw(CONDITIONS) for _ in range(draw(st.sampled_from((0, 0, 1, 1, 2))))),
        start=start,
        end=None if length is None else start + length,
    )


@st.composite
def _conditions(draw: st.DrawFn) -> Condition:
    operator = draw(st.sampled_from(OPERATORS))
    operands = OPERANDS
    kind = draw(st.integers(0, 3))
    if kind == 0:
        field, operands = "value", draw(st.sampled_from((NUMBERS_OF_VALUE, TEXTS_OF_VALUE, (True, False))))
    elif kind == 1:
        field = draw(st.sampled_from(("traits.", "metadata."))) + draw(st.sampled_from(PATHS))
    else:
        field, operands = draw(st.sampled_from(("traits.country", "metadata.country"))), FEW_OPERANDS
    match operator:
        case "exists":
            return Condition(field, operator, draw(st.booleans()))
        case "in" | "not_in":
            several = draw(st.lists(st.sampled_from(operands), min_size=1, max_size=3))
            return Condition(field, operator, tuple(several))
        case "at_least" | "at_most":
            ordered = [operand for operand in operands if not isinstance(operand, bool)] or [0]
            return Condition(field, operator, draw(st.sampled_from(ordered)))
        case _:
            return Condition(field, operator, draw(st.sampled_from(operands)))


@st.composite
def _measures(draw: st.DrawFn, slices: Sequence[str | None] = (None,)) -> Measure:
    cap, floor = draw(CAPS), draw(FLOORS)
    if cap is not None and floor is not None and cap.at is not None and floor.at is not None and floor.at > cap.at:
        floor = None
    return Measure(
        events=draw(EVENTS),
        aggregation=draw(st.sampled_from(AGGREGATIONS)),
        zero_if_missing=draw(st.booleans()),
        cap=cap,
        floor=floor,
        slice_by=draw(st.sampled_from(slices)),
    )


def _bounds(numbers: Sequence[float], percentiles: Sequence[float]) -> st.SearchStrategy[Bound | None]:
    of_values = st.builds(Bound, percentile=st.sampled_from(percentiles), of_nonzero=st.booleans())
    return st.one_of(st.none(), st.none(), st.builds(Bound, at=st.sampled_from(numbers)), of_values)


CAPS = _bounds((0, 1, 2.5, 4, 1000), (50.5, 66.7, 75, 90, 99.5))
FLOORS = _bounds((-1, 0, 0.5, 2), (0.5, 10, 25, 49.5))
CONDITIONS = _conditions()
STARTS = (NO_TIME, HOUR, DAY)
EVENTS = _events((NO_TIME, *STARTS), (None, None, *LENGTHS))
MEASURES = _measures()
SLICED = _measures((None, None, "metadata.category", "traits.country"))
STEPS = _events((NO_TIME,), (None,))
QS = st.sampled_from((0.5, 0.1, 0.9, 0.25, 0.99, 0.333))
STATISTICS: st.SearchStrategy[Statistic] = st.one_of(
    st.builds(Mean, SLICED, st.sampled_from((None, None, None, *LENGTHS))),
    st.builds(Mean, SLICED),
    st.builds(Ratio, MEASURES, MEASURES),
    st.builds(Quantile, QS, MEASURES),
    st.builds(Quantile, QS, EVENTS),
    st.builds(Retention, st.builds(Measure, _events(STARTS, LENGTHS), st.just("occurrence"))),
    st.builds(Funnel, st.lists(STEPS, min_size=2, max_size=4).map(tuple), st.sampled_from((None, HOUR, DAY))),
)


@st.composite
def _metrics(draw: st.DrawFn, number: int) -> Metric:
    metric = Metric(number, draw(STATISTICS))
    has_end = any(events.end is not None for events in metric.events)
    return replace(metric, complete=isinstance(metric.statistic, Retention) or (has_end and draw(st.booleans())))


def _named(names: st.SearchStrategy[str], contents: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.builds(lambda name, content: f"{json.dumps(name, ensure_ascii=False)}: {content}", names, contents)


def _objects() -> st.SearchStrategy[str | None]:
    """Traits or metadata: none, or a few members, of which two may have one name."""
    literal = st.sampled_from((*LITERALS, *map(json.dumps, CATEGORIES[:3])))
    inner = _named(st.sampled_from(("paid", "seats", "0", "DE", "c d", "")), literal | st.just('{"deep": 5}'))
    nested = st.builds("{{{}}}".format, inner)
    listed = st.builds("[{{{}}}]".format, inner)
    names = st.sampled_from((*["plan"] * 3, *["category"] * 3, *HARD, "plan.paid"))
    country = _named(st.just("country"), st.sampled_from(FEW))
    members = st.lists(country | _named(names, st.one_of(literal, literal, nested, listed)), max_size=3)
    written_members = st.builds(lambda texts: "{" + ", ".join(texts) + "}", members)
    return st.one_of(written_members, written_members, written_members, st.sampled_from((None, "null")))


PROPERTIES = st.fixed_dictionaries({"traits": _objects(), "metadata": _objects()})
EVENT_IDS = st.sampled_from((None, None, '"x"'))


def _exposures() -> st.SearchStrategy[Record]:
    return st.builds(
        lambda who, after, arm, event_id, properties: (
            _record(who, after) | AS_EXPOSURE | {"value": arm or _arm_of(who), "event_id": event_id} | properties
        ),
        st.sampled_from(IDENTIFIERS),
        st.sampled_from(EXPOSED_AFTER),
        st.sampled_from((*[None] * 12, *map(json.dumps, ARMS))),
        EVENT_IDS,
        PROPERTIES,
    )


EXPOSURES = _exposures()


def _arm_of(identifier: str) -> str:
    return json.dumps(ARMS[IDENTIFIERS.index(identifier) % 3])


def _conversions(length: timedelta) -> st.SearchStrategy[Record]:
    times = [after + tick for after in (*HAPPENS_AFTER, *HAPPENS_AFTER, length) for tick in ONE_PLACE]
    return st.builds(
        lambda who, after, event, value, event_id, properties: (
            _record(who, after) | {"event": json.dumps(event), "value": value, "event_id": event_id} | properties
        ),
        st.sampled_from(IDENTIFIERS),
        st.sampled_from(times),
        st.sampled_from(NAMES),
        st.sampled_from(VALUES),
        EVENT_IDS,
        PROPERTIES,
    )


@st.composite
def _crowd(draw: st.DrawFn) -> list[Record]:
    """Enough identities for more values than are listed, and for percentiles that are no single value."""
    records: list[Record] = []
    for number in range(draw(st.sampled_from((24, 30, 60)))):
        category = f'{{"country": "{CATEGORIES[number % 23]}", "category": "{CATEGORIES[number * 2 % 23]}"}}'
        seen = _record(f"crowd-{number}", NO_TIME) | {"traits": category, "metadata": category}
        records.append(seen | AS_EXPOSURE | {"value": json.dumps(ARMS[number % 3])})
        bought = seen | {"value": json.dumps(NUMBERS[number % 10])}
        records.extend(bought | {"event": json.dumps(event)} for event in NAMES[: number % 3])
    return records


def _record(identifier: str, after: timedelta) -> Record:
    milliseconds = (STARTED_AT + after - EPOCH) // MILLISECOND
    return {"identifier": json.dumps(identifier, ensure_ascii=False), "timestamp": str(milliseconds)}
