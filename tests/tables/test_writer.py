"""Tables of all looks: everything that was published, once, in any order of events; rebuilt, they are the same."""

import fcntl
import shutil
import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from threading import Barrier
from typing import Any

import polars as pl
import pytest
from deltalake import DeltaTable
from sqlalchemy import delete, update

from experiment_pipeline.domain.experiments import ExperimentStatus
from experiment_pipeline.domain.refresh import Computation
from experiment_pipeline.errors import LakeError
from experiment_pipeline.registry import tables as registry_tables
from experiment_pipeline.registry.engine import writing
from experiment_pipeline.registry.outbox_tables import table_batches, table_outbox
from experiment_pipeline.results.published_tables import PUBLISHED_TABLES
from experiment_pipeline.tables import writer
from experiment_pipeline.tables.delta_table import LookTable
from tests.tables.looks import FINDING, HOUR, LONG, START, Looks, contents, read

NAMES = tuple(table.name for table in PUBLISHED_TABLES)


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Looks]:
    made = Looks.make(tmp_path)
    yield made
    made.registry.close()


def counts(folder: Path) -> dict[str, list[int]]:
    """Return how many rows each look has in each table, in the order of experiments and looks."""
    by_look = ["experiment", "phase", "look"]
    return {name: read(folder, name).group_by(by_look).len().sort(by_look)["len"].to_list() for name in NAMES}


def versions(folder: Path) -> dict[str, int]:
    return {name: DeltaTable(folder / "tables" / name).version() for name in NAMES}


def test_write__of_every_look__has_each_once_with_its_results_exposures_and_findings(here: Looks) -> None:
    for number in (1, 2):
        here.publish(number)
    here.publish(1, "banner")
    done = here.write()
    assert (done.looks, done.waiting, done.rows) == (
        3,
        0,
        {"results": 12, "looks": 3, "exposures_timeseries": 6, "health": 3},
    )
    # Of the second look two variants at two hours each.
    assert counts(here.folder) == {
        "results": [4, 4, 4], "looks": [1, 1, 1], "exposures_timeseries": [1, 1, 4], "health": [1, 1, 1],
    }  # fmt: skip
    assert here.write(5).batch is None


def test_write__cells__are_those_of_the_payloads_whatever_the_names(here: Looks) -> None:
    here.publish(1)
    here.publish(2)
    here.write()
    look = read(here.folder, "looks").filter(pl.col("look") == 2).to_dicts()[0]
    assert {name: look[name] for name in ("experiment", "environment", "phase", "data_version", "feature")} == {
        "experiment": "checkout", "environment": "prod", "phase": 1, "data_version": 2, "feature": "f" * 1_990,
    }  # fmt: skip
    assert (look["started_at"], look["as_of"], look["previous_as_of"]) == (START, START + 2 * HOUR, START + HOUR)
    assert (look["identities"], look["new_identities"], look["late_events"], look["health_warnings"]) == (
        6000,
        1000,
        2,
        1,
    )
    results = read(here.folder, "results").filter(pl.col("look") == 2)
    assert set(results["treatment"]) == {"b", LONG}
    assert set(results["metric"]) == {"=bought | <b>\u202e", "spent"}
    assert results["treatment_n"].to_list() == [2000] * 4
    exposures = read(here.folder, "exposures_timeseries").filter(pl.col("look") == 2).sort("variant", "bucket")
    assert exposures.select("variant", "bucket", "new_identities", "identities").rows() == [
        ("b", START, 10, 10), ("b", START + HOUR, 11, 21),
        (f"{LONG}\0", START, 0, 0), (f"{LONG}\0", START + HOUR, 3, 3),
    ]  # fmt: skip
    finding = read(here.folder, "health").filter(pl.col("look") == 2).to_dicts()[0]
    assert {name: finding[name] for name in ("check", "code", "severity", "title", "detail")} == {
        name: FINDING[name] for name in ("check", "code", "severity", "title", "detail")
    }
    assert pl.Series([finding["evidence"]]).str.json_path_match("$.share").to_list() == ["0.75"]


def test_write__within_a_minute_of_the_last__waits_and_has_everything_then(here: Looks) -> None:
    here.publish(1)
    assert here.write().looks == 1
    before = versions(here.folder)
    for number in (2, 3):
        here.publish(number)
    early = here.write(0.9)
    assert (early.batch, early.waiting) == (None, 4)
    assert versions(here.folder) == before
    assert here.write(1).looks == 2
    assert versions(here.folder) == {name: version + 1 for name, version in before.items()}
    assert counts(here.folder)["looks"] == [1, 1, 1]


@pytest.mark.parametrize("between", [False, True])
@pytest.mark.parametrize("order", [tuple(Computation), tuple(reversed(Computation))])
def test_write__of_computations_in_any_order__has_the_exposures_of_each_look_once(
    here: Looks, order: tuple[Computation, ...], between: bool
) -> None:
    here.publish(1)
    here.write()
    for minutes, computation in enumerate(order, 1):
        here.publish(2, order=(computation,))
        if between:
            here.write(minutes)
    here.write(5)
    found = counts(here.folder)
    assert (found["looks"], found["exposures_timeseries"]) == ([1, 1], [1, 4])
    written = contents(here.folder)
    here.tables.rebuild(START + 2 * HOUR)
    assert contents(here.folder) == written


def test_write__of_exposures_without_a_look__has_no_rows(here: Looks) -> None:
    here.publish(1, order=(Computation.EXPOSURES,))
    assert here.write().looks == 0
    assert counts(here.folder)["exposures_timeseries"] == []
    assert here.registry.table_outbox.state().waiting == 0


def test_write__in_two_processes_at_once__has_each_look_once(here: Looks) -> None:
    """Each has a registry of its own; the lock makes one wait for the other."""
    for number in (1, 2):
        here.publish(number)
    others, barrier = [Looks.open(here.folder) for _ in range(2)], Barrier(2)

    def write(other: Looks) -> int:
        barrier.wait()
        return other.write().looks

    with ThreadPoolExecutor(2) as pool:
        assert sorted(pool.map(write, others)) == [0, 2]
    for other in others:
        other.registry.close()
    assert counts(here.folder)["looks"] == [1, 1]


def test_write__where_no_lock_keeps_another_out__finds_its_commits_and_adds_nothing(
    here: Looks, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both have opened the tables before the other one commits: Delta refuses the second commit of a batch."""
    here.publish(1)
    here.write()
    here.publish(2)
    monkeypatch.setattr(fcntl, "flock", lambda *_: None)
    other, write_file = Looks.open(here.folder), LookTable.write
    began: list[bool] = []

    def write_after_the_other(table: LookTable, rows: Any) -> Any:
        if not began:
            began.append(True)
            assert other.write(1).looks == 1
        return write_file(table, rows)

    monkeypatch.setattr(LookTable, "write", write_after_the_other)
    here.write(1)
    other.registry.close()
    assert counts(here.folder)["looks"] == [1, 1]
    assert counts(here.folder)["results"] == [4, 4]
    assert here.registry.table_outbox.state().waiting == 0


def test_write__of_looks_from_before_there_were_tables__writes_them_all(here: Looks) -> None:
    here.publish(1)
    here.publish(2)
    here.write()
    whole = contents(here.folder)
    shutil.rmtree(here.folder / "tables")
    with writing(here.registry.engine) as connection:
        connection.execute(delete(table_outbox))
        connection.execute(delete(table_batches))
        connection.execute(update(registry_tables.payloads).values(findings=None))
    done = here.write(1)
    assert done.batch is not None
    assert done.batch.is_rebuild
    found = contents(here.folder)
    assert [row["title"] for row in found["health"]] == [FINDING["title"]] * 2
    assert [row["detail"] for row in found["health"]] == [None] * 2
    assert {name: found[name] for name in NAMES[:3]} == {name: whole[name] for name in NAMES[:3]}


@pytest.mark.parametrize("lost", NAMES)
def test_write__where_a_table_was_lost__writes_all_anew(here: Looks, lost: str) -> None:
    here.publish(1)
    here.write()
    shutil.rmtree(here.folder / "tables" / lost)
    here.publish(2)
    assert here.write(1).looks == 2
    assert counts(here.folder)[lost] == ({"results": [4, 4], "exposures_timeseries": [1, 4]}.get(lost, [1, 1]))


def test_write__where_a_table_was_lost_and_nothing_waits__writes_all_anew(here: Looks) -> None:
    here.publish(1)
    here.write()
    shutil.rmtree(here.folder / "tables")
    assert here.write().looks == 1
    assert counts(here.folder)["looks"] == [1]


@pytest.mark.parametrize("place", ["tables", "tables/health"])
def test_write__where_a_file_is_in_the_way__names_it(here: Looks, place: str) -> None:
    here.publish(1)
    (here.folder / place).parent.mkdir(exist_ok=True)
    (here.folder / place).write_text("")
    with pytest.raises(LakeError, match=rf"{place} is not a folder: the tables of all looks need one there"):
        here.write()


def test_write__where_the_registry_is_older_than_the_tables__writes_all_anew(here: Looks) -> None:
    here.publish(1)
    here.write()
    file = here.folder / "older.sqlite"
    with closing(sqlite3.connect(here.folder / "registry.sqlite")) as registry, closing(sqlite3.connect(file)) as copy:
        registry.backup(copy)
    here.publish(2)
    here.write(1)
    older = Looks.open(here.folder, f"sqlite:///{file}")
    older.publish(3)
    older.write(2)
    assert read(here.folder, "looks")["as_of"].to_list() == [START + HOUR, START + 3 * HOUR]
    older.registry.close()


def test_rebuild__has_the_same_rows_and_goes_on_with_the_next_look(here: Looks) -> None:
    for number in (1, 2):
        here.publish(number)
        here.write(2 * number)
    before, told = contents(here.folder), list[tuple[int, int]]()
    here.publish(3)
    done = here.tables.rebuild(START + 2 * HOUR, on_looks=lambda at, of: told.append((at, of)))
    assert (done.looks, told) == (3, [(3, 3)])
    here.publish(4)
    here.write(120)
    after = contents(here.folder)
    for name, rows in before.items():
        assert [row for row in after[name] if row["look"] <= 2] == rows
    assert counts(here.folder)["looks"] == [1, 1, 1, 1]


def test_rebuild__in_parts__is_the_same(here: Looks, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(1, 6):
        here.publish(number)
    here.write()
    before = contents(here.folder)
    monkeypatch.setattr(writer, "LOOKS_AT_ONCE", 2)
    monkeypatch.setattr(writer, "FILE_ROWS", 3)
    here.tables.rebuild(START + 2 * HOUR)
    assert contents(here.folder) == before
    assert len(DeltaTable(here.folder / "tables/looks").file_uris()) == 2


def test_looks__of_a_deleted_experiment__stay_and_the_last_one_is_final(here: Looks) -> None:
    here.publish(1)
    here.registry.experiments.transition(
        here.experiment().id, ExperimentStatus.COMPLETED, actor="test", now=START + 2 * HOUR
    )
    here.registry.batches.record_scan(START + 3 * HOUR)
    here.publish(3)
    here.registry.experiments.delete(here.experiment().id, actor="test", now=START + 4 * HOUR)
    here.write()
    assert read(here.folder, "looks")["is_final"].to_list() == [False, True]
    assert read(here.folder, "results")["is_final"].to_list() == [False] * 4 + [True] * 4


def test_tables__of_an_older_version__get_the_columns_that_they_lack(
    here: Looks, monkeypatch: pytest.MonkeyPatch
) -> None:
    here.publish(1)
    fewer = [replace(each, columns=each.columns[:-1]) for each in PUBLISHED_TABLES]
    with monkeypatch.context() as older:
        older.setattr(writer, "PUBLISHED_TABLES", fewer)
        here.write()
    here.publish(2)
    here.write(1)
    for table in PUBLISHED_TABLES:
        found = read(here.folder, table.name)
        assert found.columns == [column.name for column in table.columns]
        assert found.filter(pl.col("look") == 1)[table.columns[-1].name].null_count() == found.filter(look=1).height


def test_compact__of_many_small_files__changes_no_row_and_no_batch(here: Looks) -> None:
    for number in range(1, 9):
        here.publish(number)
        here.write(2 * number)
    before, held = contents(here.folder), here.tables.held_batches()
    assert here.tables.compact() == 8 * len(NAMES)
    assert here.tables.compact() == 0
    assert (contents(here.folder), here.tables.held_batches()) == (before, held)
    old = here.tables.vacuum(timedelta(0), dry_run=True)
    assert len(old) == 8 * len(NAMES)
    assert sorted(here.tables.vacuum(timedelta(0))) == sorted(old)
    assert contents(here.folder) == before
    here.publish(9)
    assert here.write(30).looks == 1
    assert len(read(here.folder, "looks")) == 9


def test_write__to_a_table_that_cannot_be_read__says_what_to_do(here: Looks) -> None:
    here.publish(1)
    here.write()
    (log,) = sorted((here.folder / "tables/looks/_delta_log").glob("*1.json"))
    log.write_text("{")
    here.publish(2)
    with pytest.raises(LakeError, match=r"looks cannot be read: .* Move the folder away"):
        here.write(1)
    shutil.rmtree(here.folder / "tables/looks")
    here.write(1)
    assert counts(here.folder)["looks"] == [1, 1]
