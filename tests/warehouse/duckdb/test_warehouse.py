"""The embedded engine keeps the contract, over files and over the lake; its SQL changes only on purpose."""

import random
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from functools import cache
from importlib.resources import files
from itertools import count
from pathlib import Path

import duckdb
import polars as pl
import pytest
from syrupy.assertion import SnapshotAssertion

from experiment_pipeline.domain.event_files import EventFiles
from experiment_pipeline.domain.looks import LateAnalysis
from experiment_pipeline.domain.measures import Aggregation, Bound, Events, Measure
from experiment_pipeline.domain.metrics import Mean, Metric, Quantile, Statistic
from experiment_pipeline.lake.ingestion import ingest
from experiment_pipeline.lake.lake import Lake
from experiment_pipeline.warehouse.artifacts import ArtifactStore
from experiment_pipeline.warehouse.duckdb.earlier_refresh import FindEventFiles
from experiment_pipeline.warehouse.duckdb.statements import statement
from experiment_pipeline.warehouse.duckdb.warehouse import DuckDBWarehouse
from tests.lake.ledger import NOW, PROD, MemoryLedger, land, record
from tests.warehouse.audience_contract import AudienceContract
from tests.warehouse.contract import (
    ACCURACY,
    PURCHASE,
    STARTED_AT,
    Build,
    Event,
    WarehouseContract,
    aggregates,
    buckets,
    did,
    history,
    metric,
    scope,
    seen,
)
from tests.warehouse.late_contract import LateAnalysisContract, moved
from tests.warehouse.measures_contract import MeasuresContract
from tests.warehouse.preview_contract import PreviewContract, everybody, previewed
from tests.warehouse.self_check_contract import SelfCheckContract, checked, shoppers

STAGES = sorted(
    entry.name.removesuffix(".sql") for entry in files("experiment_pipeline.warehouse.duckdb").joinpath("sql").iterdir()
)
COLUMNS: dict[str, pl.DataType | type[pl.DataType]] = {
    "identity_hash": pl.Int64,
    "event": pl.String,
    "feature_name": pl.String,
    "value": pl.String,
    "numeric_value": pl.Float64,
    "timestamp": pl.Datetime("us", "UTC"),
    "batch": pl.Int64,
    "identifier": pl.String,
    "event_hash_high": pl.Int64,
    "event_hash_low": pl.Int64,
    "traits": pl.String,
    "metadata": pl.String,
    "event_id": pl.String,
    "landed_at": pl.Datetime("us", "UTC"),
}


DATABASES = count()


@cache
def in_memory(threads: int) -> duckdb.DuckDBPyConnection:
    """Return the DuckDB that holds a database of its own for each connection: opening one takes 15 ms."""
    return duckdb.connect(config={"threads": threads})


@pytest.fixture(scope="module", autouse=True)
def _closes_in_memory() -> Iterator[None]:
    yield
    in_memory.cache_clear()


def over(event_files: FindEventFiles, folder: Path, threads: int = 2) -> DuckDBWarehouse:
    @contextmanager
    def connect() -> Iterator[duckdb.DuckDBPyConnection]:
        name = f"database_{next(DATABASES)}"
        with in_memory(threads).cursor() as connection:
            connection.execute(f"attach ':memory:' as {name}; use {name}")
            yield connection
        in_memory(threads).execute(f"detach {name}")

    return DuckDBWarehouse(connect, event_files, ArtifactStore(folder))


@pytest.fixture
def build(tmp_path: Path) -> Build:
    numbers = count()

    def engine(*contents: Sequence[Event], threads: int = 2) -> DuckDBWarehouse:
        folder = tmp_path / str(next(numbers))
        folder.mkdir()
        paths = []
        for number, events in enumerate(contents):
            rows = [
                (
                    *(e.identity, e.event, e.feature, e.value, e.number, STARTED_AT + e.at, e.batch),
                    *(str(e.identity), *e.hash, e.traits, e.metadata, e.event_id, STARTED_AT + e.at + e.delay),
                )
                for e in events
            ]
            paths.append(str(folder / f"{number}.parquet"))
            pl.DataFrame(rows, schema=COLUMNS, orient="row").write_parquet(paths[-1])
        return over(lambda *_: EventFiles(paths, []), folder / "artifacts", threads)

    return engine


class TestDuckDB(
    WarehouseContract, MeasuresContract, AudienceContract, LateAnalysisContract, PreviewContract, SelfCheckContract
):
    """Over files of the test's own."""


@pytest.mark.parametrize("stage", STAGES)
def test_statement__of_each_stage__changes_only_on_purpose(stage: str, snapshot: SnapshotAssertion) -> None:
    sql = statement(stage)
    assert sql == snapshot
    assert re.search(r"\{\w*\}", sql) is None, "values are bound, never pasted"


def test_buckets__start_in_utc_whatever_the_machines_time_zone__x4(
    build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TZ", "Asia/Kolkata")
    engine = build([seen(1, "b")])
    engine.write_first_exposures(scope())
    (bucket,) = engine.exposure_buckets(scope()).rows["bucket"].to_list()
    assert isinstance(bucket, datetime)
    assert bucket.isoformat() == "2026-03-01T23:00:00+00:00"


def test_first_exposures__whose_query_fails__keep_the_last_good_artifact(build: Build, tmp_path: Path) -> None:
    engine = build([seen(1, "b")])
    engine.write_first_exposures(scope())
    assert isinstance(engine, DuckDBWarehouse)
    torn = tmp_path / "torn.parquet"
    torn.write_bytes(b"torn")
    failing = DuckDBWarehouse(engine.connect, lambda *_: EventFiles([str(torn)], []), engine.artifacts)
    with pytest.raises(duckdb.Error):
        failing.write_first_exposures(scope(data_version=9))
    assert engine.variant_identities(scope()) == {"b": 1}
    assert engine.stamp("checkout-1").data_version == 1
    assert engine.artifacts.orphans() == []


def test_lake__of_redelivered_shuffled_and_split_events__gives_equal_results__x5(tmp_path: Path) -> None:
    """By way of the landing zone: every record comes twice, in another order, over several objects and batches."""
    records = [
        record(
            event=event.event,
            feature_name=event.feature,
            identifier=str(event.identity),
            value=event.value or "no number",
            timestamp=(STARTED_AT + event.at).isoformat(timespec="milliseconds"),
        )
        for event in history()
    ]
    now = NOW.replace(day=5)

    def ingested(name: str, *objects: list[dict[str, object]]) -> DuckDBWarehouse:
        folder, ledger = tmp_path / name, MemoryLedger()
        lake = Lake(folder / "lake")
        for number, content in enumerate(objects):
            land(folder / "landing", content, name=f"20260305T110000Z-{number}.jsonl.gz", environment=PROD)
            ingest(lake, ledger, folder / "landing", now)
        return over(lake.event_files, folder / "artifacts")

    twice = [*records, *records]
    random.Random(1).shuffle(twice)
    plain, torn = ingested("plain", records), ingested("torn", twice[:700], twice[700:900], twice[900:])
    kinds = tuple(metric(number, kind) for number, kind in enumerate(Aggregation, start=1))
    one, three = scope(data_version=1), scope(data_version=3)
    assert sum(row["n"] for row in aggregates(plain, one, *kinds)) > 1000
    assert buckets(torn, three) == buckets(plain, one)
    for row, wanted in zip(aggregates(torn, three, *kinds), aggregates(plain, one, *kinds), strict=True):
        for number in ("mean", "m2"):
            assert row.pop(number) == pytest.approx(wanted.pop(number), rel=ACCURACY, abs=0)
        assert row == wanted


@pytest.mark.parametrize("most", [1, 2])
def test_late_analysis__compared_range_by_range__is_that_of_all_at_once__r9(
    build: Build, monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    monkeypatch.setattr("experiment_pipeline.warehouse.duckdb.population.MOST_IDENTITIES", most)
    spread = [(number - 4) * 2**60 for number in range(9)]  # hashes over the whole range
    first = [event for who in spread for event in (seen(who, "b"), did(who, 5))]
    assert moved(build, [did(who, 4) for who in spread[1:7]], first=first) == LateAnalysis(6, 0, 6)


@pytest.mark.parametrize(("most", "identities"), [(1, 40), (40, 400)])
def test_aggregates__tallied_range_by_range__are_those_of_all_at_once__x5(
    build: Build, monkeypatch: pytest.MonkeyPatch, most: int, identities: int
) -> None:
    engine = build(history(identities))
    purchases = Events(PURCHASE)
    capped = Mean(Measure(purchases, Aggregation.SUM, cap=Bound(percentile=90, of_nonzero=True)))
    kept: tuple[Statistic, ...] = (capped, Quantile(0.9, capped.measure), Quantile(0.5, purchases))
    kinds = (
        *(metric(number, kind) for number, kind in enumerate(Aggregation, start=1)),
        *(Metric(number, "prod", "kept", statistic) for number, statistic in enumerate(kept, start=100)),
    )
    wanted = aggregates(engine, scope(), *kinds)
    monkeypatch.setattr("experiment_pipeline.warehouse.duckdb.population.MOST_IDENTITIES", most)
    for row, expected in zip(aggregates(engine, scope(), *kinds), wanted, strict=True):
        known = [name for name in ("mean", "m2") if expected[name] is not None]
        near = {name: pytest.approx(expected[name], rel=ACCURACY, abs=0) for name in known}
        assert row == expected | near


@pytest.mark.parametrize("most", [40, 150])
def test_self_check__range_by_range__is_that_of_all_at_once__x5(
    build: Build, monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    capped = Mean(Measure(Events(PURCHASE), Aggregation.SUM, cap=Bound(percentile=90)))
    kinds = metric(1, Aggregation.SUM), metric(2, Aggregation.OCCURRENCE), Metric(3, "prod", "capped", capped)
    engine = build(shoppers()[0])
    wanted = checked(engine, *kinds)
    monkeypatch.setattr("experiment_pipeline.warehouse.duckdb.population.MOST_IDENTITIES", most)
    assert checked(engine, *kinds) == wanted


@pytest.mark.parametrize(("most", "identities"), [(1, 40), (40, 400)])
def test_preview__range_by_range__is_that_of_all_at_once_and_tells_how_far_it_is__x5(
    build: Build, monkeypatch: pytest.MonkeyPatch, most: int, identities: int
) -> None:
    engine = build(history(identities))
    purchases = Events(PURCHASE)
    spent = Mean(Measure(purchases, Aggregation.SUM, cap=Bound(percentile=90)), covariate_before=timedelta(days=1))
    statistics: tuple[Statistic, ...] = (spent, Quantile(0.9, spent.measure), Quantile(0.5, purchases))
    wanted = [previewed(engine, everybody(), statistic) for statistic in statistics]
    monkeypatch.setattr("experiment_pipeline.warehouse.duckdb.population.MOST_IDENTITIES", most)
    for statistic, expected in zip(statistics, wanted, strict=True):
        told: list[tuple[int, int]] = []
        found = engine.preview_metric(
            everybody(), Metric(1, "prod", "m", statistic), lambda *done, told=told: told.append(done)
        )
        assert found is not None
        assert (found.values, found.second_values) == (expected.values, expected.second_values)
        assert found.aggregates.quantiles == expected.aggregates.quantiles
        assert found.aggregates.bounds == expected.aggregates.bounds
        assert told[0] == (0, expected.identities)
        assert told[-1] == (expected.identities, expected.identities)
        assert len(told) == 1 + -(-expected.identities // most)
