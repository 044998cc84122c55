"""Audits of incremental refreshes, and what makes a refresh a full one by itself (rules I1, I4)."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from experiment_pipeline.domain.audience import EVERYBODY
from experiment_pipeline.domain.experiments import MultipleExposures
from experiment_pipeline.domain.metrics import Maturity, Metric
from experiment_pipeline.storage.files import local_folder
from experiment_pipeline.warehouse.base import Frame
from experiment_pipeline.warehouse.duckdb.totals_store import TotalsStore
from experiment_pipeline.warehouse.refreshes import RefreshMode, RefreshPolicy
from tests.incremental.histories import HOUR, MINUTE, PARTITION, TALLIED, History
from tests.lake.ledger import PROD


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> History:
    """An experiment of everybody with two metrics, refreshed once, and one more batch since."""
    made = History(7, tmp_path_factory.mktemp("prepared") / "history", 0)
    made.metrics = (Metric(1, PROD, "spent", TALLIED[2]), Metric(2, PROD, "largest", TALLIED[5]))
    made.scope = replace(made.scope, audience=EVERYBODY)
    made.engine = replace(made.engine, refreshes=RefreshPolicy(least_rows=0))
    with closing(made.connect):
        for _ in range(3):
            made.now += 9 * HOUR
            made.land()
        refreshed(made)
        made.now += HOUR
        made.land()
    return made


@pytest.fixture
def history(prepared: History, tmp_path: Path) -> Iterator[History]:
    """A copy of it."""
    copied = prepared.copied_to(tmp_path / "history")
    with closing(copied.connect):
        yield copied


def refreshed(history: History, mode: RefreshMode = RefreshMode.INCREMENTAL) -> Frame:
    scope = history.scope_now()
    history.engine.write_first_exposures(scope, mode)
    return history.engine.variant_aggregates(scope, history.metrics, mode=mode)


def full(history: History) -> Frame:
    scope = history.scope_now()
    history.full.write_first_exposures(scope)
    return history.full.variant_aggregates(scope, history.metrics)


def totals(history: History) -> TotalsStore:
    return TotalsStore(history.engine.artifacts, PARTITION, 1)


def falsify(history: History) -> None:
    """Add one event to the totals of every identity."""
    store = totals(history)
    generation = store.generation()
    assert generation is not None
    for file in generation.files:
        path = local_folder(store.folder) / file.name
        rows = pl.read_parquet(path)
        counts = [name for name in rows.columns if name.endswith(".events")]
        rows.with_columns(pl.col(counts) + 1).write_parquet(path, compression="uncompressed", statistics=True)
        assert path.stat().st_size == file.bytes


def test_refresh__with_a_state__reads_what_entered_the_scope_alone__i1(history: History) -> None:
    found = refreshed(history)
    assert found.refresh.text == "incremental"
    assert found.rows.equals(full(history).rows)
    assert 0 < (found.refresh.rows_read or 0) < (full(history).refresh.rows_read or 0)


def test_refresh__with_nothing_new__reads_nothing(history: History) -> None:
    refreshed(history)
    again = refreshed(history)
    assert (again.refresh.text, again.refresh.rows_read) == ("incremental", 0)
    assert again.rows.equals(full(history).rows)


def test_refresh__with_nothing_new__writes_no_rows_again__i2(history: History) -> None:
    refreshed(history)
    exposures, store = history.engine.artifacts.path("first_exposures", PARTITION), totals(history)
    before = {path: path.stat().st_ino for path in (exposures, *store.folder.iterdir())}
    history.now += timedelta(seconds=1)
    again = refreshed(history)
    assert {path: path.stat().st_ino for path in (exposures, *store.folder.iterdir())} == before
    assert history.engine.stamp(PARTITION).window == history.scope_now().window
    assert again.rows.equals(full(history).rows)
    generation = store.generation()
    assert generation is not None
    assert generation.known.as_of == history.now


def test_refresh__with_nothing_new_but_windows_that_have_ended__counts_their_identities__m8(history: History) -> None:
    within_a_day = TALLIED[9]
    history.metrics = (Metric(1, PROD, "spent", within_a_day, maturity=Maturity.COMPLETE),)
    history.land_records([bought("nobody", history.now - HOUR)])
    history.now = max(datetime.fromisoformat(str(each["timestamp"])) for each in history.landed) + MINUTE
    before = refreshed(history)
    history.now += 20 * HOUR
    after = refreshed(history)
    assert (after.refresh.text, after.refresh.rows_read) == ("incremental", 0)
    assert after.rows["not_mature"].sum() < before.rows["not_mature"].sum()
    assert after.rows.equals(full(history).rows)


def test_refresh__with_nothing_new_that_is_asked_for_more__answers_that(history: History) -> None:
    refreshed(history)
    scope, metrics = history.scope_now(), history.metrics
    more = history.engine.variant_aggregates(scope, metrics, sensitive=metrics[0], mode=RefreshMode.INCREMENTAL)
    full(history)
    assert more.rows.equals(history.full.variant_aggregates(scope, metrics, sensitive=metrics[0]).rows)
    history.scope = replace(history.scope, multiple_exposures=MultipleExposures.FIRST)
    assert refreshed(history).rows.equals(full(history).rows)


def test_audit__of_a_sound_state__says_that_both_are_equal__i4(history: History) -> None:
    found = refreshed(history, RefreshMode.AUDITED)
    assert found.refresh.text == "full (audit of the incremental refresh)"
    assert (found.refresh.is_audited, found.refresh.difference) == (True, None)
    assert refreshed(history).refresh.text == "incremental"


def test_audit__of_a_false_state__returns_the_full_refresh_names_the_difference_and_drops_the_state__i4(
    history: History,
) -> None:
    falsify(history)
    found = refreshed(history, RefreshMode.AUDITED)
    assert found.refresh.difference == "with_event, values, invalid_values of 4 rows of 4"
    assert found.rows.equals(full(history).rows)
    assert totals(history).generation() is None
    assert refreshed(history).refresh.text == "full (no state of an earlier refresh)"
    assert refreshed(history).refresh.text == "incremental"


def test_audit__of_false_first_exposures__writes_the_true_ones_and_names_the_difference__i4(history: History) -> None:
    scope, path = history.scope_now(), local_folder(history.engine.artifacts.path("first_exposures", PARTITION))
    metadata = pl.read_parquet_metadata(path)
    rows = pl.read_parquet(path).with_columns(quarantined=~pl.col("quarantined"))
    rows.write_parquet(path, metadata={"stamp": metadata["stamp"]})
    found = history.engine.write_first_exposures(scope, RefreshMode.AUDITED)
    assert found.refresh.difference == "quarantined of first exposures"
    assert history.engine.stamp(PARTITION).difference == found.refresh.difference
    history.full.write_first_exposures(scope)
    full_path = local_folder(history.full.artifacts.path("first_exposures", PARTITION))
    assert pl.read_parquet(path).equals(pl.read_parquet(full_path))
    again = history.engine.write_first_exposures(scope, RefreshMode.INCREMENTAL)
    assert again.refresh.text == "full (no first exposures of an earlier refresh)"


def test_audit__comes_by_itself_after_so_many_refreshes__i4(history: History) -> None:
    history.engine = replace(history.engine, refreshes=RefreshPolicy(least_rows=0, audit_every=3))
    texts = [refreshed(history).refresh.text for _ in range(4)]
    audit = "full (audit of the incremental refresh)"
    assert texts == ["incremental", "incremental", audit, "incremental"]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"installation": "another"}, "another installation computed the state"),
        ({"environment_key": "demo"}, "definitions have changed"),
    ],
)
def test_refresh__of_another_scope__is_full_and_says_why__i1(
    history: History, change: dict[str, str], reason: str
) -> None:
    history.scope = replace(history.scope, **change)  # type: ignore[arg-type]
    assert refreshed(history).refresh.text == f"full ({reason})"


def test_refresh__as_of_an_earlier_moment__is_full__r5(history: History) -> None:
    refreshed(history)
    history.now -= HOUR
    assert refreshed(history).refresh.text == "full (the state is of a later refresh)"


def test_refresh__of_a_lake_that_was_repaired_or_restored__is_full__i1(history: History) -> None:
    history.lake.begin_history()
    assert refreshed(history).refresh.text == "full (the lake is another one, or was repaired or restored)"


def test_refresh__of_other_code__is_full__i1(history: History, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("experiment_pipeline.warehouse.duckdb.warehouse.code_version", lambda: "other")
    assert refreshed(history).refresh.text == "full (the code has changed)"


def test_refresh__of_other_metrics__reads_what_is_not_in_the_state__i1(history: History) -> None:
    history.metrics = (*history.metrics, Metric(3, PROD, "views", TALLIED[10]))
    assert refreshed(history).refresh.text == "incremental"
    assert refreshed(history).rows.equals(full(history).rows)
    history.metrics = history.metrics[2:]
    assert refreshed(history).rows.equals(full(history).rows)
    history.metrics = (Metric(4, PROD, "minimum", TALLIED[4]),)
    assert refreshed(history).refresh.text == "full (the measures are new)"


def test_refresh__of_few_events__is_full_and_keeps_no_state(history: History) -> None:
    history.engine = replace(history.engine, refreshes=RefreshPolicy(least_rows=10**6))
    totals(history).drop()
    assert refreshed(history).refresh.text == "full (fewer than 1,000,000 events are read sooner than a state)"
    assert totals(history).generation() is None


def test_refresh__with_a_torn_state__is_full__i1(history: History) -> None:
    store = totals(history)
    generation = store.generation()
    assert generation is not None
    (store.folder / generation.files[0].name).write_bytes(b"torn")
    assert refreshed(history).refresh.text == "full (no state of an earlier refresh)"
    store.path.write_text("{")
    assert refreshed(history).refresh.text == "full (no state of an earlier refresh)"


def test_full_mode__neither_reads_nor_keeps_a_state(history: History) -> None:
    before = totals(history).path.read_text()
    falsify(history)
    found = refreshed(history, RefreshMode.FULL)
    assert found.refresh.text == "full (incremental refresh is off)"
    assert found.rows.equals(full(history).rows)
    assert totals(history).path.read_text() == before


def test_state__of_an_identity_that_is_not_analysed_for_a_while__is_not_gone_on_from(history: History) -> None:
    refreshed(history)
    scope = history.scope
    history.scope = replace(scope, variants=("control",))
    history.now += HOUR
    history.land_records([bought(f"user-{number}", history.now - HOUR) for number in range(40)])
    refreshed(history)
    history.scope = scope
    assert refreshed(history).rows.equals(full(history).rows)


def test_refresh__of_an_identity_whose_exposure_came_late__counts_each_event_once__m2(history: History) -> None:
    known = history.now
    history.land_records([bought("newcomer", known + 2 * HOUR), bought("newcomer", known - HOUR)])
    refreshed(history)
    history.now += 5 * HOUR
    exposed = {"event": "$flag_exposure", "feature_name": "checkout", "value": "control", "identifier": "newcomer"}
    history.land_records([{**exposed, "timestamp": (known - 2 * HOUR).isoformat()}])
    found = refreshed(history)
    assert found.refresh.text == "incremental"
    assert found.rows.equals(full(history).rows)


def bought(who: str, at: datetime) -> dict[str, object]:
    return {"event": "purchase", "identifier": who, "value": "7", "timestamp": at.isoformat()}
