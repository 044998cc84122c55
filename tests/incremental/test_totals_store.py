"""Totals on disk: sorted files, appended or written anew, few bytes per identity (rule I2)."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from experiment_pipeline.domain.measures import Aggregation
from experiment_pipeline.errors import ConfigurationError
from experiment_pipeline.warehouse.artifacts import ArtifactStore
from experiment_pipeline.warehouse.duckdb.event_scan import empty_kept
from experiment_pipeline.warehouse.duckdb.kept_aggregates import Asked, KeptAggregates
from experiment_pipeline.warehouse.duckdb.population import Population
from experiment_pipeline.warehouse.duckdb.readings import Reading, Tallied
from experiment_pipeline.warehouse.duckdb.resumed_scan import total_columns
from experiment_pipeline.warehouse.duckdb.tally import Piece, TimeSpan
from experiment_pipeline.warehouse.duckdb.totals_store import (
    Generation,
    TotalsFile,
    TotalsStore,
    frame_of_totals,
    may_append,
)
from experiment_pipeline.warehouse.refreshes import KnownScope

LOWEST, HIGHEST = -(2**63), 2**63 - 1
AT = datetime(2026, 3, 1, 12, 30, 0, 123_456, tzinfo=UTC)
GENERATION = Generation(KnownScope("code", "metrics", None, "lake", AT, AT, 3, 2), ("a",), {"t": [1, 2]}, 10, 1.5)
BYTES = 40  # per identity and measure at most
IDENTITIES = 20_000


@pytest.fixture
def store(tmp_path: Path) -> TotalsStore:
    return TotalsStore(ArtifactStore(tmp_path), "checkout-1", 2)


def rows_of(*hashes: int, events: int = 1) -> dict[str, np.ndarray]:
    return {"identity_hash": np.array(hashes), "0.events": np.full(len(hashes), events)}


def test_generation__published__is_read_as_it_was_with_times_to_the_microsecond(store: TotalsStore) -> None:
    file = store.append(frame_of_totals(rows_of(1, 5)), LOWEST, HIGHEST)
    kept = KeptAggregates(Asked("metrics", "exposures"), [{"n": 3, "mean": -0.1, "variant": "b", "largest": None}])
    published = replace(GENERATION, files=(file,), aggregates=kept)
    store.publish(published)
    assert store.generation() == published


def test_rows__of_a_range__are_those_with_such_hashes_file_by_file(store: TotalsStore) -> None:
    low = store.append(frame_of_totals(rows_of(-7, -5)), LOWEST, -1)
    high = store.append(frame_of_totals(rows_of(5, 7)), 0, HIGHEST)
    again = store.append(frame_of_totals(rows_of(7, events=9)), 0, HIGHEST)
    generation = replace(GENERATION, files=(low, high, again))
    store.publish(generation)
    found = [rows["identity_hash"].to_list() for rows in store.rows(generation, 6, HIGHEST)]
    assert found == [[7], [7]]
    assert [rows.rows() for rows in store.rows(generation, LOWEST, -1)] == [[(-7, 1), (-5, 1)]]


def test_publish__removes_the_files_of_the_last_generation_and_of_killed_refreshes(store: TotalsStore) -> None:
    first = store.append(frame_of_totals(rows_of(1)), LOWEST, HIGHEST)
    store.publish(replace(GENERATION, files=(first,)))
    store.append(frame_of_totals(rows_of(2)), LOWEST, HIGHEST)  # by a refresh that was killed
    assert store.generation() == replace(GENERATION, files=(first,))
    second = store.append(frame_of_totals(rows_of(3)), LOWEST, HIGHEST)
    store.publish(replace(GENERATION, files=(second,)))
    assert [path.name for path in store.folder.iterdir()] == [second.name]


def test_generation__of_another_format_or_without_its_files__is_none(store: TotalsStore) -> None:
    assert store.generation() is None
    file = store.append(frame_of_totals(rows_of(1)), LOWEST, HIGHEST)
    store.publish(replace(GENERATION, files=(file,)))
    text = store.path.read_text()
    store.path.write_text(text.replace('"format": 1', '"format": 2'))
    assert store.generation() is None
    store.path.write_text(text)
    (store.folder / file.name).unlink()
    assert store.generation() is None


def test_path__of_a_partition_key_that_is_none__is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError):
        _ = TotalsStore(ArtifactStore(tmp_path), "../elsewhere", 1).path


def test_append__is_for_few_rows_and_all_are_written_anew_once_they_are_many__i2() -> None:
    base = TotalsFile("base", 100, 1, LOWEST, HIGHEST)
    more = TotalsFile("more", 30, 1, LOWEST, HIGHEST)
    assert may_append([base], 50)
    assert not may_append([base], 51)
    assert may_append([base, more], 20)
    assert not may_append([base, more], 21)


@pytest.mark.parametrize("aggregation", ["occurrence", "count", "sum", "mean", "min", "max", "first", "last"])
def test_totals__of_prices__take_at_most_40_bytes_per_identity_and_measure__i2(
    store: TotalsStore, aggregation: str
) -> None:
    draw = np.random.default_rng(1)
    hashes = np.sort(draw.integers(LOWEST, HIGHEST, IDENTITIES))
    starts = draw.integers(0, 14 * 24 * 3600 * 1000, IDENTITIES) * 1000
    population = Population(hashes, starts, np.zeros(IDENTITIES, np.int64), 1)
    request = Tallied("purchase", (), TimeSpan())
    kept = empty_kept(population, Reading("purchase", {request: frozenset([Aggregation(aggregation)])}))
    who = np.sort(draw.integers(0, IDENTITIES, IDENTITIES * 5))
    price = draw.integers(100, 20_000, len(who)) / 100
    at = draw.integers(0, 14 * 24 * 3600 * 1000, len(who)) * 1000
    piece = Piece(population, {"identity_hash": hashes[who], "at_us": at, "number": price})
    for tally in kept.values():
        tally.add(piece)
    file = store.append(frame_of_totals(total_columns(population, kept, {request: 0}, 0)), LOWEST, HIGHEST)
    assert file.bytes / IDENTITIES <= BYTES
