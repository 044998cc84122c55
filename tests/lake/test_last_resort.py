"""Whatever reading one object meets, it sets that object aside, names it, and holds up nobody (rules E3, E7)."""

import errno
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import duckdb
import polars as pl
import pytest
from polars.exceptions import ComputeError, PanicException

from experiment_pipeline.lake import judging
from experiment_pipeline.lake.ingestion import IngestionReport, ingest
from experiment_pipeline.lake.judging import Judge, sql
from experiment_pipeline.lake.lake import Lake
from experiment_pipeline.lake.reading_mark import MARK, MOST_DEATHS
from experiment_pipeline.lake.staging import Staging
from experiment_pipeline.landing import object_reader
from experiment_pipeline.landing.json_lines import LineReader
from experiment_pipeline.landing.object_errors import is_of_one_object
from experiment_pipeline.registry.registry import Registry
from experiment_pipeline.settings import Settings
from tests.lake.ledger import NOW, PROD, MemoryLedger, land, record, stored

BAD = "20260301T110000Z-bad.jsonl"
GOOD = [record(identifier=f"user-{number}") for number in range(5)]


class Zone:
    """A landing zone with one good object, a lake and a ledger."""

    def __init__(self, root: Path) -> None:
        self.landing = root / "landing"
        self.lake = Lake(root / "lake")
        self.ledger = MemoryLedger()
        land(self.landing, GOOD, "20260301T110001Z-good.jsonl")

    def ingest(self) -> IngestionReport:
        return ingest(self.lake, self.ledger, self.landing, NOW)

    def rejected(self) -> list[tuple[str, int, str]]:
        rows = stored(self.lake, "rejected")
        return sorted((row["object"].rpartition("/")[2], row["line"], row["reason"]) for row in rows)


@pytest.fixture
def zone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Zone:
    monkeypatch.setattr(object_reader, "RETRY_SECONDS", 0.0)
    return Zone(tmp_path)


def fails_with(monkeypatch: pytest.MonkeyPatch, error: BaseException, after: int = 1) -> None:
    """Reading the bad object fails once so many lines are read; every attempt does."""
    real = LineReader.lines

    def lines(reader: LineReader) -> Iterator[pl.DataFrame]:
        for frame in real(reader):
            if "bad" in reader._path.name:
                yield frame[:after]
                raise error
            yield frame

    monkeypatch.setattr(LineReader, "lines", lines)


POISON = [
    PanicException("assertion failed: offset + length <= self.length"),
    RuntimeError("nobody foresaw it"),
    RecursionError(),
    OverflowError("date value out of range"),
    OSError(errno.EIO, "Input/output error"),
    ComputeError("parquet: Input/output error (os error 5)"),
]
NOT_OF_THE_OBJECT = [
    KeyboardInterrupt(),
    SystemExit(1),
    MemoryError(),
    OSError(errno.ENOSPC, "No space left on device"),
    OSError(errno.EMFILE, "Too many open files"),
    PanicException("called `Result::unwrap()` on an `Err` value: Os { code: 11, kind: WouldBlock }"),
    ComputeError("Too many open files (os error 24)"),
    ConnectionResetError(),
    TimeoutError(),
]


# --- an object that cannot be read -------------------------------------------------------------------------------


@pytest.mark.parametrize("error", POISON, ids=lambda error: type(error).__name__)
def test_ingest__an_object_that_nobody_can_read__is_set_aside_with_its_reason(
    zone: Zone, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    land(zone.landing, [record(identifier="first line"), record(identifier="never read")], BAD)
    fails_with(monkeypatch, error)
    report = zone.ingest()
    assert (report.batch, report.accepted, report.rejected) == (1, 6, {"unreadable_object": 1})
    assert {name.rpartition("/")[2]: problem for name, problem in report.problems.items()} == {BAD: "unreadable"}
    assert zone.rejected() == [(BAD, 0, "unreadable_object")]
    (row,) = stored(zone.lake, "rejected")
    assert row["record"] == f"{type(error).__name__}: {error}"
    assert zone.ingest() == IngestionReport()


@pytest.mark.parametrize("error", NOT_OF_THE_OBJECT, ids=lambda error: type(error).__name__)
def test_ingest__what_no_object_is_to_blame_for__ends_it_and_sets_nothing_aside(
    zone: Zone, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    assert not is_of_one_object(error)
    land(zone.landing, [record(identifier="first line")], BAD)
    with monkeypatch.context() as patch:
        fails_with(patch, error)
        with pytest.raises(type(error)):
            zone.ingest()
    report = zone.ingest()
    assert (report.batch, report.accepted, report.rejected, report.problems) == (1, 6, {}, {})


def test_ingest__an_error_that_passes__costs_no_line_and_doubles_none(
    zone: Zone, monkeypatch: pytest.MonkeyPatch
) -> None:
    land(zone.landing, [record(identifier=str(number)) for number in range(3)], BAD)
    real, errors = LineReader.lines, [OSError(errno.EIO, "Input/output error")]

    def lines(reader: LineReader) -> Iterator[pl.DataFrame]:
        for frame in real(reader):
            if "bad" in reader._path.name and errors:
                yield frame[:2]
                raise errors.pop()
            yield frame

    monkeypatch.setattr(LineReader, "lines", lines)
    report = zone.ingest()
    assert (report.accepted, report.duplicates, report.rejected) == (8, 0, {})


def test_ingest__a_file_that_the_disk_cannot_give__is_set_aside(zone: Zone) -> None:
    path = land(zone.landing, b"", BAD)
    path.unlink()
    path.symlink_to("/proc/self/mem")  # opens, and reading it is an input/output error
    report = zone.ingest()
    assert (report.accepted, report.rejected) == (5, {"unreadable_object": 1})


def test_ingest__interrupted_between_the_tables__keeps_what_was_set_aside(
    zone: Zone, monkeypatch: pytest.MonkeyPatch
) -> None:
    land(zone.landing, [record(identifier="readable again")], BAD)
    with monkeypatch.context() as patch:
        fails_with(patch, RuntimeError("this time"))
        patch.setattr(Staging, "write_events", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            zone.ingest()
    report = zone.ingest()
    assert (report.accepted, report.rejected) == (6, {"unreadable_object": 1})
    assert list(report.problems.values()) == ["unreadable"]
    assert zone.rejected() == [(BAD, 0, "unreadable_object")]


# --- damaged Parquet files ---------------------------------------------------------------------------------------


def parquet(path: Path) -> bytes:
    rows = [
        {"event": "purchase", "identifier": f"user-{n}", "value": str(n), "timestamp": 1_772_000_000_000 + n}
        for n in range(40)
    ]
    pl.DataFrame(rows).with_columns(traits=pl.struct(plan=pl.lit("pro"))).write_parquet(path)
    return path.read_bytes()


def test_lake_ingest__of_parquet_files_with_flipped_bytes__comes_to_an_end(tmp_path: Path) -> None:
    """Some of them panic, some abort the process: which, depends on the version of Polars."""
    settings = Settings(data_dir=tmp_path / "data")
    registry = Registry.open(settings.database_url)
    registry.environments.create(PROD, "Production", actor="tests", now=NOW)
    registry.close()
    good = parquet(tmp_path / "good.parquet")
    positions = range(0, len(good), max(1, len(good) // 300))
    for position in positions:
        damaged = bytearray(good)
        damaged[position] ^= 0x01
        land(settings.landing_dir, bytes(damaged), f"{position:06}.parquet")
    land(settings.landing_dir, GOOD, "a.jsonl")
    command = [sys.executable, "-m", "experiment_pipeline", "--data-dir", str(settings.data_dir), "lake", "ingest"]
    for _ in range(20):
        outcome = subprocess.run(command, capture_output=True, check=False, text=True)
        if outcome.returncode >= 0:
            break
    assert outcome.returncode == 0, outcome.stderr[-500:]
    assert f"Batch 1: {len(positions) + 1} objects, " in outcome.stdout
    assert not (settings.lake_dir / MARK).exists()


def test_ingest__of_an_object_that_processes_die_over__sets_it_aside(
    zone: Zone, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = land(zone.landing, parquet(zone.landing.parent / "p"), "bad.parquet").relative_to(zone.landing).as_posix()
    zone.lake.root.mkdir()
    (zone.lake.root / MARK).write_text(json.dumps([name]))

    def dies(*_: object, **__: object) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(["sh", "-c", "kill -SEGV $$"], check=False, capture_output=True)

    monkeypatch.setattr("experiment_pipeline.lake.reading_mark.subprocess", type("", (), {"run": staticmethod(dies)}))
    monkeypatch.setattr("tests.lake.test_last_resort.subprocess", subprocess)
    report = zone.ingest()
    assert (report.accepted, report.rejected) == (5, {"unreadable_object": 1})
    assert "ended by SIGSEGV" in stored(zone.lake, "rejected")[0]["record"]


@pytest.mark.parametrize(("deaths", "accepted"), [(1, 45), (MOST_DEATHS, 5)])
def test_ingest__of_a_good_object_that_somebody_was_killed_over__reads_it_unless_it_happens_again_and_again(
    zone: Zone, deaths: int, accepted: int
) -> None:
    name = land(zone.landing, parquet(zone.landing.parent / "p"), "good.parquet").relative_to(zone.landing).as_posix()
    zone.lake.root.mkdir()
    (zone.lake.root / MARK).write_text(json.dumps([name] * deaths))
    assert zone.ingest().accepted == accepted
    assert not (zone.lake.root / MARK).exists()


# --- lines that the engine, or this code, fails on ---------------------------------------------------------------


def poisoned(monkeypatch: pytest.MonkeyPatch, *statements: str) -> None:
    """The engine fails on what holds the word POISON."""
    bombs = {
        "judge_lines": ("json_valid(text) as is_json", "text"),
        "stage": ("md5_number(identifier) >> 64 as identity_bits", "identifier"),
    }

    def broken(name: str) -> str:
        if name not in statements:
            return sql(name)
        column, over = bombs[name]
        expression, _, alias = column.rpartition(" as ")
        assert column in sql(name)
        bomb = f"case when contains({over}, 'POISON') then error('boom') else {expression} end as {alias}"
        return sql(name).replace(column, bomb)

    monkeypatch.setattr(judging, "sql", broken)


def test_ingest__lines_that_sql_fails_on__are_judged_by_python(zone: Zone, monkeypatch: pytest.MonkeyPatch) -> None:
    poisoned(monkeypatch, "judge_lines")
    lines = [record(identifier=f"{'POISON' if number in {3, 70} else ''}{number}") for number in range(100)]
    land(zone.landing, [*lines, "{"], BAD)
    report = zone.ingest()
    assert (report.accepted, report.duplicates, report.rejected, report.problems) == (105, 0, {"not_json": 1}, {})


def test_ingest__a_line_that_nothing_can_store__is_rejected_alone(zone: Zone, monkeypatch: pytest.MonkeyPatch) -> None:
    poisoned(monkeypatch, "judge_lines", "stage")
    lines = [record(identifier=f"{'POISON' if number in {3, 70} else ''}{number}") for number in range(100)]
    land(zone.landing, [*lines, "{"], BAD)
    report = zone.ingest()
    assert (report.accepted, report.rejected) == (103, {"not_json": 1, "unreadable_record": 2})
    assert zone.rejected() == [(BAD, 4, "unreadable_record"), (BAD, 71, "unreadable_record"), (BAD, 101, "not_json")]
    assert json.loads(stored(zone.lake, "rejected")[0]["record"])["identifier"] == "POISON3"


def test_ingest__a_line_that_python_fails_on__is_rejected_alone(zone: Zone, monkeypatch: pytest.MonkeyPatch) -> None:
    def boom(text: str) -> object:
        raise RuntimeError(text)

    monkeypatch.setattr(judging, "decode_record", boom)
    land(zone.landing, [record(), '{"event": "x", "identifier": 1}'], BAD)
    report = zone.ingest()
    assert (report.accepted, report.rejected) == (6, {"unreadable_record": 1})


def test_ingest__over_a_line_that_breaks_the_engine__judges_the_batch_in_python(
    zone: Zone, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise duckdb.InternalException("INTERNAL Error: Attempted to access index 5 within vector of size 5")

    monkeypatch.setattr(Judge, "_decide", broken)
    land(zone.landing, [record(), "{"], BAD)
    report = zone.ingest()
    assert (report.accepted, report.rejected) == (6, {"not_json": 1})


def test_ingest__with_a_full_disk__ends_and_sets_nothing_aside(zone: Zone, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise duckdb.IOException("IO Error: Could not write file: No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Judge, "_decide", full)
        with pytest.raises(duckdb.IOException):
            zone.ingest()
    assert zone.ingest().accepted == 5
