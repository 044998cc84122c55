"""Batched refreshes against single ones over random histories of several experiments (rules N8, X5)."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import duckdb
import pytest

from experiment_pipeline.domain.exposures import Window
from experiment_pipeline.domain.measures import Aggregation, Events, Measure
from experiment_pipeline.domain.metrics import Mean, Metric
from experiment_pipeline.errors import ArtifactMissing
from experiment_pipeline.warehouse.base import WantedAggregates, Warehouse
from experiment_pipeline.warehouse.duckdb import shared_scan
from experiment_pipeline.warehouse.refreshes import RefreshMode, SharedScan
from tests.incremental.batches import BatchHistory
from tests.incremental.histories import DAY, STARTED_AT
from tests.lake.ledger import PROD

METRICS = (
    Metric(1, PROD, "orders", Mean(Measure(Events("purchase"), Aggregation.COUNT))),
    Metric(2, PROD, "revenue", Mean(Measure(Events("purchase"), Aggregation.SUM))),
    Metric(3, PROD, "views", Mean(Measure(Events("view"), Aggregation.OCCURRENCE))),
)


def counted(seeds: range, refreshes: int, folder: Path) -> Counter[str]:
    """Live through histories, and count how their refreshes were computed."""
    counts = Counter[str]()
    for seed in seeds:
        history = BatchHistory(seed, folder / str(seed), refreshes)
        history.run()
        counts += history.counts
    return counts


def test_batches__of_a_random_history__equal_single_refreshes_to_the_last_bit__n8_x5(tmp_path: Path) -> None:
    counts = counted(range(1), 3, tmp_path)
    assert counts["full, shared"] + counts["incremental, shared"] > 0


@pytest.mark.slow
def test_batches__of_20_random_histories__equal_single_refreshes_to_the_last_bit__n8_x5(tmp_path: Path) -> None:
    counts = counted(range(100, 120), 5, tmp_path)
    assert counts["full, shared"] > 50
    assert counts["incremental, shared"] > 50


@pytest.fixture(scope="module")
def landed(tmp_path_factory: pytest.TempPathFactory) -> BatchHistory:
    """Several experiments over some events, with their first exposures."""
    history = BatchHistory(4, tmp_path_factory.mktemp("landed"), 1)
    history.now = STARTED_AT + 2 * DAY
    for _ in range(3):
        history.land()
    return history


@pytest.fixture
def wanted(landed: BatchHistory) -> list[WantedAggregates]:
    """The aggregates that each of them asks for, as of one moment."""
    window = Window(STARTED_AT, landed.now)
    scopes = [replace(scope, window=window, data_version=3) for scope, _ in landed.experiments]
    for scope in scopes:
        landed.engine.write_first_exposures(scope)
    return [WantedAggregates(scope, METRICS, RefreshMode.FULL) for scope in scopes]


def rows(engine: Warehouse, each: WantedAggregates) -> str:
    return repr(engine.variant_aggregates(each.scope, each.metrics).rows.to_dicts())


def shared_by(engine: Warehouse, wanted: list[WantedAggregates]) -> list[SharedScan | None]:
    return [engine.variant_aggregates(each.scope, each.metrics).refresh.shared for each in wanted]


def test_batch__of_several_experiments__reads_each_kind_of_event_once__n8(
    landed: BatchHistory, wanted: list[WantedAggregates]
) -> None:
    of_window = landed.engine.event_files(PROD, wanted[0].scope.window, 3).events
    with duckdb.connect() as connection:
        events = connection.execute(
            "select count(*) from read_parquet($files) where event in ('purchase', 'view') and batch <= 3 "
            "and timestamp >= $started_at and timestamp < $as_of",
            {"files": of_window, "started_at": STARTED_AT, "as_of": landed.now},
        ).fetchone()
    with landed.engine.sharing(wanted) as engine:
        found = shared_by(engine, wanted)
    assert events is not None
    assert found == [SharedScan(len(wanted), len(of_window), events[0])] * len(wanted)


def test_batch__of_one_experiment__shares_nothing__n8(landed: BatchHistory, wanted: list[WantedAggregates]) -> None:
    with landed.engine.sharing(wanted[:1]) as engine:
        assert shared_by(engine, wanted[:1]) == [None]


def test_batch__with_an_experiment_whose_first_exposures_are_missing__is_shared_by_the_others__r7(
    landed: BatchHistory, wanted: list[WantedAggregates]
) -> None:
    first, *others = wanted
    landed.engine.artifacts.path("first_exposures", first.scope.partition_key).unlink()
    with landed.engine.sharing(wanted) as engine:
        with pytest.raises(ArtifactMissing):
            engine.variant_aggregates(first.scope, first.metrics)
        assert all(each is not None and each.experiments == len(others) for each in shared_by(engine, others))


def test_batch__whose_first_exposures_are_replaced_meanwhile__reads_those_alone__x5(
    landed: BatchHistory, wanted: list[WantedAggregates]
) -> None:
    first, *others = wanted
    with landed.engine.sharing(wanted) as engine:
        landed.engine.write_first_exposures(first.scope)
        assert shared_by(engine, [first]) == [None]
        assert None not in shared_by(engine, others)


@pytest.mark.parametrize("room", ["no folder", "no room"])
def test_batch__that_cannot_keep_its_events__reads_each_experiment_alone__r7(
    landed: BatchHistory,
    wanted: list[WantedAggregates],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    room: str,
) -> None:
    spill_dir = tmp_path / "spill"
    if room == "no folder":
        spill_dir.write_text("a file in its place")
    else:
        monkeypatch.setattr(shared_scan, "MOST_BYTES", -1)
    wanted = [replace(each, metrics=METRICS[:2]) for each in wanted]  # with events of identities that are analysed
    alone = [rows(landed.engine, each) for each in wanted]
    with replace(landed.engine, spill_dir=spill_dir).sharing(wanted) as engine:
        assert shared_by(engine, wanted) == [None] * len(wanted)
        assert [rows(engine, each) for each in wanted] == alone
    assert room == "no folder" or list(spill_dir.iterdir()) == []
