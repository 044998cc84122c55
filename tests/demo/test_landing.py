"""The landing files: the same every time, and with the troubles that they announce."""

import gzip
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from experiment_pipeline.demo.landing import BAD_REASONS, Generated, generate
from experiment_pipeline.demo.simulation import SIMULATIONS
from experiment_pipeline.domain.events import EXPOSURE_EVENT
from experiment_pipeline.errors import Conflict
from tests.reference.events import Batch, Event, LandingObject, ingest, parse_object


@pytest.fixture(scope="module")
def landing(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Generated]:
    directory = tmp_path_factory.mktemp("landing")
    return directory, generate(directory)


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


def test_generate__same_seed__same_bytes(landing: tuple[Path, Generated], tmp_path: Path) -> None:
    directory, generated = landing
    assert generate(tmp_path) == generated
    ours, theirs = (
        {path.relative_to(root): path.read_bytes() for path in root.rglob("*") if path.is_file()}
        for root in (directory, tmp_path)
    )
    assert ours == theirs
    assert len(ours) == generated.objects


def test_generate__again__writes_nothing(landing: tuple[Path, Generated]) -> None:
    directory, generated = landing
    before = {path: path.stat().st_mtime_ns for path in directory.rglob("*")}
    assert generate(directory) == generated
    with pytest.raises(Conflict, match="holds other events"):
        generate(directory, seed=1)
    assert {path: path.stat().st_mtime_ns for path in directory.rglob("*")} == before


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
