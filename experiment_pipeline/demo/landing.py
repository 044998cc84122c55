"""The demo's landing objects, as a collector of the SDKs writes them: gzip files of `{"events": [...]}` lines (E1).

They have the faults of real deliveries: some events come again in a later file, some come days late, none in the order
in which they happened, and some records are bad.
"""

import gzip
import json
import math
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from experiment_pipeline.demo.shop import SEGMENTS
from experiment_pipeline.demo.simulation import (
    PAGE_VIEWED,
    PURCHASED,
    SIMULATIONS,
    Simulation,
    draw,
)
from experiment_pipeline.domain.events import EXPOSURE_EVENT, MILLISECOND
from experiment_pipeline.errors import Conflict

ENVIRONMENT = "demo"
DECLARATIONS = Path(__file__).with_name("experiments.yaml")
SEED = 2008

REDELIVERED = 0.02
LATE = 0.03
BAD = 0.002
USUAL_DELAY = timedelta(minutes=10)  # at most, from the event to the collector
LATE_BY = timedelta(days=4)  # at most
WRITTEN_EVERY = timedelta(hours=6)
FIRST_DELIVERY_UNTIL = datetime(2026, 1, 30, tzinfo=UTC)  # the rest comes after a first look at what runs
RECORDS_PER_FILE = 2_000
RECORDS_PER_LINE = 25  # what an SDK sends at once
SDK = {"sdk_version": "demo"}
PRODUCT_PAGE, OTHER_PAGE = SDK | {"page": "product"}, SDK | {"page": "other"}

DEFECTS: dict[str, dict[str, object]] = {  # by reason of rule E3: the fields that make a good record a bad one
    "missing_field:identifier": {"identifier": None},
    "bad_type:identifier": {"identifier": 47.11},
    "empty:value": {"event": EXPOSURE_EVENT, "feature_name": "checkout_flow", "value": ""},
    "reserved_event": {"event": "$pageview"},
    "bad_timestamp": {"timestamp": "yesterday"},
    "timestamp_too_old": {"timestamp": 0},
    "timestamp_in_future": {"timestamp": 4_102_444_800_000},
    "environment_mismatch": {"environment_key": "staging"},
}
BAD_REASONS = ("not_json", "not_an_object", *DEFECTS)


@dataclass(frozen=True, slots=True)
class Generated:
    """The generated landing objects, counted.

    objects:     files
    delivered:   all records in them, bad ones and redeliveries included
    redelivered: events delivered a second time
    late:        events delivered up to `LATE_BY` after they happened
    bad:         bad records, by reason
    """

    objects: int
    delivered: int
    redelivered: int
    late: int
    bad: dict[str, int]


@dataclass(frozen=True, slots=True)
class _Records:
    """Records as JSON, and the time of each, epoch ms."""

    json: NDArray[np.object_]
    at: NDArray[np.int64]

    @classmethod
    def of(cls, records: list[str], at: NDArray[np.int64] | list[int]) -> "_Records":
        return cls(np.array(records, dtype=np.object_), np.array(at, dtype=np.int64))

    def __len__(self) -> int:
        return len(self.json)

    def __add__(self, other: "_Records") -> "_Records":
        return _Records(np.concatenate([self.json, other.json]), np.concatenate([self.at, other.at]))


@dataclass(frozen=True, slots=True)
class _Arrivals:
    """The records that the collector of one environment received, in no order."""

    records: _Records
    redelivered: int
    late: int
    bad: Counter[str]


@dataclass(frozen=True, slots=True)
class Deliveries:
    """Everything that the collector writes: the objects' contents by name, oldest first, and what is in them."""

    objects: Mapping[str, bytes]
    generated: Generated

    def write(self, landing_dir: Path, landed_before: datetime | None = None) -> None:
        """Write every landing object that does not exist yet, or of these what landed before a moment.

        Raises:
            Conflict: an object exists with other content; nothing is written, landing objects are immutable (E7).
        """
        end = None if landed_before is None else _folder(ENVIRONMENT, landed_before)
        delivered = [name for name in self.objects if end is None or name < end]
        missing = [name for name in delivered if not _already_written(landing_dir / name, self.objects[name])]
        for name in missing:
            _write(landing_dir / name, self.objects[name])


def generate(seed: int = SEED) -> Deliveries:
    """Return the deliveries of all simulations; the same seed gives the same objects."""
    shop = _Records.of([], [])
    for simulation in SIMULATIONS:
        shop += _simulated(simulation, seed)
    arrivals = _arrivals(ENVIRONMENT, shop, seed)
    objects = dict(_objects(ENVIRONMENT, arrivals.records))
    generated = Generated(
        objects=len(objects),
        delivered=len(arrivals.records),
        redelivered=arrivals.redelivered,
        late=arrivals.late,
        bad=dict(arrivals.bad),
    )
    return Deliveries(objects, generated)


def _simulated(simulation: Simulation, seed: int) -> _Records:
    """Return every event of one simulation with its time."""
    variants = [arm.variant for arm in simulation.arms]
    outcome = draw(simulation, seed)
    segments, traits = outcome.segment.tolist(), [segment.traits for segment in SEGMENTS]
    records: list[dict[str, object]] = []
    at: list[int] = []
    for event, stream in outcome.streams.items():
        is_exposure, decimals = event == EXPOSURE_EVENT, 2 if event == PURCHASED else 0
        rows = zip(stream.identity.tolist(), stream.timestamp.tolist(), stream.value.tolist(), strict=True)
        for identity, timestamp, number in rows:
            record = _record(event, f"{simulation.key}-{identity:05d}", timestamp)
            if is_exposure:
                record["feature_name"], record["value"] = simulation.feature, variants[int(number)]
                record["traits"] = traits[segments[identity]]
            elif not math.isnan(number):
                record["value"] = f"{number:.{decimals}f}"
            records.append(record)
        at += stream.timestamp.tolist()
        if stream.of_product is not None:
            for record, of_product in zip(records[-len(stream.of_product) :], stream.of_product.tolist(), strict=True):
                record["metadata"] = PRODUCT_PAGE if of_product else OTHER_PAGE
    return _Records.of([json.dumps(record) for record in records], at)


def _record(
    event: str, identifier: str, timestamp: int, feature_name: str | None = None, value: str | None = None
) -> dict[str, object]:
    """Return a record as the SDKs send it."""
    return {
        "event": event,
        "feature_name": feature_name,
        "identifier": identifier,
        "value": value,
        "traits": None,
        "metadata": SDK,
        "timestamp": timestamp,
    }


def _bad_record(reason: str, timestamp: int) -> str:
    good = _record(PAGE_VIEWED, "somebody", timestamp, value="640")
    match reason:
        case "not_json":
            return json.dumps(good)[:50]  # cut off on the way
        case "not_an_object":
            return '"ping"'
        case _:
            return json.dumps(good | DEFECTS[reason])


def _arrivals(environment_key: str, happened: _Records, seed: int) -> _Arrivals:
    """Return the records with their times of arrival, some of them twice, bad ones among them."""
    rng = np.random.default_rng([seed, *environment_key.encode()])
    late = rng.random(len(happened)) < LATE
    delay = _up_to(rng, USUAL_DELAY, len(happened)) + np.where(late, _up_to(rng, LATE_BY, len(happened)), 0)
    first = _Records(happened.json, happened.at + delay)

    repeated = rng.choice(len(first), size=round(REDELIVERED * len(first)), replace=False)
    again = _Records(first.json[repeated], first.at[repeated] + _up_to(rng, LATE_BY, len(repeated)))

    moments = rng.choice(first.at, size=round(BAD * len(first)))
    reasons = [BAD_REASONS[number % len(BAD_REASONS)] for number in range(len(moments))]
    bad = [_bad_record(reason, moment) for reason, moment in zip(reasons, moments.tolist(), strict=True)]

    records = first + again + _Records.of(bad, moments)
    order = rng.permutation(len(records))
    shuffled = _Records(records.json[order], records.at[order])
    return _Arrivals(shuffled, redelivered=len(again), late=int(late.sum()), bad=Counter(reasons))


def _objects(environment_key: str, arrived: _Records) -> Iterator[tuple[str, bytes]]:
    """Yield names and contents: a file or more for every `WRITTEN_EVERY`, its records in the order given."""
    every = WRITTEN_EVERY // MILLISECOND
    slot = arrived.at // every
    for each in np.unique(slot).tolist():
        landed_at = datetime.fromtimestamp((each + 1) * every / 1000, tz=UTC)
        folder = _folder(environment_key, landed_at)
        records = arrived.json[slot == each].tolist()
        for number, start in enumerate(range(0, len(records), RECORDS_PER_FILE)):
            content = "".join(f"{line}\n" for line in _lines(records[start : start + RECORDS_PER_FILE]))
            yield f"{folder}/{landed_at:%Y%m%dT%H%M%S.000Z}-{number}.jsonl.gz", content.encode()


def _folder(environment_key: str, landed_at: datetime) -> str:
    return f"events/env_key={environment_key}/{landed_at:%Y/%m/%d/%H}"


def _lines(records: list[str]) -> Iterator[str]:
    """Yield envelopes; a record that is not a JSON object has a line of its own."""
    whole = [record for record in records if record.endswith("}")]
    for start in range(0, len(whole), RECORDS_PER_LINE):
        yield f'{{"events": [{", ".join(whole[start : start + RECORDS_PER_LINE])}]}}'
    yield from (record for record in records if not record.endswith("}"))


def _already_written(path: Path, content: bytes) -> bool:
    """Return whether the object exists with this content. Raises Conflict when its content is another."""
    if not path.exists():
        return False
    if gzip.decompress(path.read_bytes()) != content:
        raise Conflict(f"{path} holds other events, and landing objects never change. Choose an empty directory.")
    return True


def _write(path: Path, content: bytes) -> None:
    """Make the object visible in one step."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.unfinished")
    unfinished.write_bytes(gzip.compress(content, compresslevel=6, mtime=0))
    unfinished.replace(path)


def _up_to(rng: np.random.Generator, duration: timedelta, size: int) -> NDArray[np.int64]:
    return rng.integers(0, duration // MILLISECOND, size=size)
