"""Hypothesis strategies: landing objects in batches, and an experiment that looks at them.

Pools are small, so that records collide: the same identity in two variants, the same event in two batches, an event
exactly at the end of a window. Records are kept as JSON literals, since `1`, `1.0` and `"1"` are not the same text.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta, timezone

from hypothesis import strategies as st

from tests.reference.events import EPOCH, EXPOSURE, MILLISECOND, LandingObject
from tests.reference.exposures import Experiment, Variant
from tests.reference.metrics import Metric, version_1

Record = dict[str, str | None]  # field -> JSON literal; None leaves the field out

ENVIRONMENTS = ("demo", "123")  # the known ones; the second must stay text (rule E8)
UNKNOWN_ENVIRONMENT = "nobody-made-me"
FEATURE = "checkout"
CROWDS = ("control", "b", "c", "h")  # identities enough for SRM and inference, named crowd-<variant>-<number>
IDENTIFIERS = ("a", "A", " a", "ünï", "crowd-control-0", "crowd-b-1")
SEEN_VARIANTS = (*map(json.dumps, ("control", "control", "b", "b", "c", "h", "unknown", "Control", "1")), "1")
EVENTS = ("purchase", "signup")

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
STARTED_AT = datetime(2026, 3, 1, 22, 30, 0, 250_000, tzinfo=UTC)
LENGTHS = (HOUR, 72 * HOUR, 72 * HOUR + MILLISECOND, 9 * DAY)  # rule X4 turns at 72 hours
METRIC_WINDOWS = (None, HOUR, 2 * DAY)
LANDED_EARLY = STARTED_AT - DAY  # an event at the start is just acceptable, one millisecond later it is not
LANDED_LATE = STARTED_AT + 30 * DAY  # accepts everything but what lies in the far future

VALUES = (  # rule E5, written as JSON
    *('"1"', '"2.5"', '"-3"', '"+3"', '".5"', '"5."', '"1e3"', '"1e-400"', '"-0"', "1", "1.0", "1E2", "-0.25", "null"),
    *('"1e400"', '" 1"', '"1 "', '"1\\n"', '"NaN"', '"inf"', '"0x10"', '"1_0"', '"1,5"', '"٣"', '""', "true", '"true"'),
)
EXACT_VALUES = ('"0.5"', '"2"', "10")  # sums of these never round, so equal samples have no variance at all

AS_EXPOSURE: Record = {"event": json.dumps(EXPOSURE), "feature_name": json.dumps(FEATURE), "value": '"b"'}
DEFECTS: dict[str, Record] = {  # reason -> what turns a good record into a bad one
    "missing_field:event": {"event": None},
    "missing_field:identifier": {"identifier": "null"},
    "missing_field:timestamp": {"timestamp": None},
    "missing_field:feature_name": AS_EXPOSURE | {"feature_name": "null"},
    "missing_field:value": AS_EXPOSURE | {"value": None},
    "bad_type:event": {"event": "1"},
    "bad_type:identifier": {"identifier": "7.0"},
    "bad_type:feature_name": {"feature_name": "true"},
    "bad_type:value": {"value": '{"a": 1}'},
    "bad_type:traits": {"traits": "[1]"},
    "bad_type:metadata": {"metadata": '"m"'},
    "empty:event": {"event": '""'},
    "empty:identifier": {"identifier": '""'},
    "empty:feature_name": AS_EXPOSURE | {"feature_name": '""'},
    "empty:value": AS_EXPOSURE | {"value": '""'},
    "too_long:identifier": {"identifier": json.dumps("x" * 2_001)},
    "too_long:value": {"value": json.dumps("x" * 65_536)},
    "reserved_event": {"event": '"$pageview"'},
    "bad_timestamp": {"timestamp": '"2026-02-30T00:00:00"'},
    "timestamp_without_zone": {"timestamp": '"2026-03-01T00:00:00"'},
    "timestamp_too_old": {"timestamp": "1577836799999"},
    "timestamp_in_future": {"timestamp": '"2100-01-01T00:00:00Z"'},
    "environment_mismatch": {"environment_key": '"elsewhere"'},
}
BROKEN_LINES = {
    "not_json": (b"{", b"nonsense", b'{"value": NaN}', b'{"event": "\xff"}', b"{} {}"),
    "not_an_object": (b"5", b'"text"', b"[1, 2]", b"null"),
}
BROKEN_RECORDS = (  # in an envelope; each leaves its neighbours as they are
    b'{"value": NaN}', b'{"event": "\xff"}', b'{"event": "a\tb"}', b"-Infinity", b"{'a': [1, {}]}",
    b'{"a": 01}', b"5", b"",
)  # fmt: skip


@dataclass(frozen=True)
class Scenario:
    """Landed objects, batch by batch, and one refresh over them."""

    batches: list[list[LandingObject]]
    experiment: Experiment


@st.composite
def scenarios(draw: st.DrawFn) -> Scenario:
    """A few objects in a few batches; every record comes in one to three of them, in any order."""
    batch_count = draw(st.integers(1, 3))
    experiment = draw(experiments(batch_count))
    batch_of = st.integers(0, batch_count - 1)
    further = draw(st.lists(st.tuples(_places(), batch_of), max_size=4))
    places = [(draw(_places()), batch) for batch in range(batch_count)] + further  # no object, no batch
    lines: list[list[bytes]] = [[] for _ in places]
    identifiers = draw(st.lists(st.sampled_from(IDENTIFIERS), min_size=1, max_size=3))
    for line in draw(st.lists(_lines(_records(_bounds(experiment), identifiers)), min_size=10, max_size=40)):
        for place in draw(st.lists(st.integers(0, len(places) - 1), min_size=1, max_size=3)):
            lines[place].append(line)
    for crowd in draw(st.sampled_from([(), CROWDS[:2], CROWDS[:2], CROWDS])):
        for part in draw(_crowds(crowd, [events.name for metric in experiment.metrics for events in metric.events])):
            places.append(((ENVIRONMENTS[0], LANDED_LATE), draw(batch_of)))
            lines.append(part)

    batches: list[list[LandingObject]] = [[] for _ in range(batch_count)]
    for number, (((environment_key, landed_at), batch), content) in enumerate(zip(places, lines, strict=True)):
        name = object_name(environment_key, landed_at, number)
        batches[batch].append(LandingObject(name, environment_key, landed_at, b"\n".join(content)))
    return Scenario(batches, experiment)


@st.composite
def experiments(draw: st.DrawFn, batch_count: int) -> Experiment:
    """An experiment of two or three arms, with or without a holdout, a variant without key or one without share."""
    metrics = draw(st.lists(_metrics(), min_size=1, max_size=3))
    return Experiment(
        environment_key=ENVIRONMENTS[0],
        feature=FEATURE,
        variants=draw(_variants()),
        metrics=[replace(metric, id=number) for number, metric in enumerate(metrics, start=1)],
        started_at=STARTED_AT,
        as_of=STARTED_AT + draw(st.sampled_from(LENGTHS)),
        data_version=draw(st.sampled_from([*range(batch_count + 1), *[batch_count] * 3])),
        multiple_exposures=draw(st.sampled_from(("exclude", "first"))),
        ignored_variants=draw(st.sampled_from(((), (), ("c", "nobody"), ("unknown",)))),
    )


def object_name(environment_key: str, landed_at: datetime, number: int) -> str:
    """Where an object lies below the landing zone."""
    folder = f"events/env_key={environment_key}/{landed_at:%Y/%m/%d/%H}"
    return f"{folder}/{landed_at:%Y%m%dT%H%M%S}.{landed_at.microsecond // 1000:03d}Z-{number:04d}.jsonl"


def written(record: Record) -> bytes:
    """One record as JSON."""
    fields = (f"{json.dumps(field)}: {literal}" for field, literal in record.items() if literal is not None)
    return ("{" + ", ".join(fields) + "}").encode()


def envelope(records: Iterable[Record]) -> bytes:
    """Records as the SDKs send them."""
    return enveloped(map(written, records))


def enveloped(texts: Iterable[bytes]) -> bytes:
    """Texts of records as the SDKs send them."""
    return b'{"events": [' + b", ".join(texts) + b"]}"


def _variants() -> st.SearchStrategy[Sequence[Variant]]:
    control = Variant("control", "control")
    return st.sampled_from(
        [
            (control, Variant("b", "treatment", 50)),
            (Variant("control", "control", 70), Variant("b", "treatment", 30)),
            (Variant("b", "treatment", 33.3), control, Variant("c", "treatment", 33.4)),
            (control, Variant("b", "treatment", 45), Variant("h", "holdout", 10)),
            (control, Variant("b", "treatment", 40), Variant("c", "treatment", 20), Variant("h", "holdout", 5)),
            (control, Variant("b", "treatment", 50), Variant("c", "treatment", 0)),
            (control, Variant("b", "treatment", 60), Variant(None, "treatment", 20)),
            (control, Variant("b", "treatment", 100)),
        ]
    )


def _metrics() -> st.SearchStrategy[Metric]:
    return st.builds(
        version_1,
        id=st.just(0),
        event=st.sampled_from(EVENTS),
        aggregation=st.sampled_from(("occurrence", "count", "sum", "mean")),
        direction=st.sampled_from(("up", "down", "informational")),
        window=st.sampled_from(METRIC_WINDOWS),
        expected=st.sampled_from(("increase", "decrease", "not_increase", "not_decrease")),
    )


def _places() -> st.SearchStrategy[tuple[str, datetime]]:
    """Environment and arrival of an object."""
    return st.tuples(
        st.sampled_from((*ENVIRONMENTS, *ENVIRONMENTS[:1] * 4, UNKNOWN_ENVIRONMENT)),
        st.sampled_from((*[LANDED_LATE] * 4, LANDED_EARLY)),
    )


def _bounds(experiment: Experiment) -> list[datetime]:
    """Where a window ends or a bucket turns."""
    started_at, as_of = experiment.started_at, experiment.as_of
    next_hour = started_at.replace(minute=0, second=0, microsecond=0) + HOUR
    windows = {events.end for metric in experiment.metrics for events in metric.events if events.end is not None}
    return [started_at, next_hour, as_of, *sorted(started_at + window for window in windows)]


def _lines(records: st.SearchStrategy[Record]) -> st.SearchStrategy[bytes]:
    return st.one_of(
        *[records.map(written)] * 6,
        st.lists(records, max_size=4).map(envelope),
        st.lists(records.map(written) | st.sampled_from(BROKEN_RECORDS), max_size=4).map(enveloped),
        st.sampled_from([line for lines in BROKEN_LINES.values() for line in lines] + [b"", b" \r"]),
    )


@st.composite
def _records(draw: st.DrawFn, bounds: list[datetime], identifiers: list[str]) -> Record:
    moment = draw(st.sampled_from(bounds)) + draw(st.sampled_from((0, 0, -1, 1))) * MILLISECOND
    as_iso = json.dumps(moment.astimezone(timezone(timedelta(hours=5, minutes=30))).isoformat(timespec="milliseconds"))
    record: Record = {
        "environment_key": draw(st.sampled_from((None, None, "null"))),
        "identifier": json.dumps(draw(st.sampled_from(identifiers)), ensure_ascii=draw(st.booleans())),
        "timestamp": draw(st.sampled_from((str(_milliseconds(moment)), as_iso))),
        "event_id": draw(st.sampled_from((None, None, "null", '""', '"x"'))),
        "traits": draw(st.sampled_from((None, "null", '{"plan": {"paid": true}}'))),
        "a_later_field": draw(st.sampled_from((None, "[1]"))),
    }
    if draw(st.booleans()):
        record |= AS_EXPOSURE | {"value": draw(st.sampled_from(SEEN_VARIANTS))}
        record["feature_name"] = draw(st.sampled_from((*[AS_EXPOSURE["feature_name"]] * 5, '"banner"')))
    else:
        record |= {"event": json.dumps(draw(st.sampled_from(EVENTS))), "value": draw(st.sampled_from(VALUES))}
        record["feature_name"] = draw(st.sampled_from((None, "null", '""', '"checkout"')))
    if draw(st.integers(0, 7)) == 7:
        record |= DEFECTS[draw(st.sampled_from(sorted(DEFECTS)))]
    return record


@st.composite
def _crowds(draw: st.DrawFn, variant: str, events: list[str]) -> list[list[bytes]]:
    """Many identities of one variant around the floors of inference: their exposures, then their conversions."""
    size = draw(st.sampled_from((49, 50, 60, 90)))
    converting = draw(st.sampled_from((0, 4, 5, 5, 6, 30, 90)))
    event, value = draw(st.sampled_from(events)), draw(st.sampled_from(EXACT_VALUES))
    event_ids = draw(st.sampled_from(((None,), ('"x"', '"y"'))))
    delay = draw(st.sampled_from((timedelta(0), HOUR - MILLISECOND, HOUR)))
    exposures: list[Record] = []
    conversions: list[Record] = []
    for number in range(size):
        who: Record = {"identifier": f'"crowd-{variant}-{number}"', "timestamp": str(_milliseconds(STARTED_AT))}
        exposures.append(who | AS_EXPOSURE | {"value": json.dumps(variant)})
        if number < converting:
            who["timestamp"] = str(_milliseconds(STARTED_AT + delay))
            bought = who | {"event": json.dumps(event), "value": value}
            conversions += [bought | {"event_id": event_id} for event_id in event_ids]
    return [[envelope(exposures)], list(map(written, conversions))]


def _milliseconds(moment: datetime) -> int:
    return (moment - EPOCH) // MILLISECOND
