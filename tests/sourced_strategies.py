"""Hypothesis strategies: batches in which sources are read again, and rows supersede others or come twice."""

import json
from dataclasses import replace

from hypothesis import strategies as st

from tests.reference import events as reference_events
from tests.reference.events import EPOCH, MILLISECOND, LandingObject
from tests.strategies import (
    AS_EXPOSURE,
    DAY,
    ENVIRONMENTS,
    HOUR,
    LANDED_LATE,
    STARTED_AT,
    Record,
    Scenario,
    experiments,
    object_name,
    written,
)

KEY = ENVIRONMENTS[0]
SOURCES = ("orders", "assignments")
LINK = f'"{reference_events.LINK}"'
PEOPLE = tuple(f'"user-{number}"' for number in range(8))
TIMES = (STARTED_AT, STARTED_AT + HOUR, STARTED_AT + DAY, STARTED_AT - 40 * DAY)  # the last one is of another month
KINDS = ("sender", "append", "append", "latest", "latest", "again", "again latest")


@st.composite
def sourced_scenarios(draw: st.DrawFn) -> Scenario:
    """Up to six batches; each has objects of a sender and of sources, or a range that replaces its source."""
    batches = draw(st.lists(_batches(), min_size=2, max_size=6))
    numbered = [[_numbered(one, batch, at) for at, one in enumerate(objects)] for batch, objects in enumerate(batches)]
    return Scenario(numbered, draw(experiments(len(batches))))


@st.composite
def _batches(draw: st.DrawFn) -> list[LandingObject]:
    kinds = draw(st.lists(st.sampled_from(KINDS), min_size=1, max_size=3))
    again = [kind for kind in kinds if kind.startswith("again")]
    return [draw(_objects(kind)) for kind in (again[:1] or kinds)]  # such a range is a batch of its own


@st.composite
def _objects(draw: st.DrawFn, kind: str) -> LandingObject:
    lines = draw(st.lists(_rows().map(written), min_size=1, max_size=12))
    one = LandingObject("", KEY, LANDED_LATE, b"\n".join(lines))
    if kind == "sender":
        return one
    cursors = st.lists(st.integers(1, 6), min_size=len(lines), max_size=len(lines)).map(tuple)
    return replace(
        one,
        source=draw(st.sampled_from(SOURCES)),
        replaces=kind.startswith("again"),
        cursors=draw(cursors) if kind.endswith("latest") else (),
    )


@st.composite
def _rows(draw: st.DrawFn) -> Record:
    """One of few rows, so that the same ones come again, and others with their event ids."""
    record: Record = {
        "identifier": draw(st.sampled_from(PEOPLE)),
        "timestamp": str((draw(st.sampled_from(TIMES)) - EPOCH) // MILLISECOND),
        "event_id": draw(st.sampled_from((None, '"1"', '"2"', '"3"', '"4"'))),
        "traits": draw(st.sampled_from((None, '{"plan":"pro"}', '{"plan":"free"}'))),
    }
    kind = draw(st.sampled_from(("exposure", "exposure", "metric event", "metric event", "link")))
    if kind == "link":  # of people who have events, too: to several, to one who is linked, and to themselves
        return record | {"event": LINK, "value": draw(st.sampled_from(PEOPLE))}
    if kind == "exposure":
        return record | AS_EXPOSURE | {"value": json.dumps(draw(st.sampled_from(("control", "b"))))}
    return record | {"event": '"purchase"', "value": json.dumps(draw(st.sampled_from(("1", "2.5", "free"))))}


def _numbered(one: LandingObject, batch: int, at: int) -> LandingObject:
    """Give an object its name: those of sources are Parquet files, in a folder of their range."""
    if one.source is None:
        return replace(one, name=object_name(KEY, one.landed_at, batch * 100 + at))
    folder = f"{'again-' if one.replaces else ''}v1-{batch:04}-{at}"
    return replace(one, name=f"events/env_key={KEY}/sources/{one.source}/{folder}/part-00000.parquet")
