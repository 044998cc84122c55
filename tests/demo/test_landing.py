"""The landing files: the same every time, and with the troubles that they announce."""

import gzip
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from experiment_pipeline.demo.landing import BAD_REASONS, FIRST_DELIVERY_UNTIL, Deliveries, Generated, generate
from experiment_pipeline.demo.simulation import SIMULATIONS
from experiment_pipeline.domain.events import EXPOSURE_EVENT
from experiment_pipeline.errors import Conflict
from tests.reference.events import Batch, Event, LandingObject, ingest, parse_object


@pytest.fixture(scope="module")
def deliveries() -> Deliveries:
    return generate()


@pytest.fixture(scope="module")
def landing(deliveries: Deliveries, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Generated]:
    directory = tmp_path_factory.mktemp("landing")
    deliveries.write(directory)
    return directory, deliveries.generated


@pytest.fixture(scope="module")
def ingested(landing: tuple[Path, Generated]) -> Batch:
    """Return the lake as the reference computes it."""
    (batch,) = ingest([list(landed(landing[0]))], environments=["demo"])
    return batch


def landed(directory: Path) -> Iterator[LandingObject]:
    for path in sorted(directory.rglob("*.jsonl.gz")):
        _, folder, *_ = path.relative_to(directory).parts
        landed_at = datetime.strptime(path.name.partition("-")[0], "%Y%m%dT%H%M%S.%fZ").replace(tzinfo=UTC)
        content = gzip.decompress(path.read_bytes())
        yield LandingObject(path.name, folder.removeprefix("env_key="), landed_at, content)


def test_generate__same_seed__same_bytes(deliveries: Deliveries) -> None:
    assert generate() == deliveries
    assert len(deliveries.objects) == deliveries.generated.objects


def test_generate__objects_come_oldest_first(deliveries: Deliveries) -> None:
    assert list(deliveries.objects) == sorted(deliveries.objects)


def test_write__again__writes_nothing(deliveries: Deliveries, landing: tuple[Path, Generated]) -> None:
    directory, _ = landing
    before = {path: path.stat().st_mtime_ns for path in directory.rglob("*")}
    assert len(deliveries.objects) == sum(path.is_file() for path in directory.rglob("*"))
    deliveries.write(directory)
    with pytest.raises(Conflict, match="holds other events"):
        Deliveries(dict.fromkeys(deliveries.objects, b"{}\n"), deliveries.generated).write(directory)
    assert {path: path.stat().st_mtime_ns for path in directory.rglob("*")} == before


def test_write__landed_before__leaves_the_rest_for_later(deliveries: Deliveries, tmp_path: Path) -> None:
    deliveries.write(tmp_path, landed_before=FIRST_DELIVERY_UNTIL)
    first = {each.landed_at for each in landed(tmp_path)}
    deliveries.write(tmp_path)
    everything = {each.landed_at for each in landed(tmp_path)}
    assert max(first) < FIRST_DELIVERY_UNTIL <= min(everything - first)


def test_generate__size_and_shares(landing: tuple[Path, Generated], ingested: Batch) -> None:
    _, generated = landing
    identities = {event.identifier for event in ingested.new if event.event == EXPOSURE_EVENT}
    assert len(identities) == sum(simulation.identities for simulation in SIMULATIONS)
    assert 190_000 < len(ingested.new) < 210_000
    assert ingested.duplicates == generated.redelivered == pytest.approx(0.02 * len(ingested.new), rel=0.01)
    assert generated.late == pytest.approx(0.03 * len(ingested.new), rel=0.1)


def test_generate__bad_records__are_rejected_for_their_reason(landing: tuple[Path, Generated], ingested: Batch) -> None:
    _, generated = landing
    assert Counter(rejected.reason for rejected in ingested.rejected) == generated.bad
    assert set(generated.bad) == set(BAD_REASONS)
    assert min(generated.bad.values()) >= 10
    assert generated.delivered == len(ingested.new) + ingested.duplicates + len(ingested.rejected)


def test_generate__events_come_out_of_order_and_late(landing: tuple[Path, Generated]) -> None:
    largest = max(landed(landing[0]), key=lambda landing_object: len(landing_object.content))
    happened = [record.timestamp for record in parse_object(largest) if isinstance(record, Event)]
    assert happened != sorted(happened)
    assert max(happened) < largest.landed_at
    assert largest.landed_at - min(happened) > timedelta(days=1)
