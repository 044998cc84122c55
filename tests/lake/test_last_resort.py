"""Whatever reading one object meets, it sets that object aside, names it, and holds up nobody (rules E3, E7)."""

import errno
import json
import signal
import subprocess
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import duckdb
import polars as pl
import pytest
from polars.exceptions import ComputeError, PanicException

from experiment_pipeline.domain.batches import LandedObject, PlannedBatch
from experiment_pipeline.errors import LakeError
from experiment_pipeline.lake import judging
from experiment_pipeline.lake.ingestion import IngestionReport, ingest
from experiment_pipeline.lake.judging import Judge, sql
from experiment_pipeline.lake.lake import Lake
from experiment_pipeline.lake.reading_mark import MARK, ReadingMark
from experiment_pipeline.lake.staging import Staging
from experiment_pipeline.landing import object_reader
from experiment_pipeline.landing.json_lines import LineReader
from experiment_pipeline.landing.landing_zone import landed_objects
from experiment_pipeline.landing.object_errors import is_of_one_object
from experiment_pipeline.landing.object_reader import ObjectReader
from experiment_pipeline.registry.registry import Registry
from experiment_pipeline.settings import Settings
from tests.lake.ledger import NOW, PROD, MemoryLedger, land, record, stored
from tests.slow_cases import slow_after

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
    RecursionError(),
    OverflowError("date value out of range"),
    UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte"),
    zlib.error("Error -3 while decompressing data"),
    ComputeError("parquet: File out of specification"),
]
NOT_OF_THE_OBJECT = [
    KeyboardInterrupt(),
    SystemExit(1),
    MemoryError(),
    OSError(errno.ENOSPC, "No space left on device"),
    OSError(errno.EMFILE, "Too many open files"),
    OSError(errno.EIO, "Input/output error"),
    OSError("Generic LocalFileSystem error"),
    OSError(errno.EUCLEAN, "Structure needs cleaning"),
    PermissionError(errno.EACCES, "Permission denied"),
    ComputeError("parquet: Input/output error (os error 5)"),
    ComputeError("parquet: Structure needs cleaning (os error 117)"),
    RuntimeError("can't start new thread"),
    RuntimeError("a bug of ours"),
    PanicException("called `Result::unwrap()` on an `Err` value: Os { code: 11, kind: WouldBlock }"),
    PanicException("LazyLock instance has previously been poisoned"),
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


def test_ingest__a_file_that_the_disk_cannot_give_now__waits_in_its_batch_until_it_can_be_read(zone: Zone) -> None:
    path = land(zone.landing, b"", BAD)
    path.unlink()
    path.symlink_to("/proc/self/mem")  # opens, and reading it is an input/output error
    for _ in range(2):
        with pytest.raises(OSError, match="Input/output error"):
            zone.ingest()
        assert zone.ledger.open_batch() is not None
        assert stored(zone.lake, "rejected") == []
    path.unlink()
    land(zone.landing, [record(identifier="came through")], BAD)
    report = zone.ingest()
    assert (report.batch, report.accepted, report.rejected) == (1, 6, {})


def test_ingest__interrupted_between_the_tables__keeps_what_was_set_aside(
    zone: Zone, monkeypatch: pytest.MonkeyPatch
) -> None:
    land(zone.landing, [record(identifier="readable again")], BAD)
    with monkeypatch.context() as patch:
        fails_with(patch, ComputeError("this time"))
        patch.setattr(Staging, "write_events", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            zone.ingest()
    report = zone.ingest()
    assert (report.accepted, report.rejected) == (6, {"unreadable_object": 1})
    assert list(report.problems.values()) == ["unreadable"]
    assert zone.rejected() == [(BAD, 0, "unreadable_object")]


def test_ingest__interrupted_between_the_tables__ends_at_an_object_that_can_no_longer_be_read(
    zone: Zone, monkeypatch: pytest.MonkeyPatch
) -> None:
    land(zone.landing, [record(identifier="read before"), "{"], BAD)
    with monkeypatch.context() as patch:
        patch.setattr(Staging, "write_events", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            zone.ingest()
    with monkeypatch.context() as patch:
        fails_with(patch, ComputeError("by now"))
        with pytest.raises(LakeError, match=rf"Batch 1 stays open: .*{BAD} could be read"):
            zone.ingest()
    assert zone.ledger.open_batch() is not None
    report = zone.ingest()
    assert (report.accepted, report.rejected, report.problems) == (6, {"not_json": 1}, {})
    assert zone.rejected() == [(BAD, 2, "not_json")]


# --- damaged Parquet files ---------------------------------------------------------------------------------------


def parquet(path: Path) -> bytes:
    rows = [
        {"event": "purchase", "identifier": f"user-{n}", "value": str(n), "timestamp": 1_772_000_000_000 + n}
        for n in range(40)
    ]
    pl.DataFrame(rows).with_columns(traits=pl.struct(plan=pl.lit("pro"))).write_parquet(path)
    return path.read_bytes()


@pytest.mark.slow
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


class Suspect:
    """A good Parquet object that a process has died over; the process that reads it alone can be ended."""

    def __init__(self, zone: Zone, monkeypatch: pytest.MonkeyPatch) -> None:
        path = land(zone.landing, parquet(zone.landing.parent / "p"), "suspect.parquet")
        self.mark = zone.lake.folder / MARK
        self.mark.parent.mkdir()
        self.mark.write_text(json.dumps([path.relative_to(zone.landing).as_posix()]))
        self._patch = monkeypatch

    def ends_its_reader(self, shell: str) -> None:
        """Have a shell script, a process of its own, in the place of Python."""
        python = self.mark.parent.parent / "python"
        python.write_text(f"#!/bin/sh\n{shell}\n")
        python.chmod(0o755)
        self._patch.setattr("experiment_pipeline.lake.reading_mark.sys", SimpleNamespace(executable=str(python)))


@pytest.fixture
def suspect(zone: Zone, monkeypatch: pytest.MonkeyPatch) -> Suspect:
    return Suspect(zone, monkeypatch)


@pytest.mark.parametrize("crash", ["SEGV", "BUS", "ILL", "ABRT"])
def test_ingest__of_an_object_that_crashes_the_process_that_reads_it_alone__sets_it_aside(
    zone: Zone, suspect: Suspect, crash: str
) -> None:
    suspect.ends_its_reader(f"kill -{crash} $$")
    report = zone.ingest()
    assert (report.accepted, report.rejected) == (5, {"unreadable_object": 1})
    assert f"ended by SIG{crash}" in stored(zone.lake, "rejected")[0]["record"]
    assert not suspect.mark.exists()


def test_ingest__of_an_object_that_asks_for_more_memory_than_there_can_be__sets_it_aside(
    zone: Zone, suspect: Suspect
) -> None:
    suspect.ends_its_reader("echo 'memory allocation of 2305843009213693944 bytes failed' >&2; kill -ABRT $$")
    report = zone.ingest()
    assert (report.accepted, report.rejected) == (5, {"unreadable_object": 1})


@pytest.mark.parametrize(
    "shell",
    slow_after(
        3,
        [
            "kill -9 $$",
            "echo 'memory allocation of 4096 bytes failed' >&2; kill -ABRT $$",
            "echo 'Too many open files (os error 24)' >&2; kill -ABRT $$",
            *(f"kill -{number} $$" for number in (15, 2, 1, 24, 34)),
        ],
    ),
)
def test_ingest__of_an_object_whose_reader_is_killed_from_outside__ends_with_the_batch_open(
    zone: Zone, suspect: Suspect, monkeypatch: pytest.MonkeyPatch, shell: str
) -> None:
    with monkeypatch.context():
        suspect.ends_its_reader(shell)
        for _ in range(3):
            with pytest.raises(LakeError, match=r"suspect.parquet: .* the batch stays open"):
                zone.ingest()
    monkeypatch.setattr("experiment_pipeline.lake.reading_mark.sys", sys)
    report = zone.ingest()
    assert (report.batch, report.accepted, report.rejected, report.problems) == (1, 45, {}, {})


def test_ingest__of_a_good_object_that_a_process_died_over__reads_it_and_forgets_the_mark(
    zone: Zone, suspect: Suspect
) -> None:
    mark = ReadingMark(zone.lake.root)
    (name,) = json.loads(suspect.mark.read_text())
    assert mark.crash(name, zone.landing / name) is None
    with mark.reading("another.parquet"):
        assert json.loads(suspect.mark.read_text()) == ["another.parquet"]
    assert zone.ingest().accepted == 45
    assert not suspect.mark.exists()


def test_staging__between_two_frames_of_a_parquet_object__has_no_mark(zone: Zone) -> None:
    name = land(zone.landing, parquet(zone.landing.parent / "p"), "a.parquet").relative_to(zone.landing).as_posix()
    zone.lake.folder.mkdir()
    landed = LandedObject(name=name, environment_key=PROD, landed_at=NOW, bytes=1)
    with zone.lake.connect() as connection:
        staging = Staging(connection, PlannedBatch(1, NOW, (landed,)), ReadingMark(zone.lake.root))
        lines = staging._lines(ObjectReader(zone.landing, name))
        assert next(lines).height == 40
        assert json.loads((zone.lake.root / MARK).read_text()) == []


READS_AND_IS_KILLED = """
import os, sys, time
from pathlib import Path
from experiment_pipeline.landing.parquet_rows import RowReader
from experiment_pipeline.lake.ingestion import write_batch
from experiment_pipeline.lake.lake import Lake
from experiment_pipeline.landing.landing_zone import landed_objects
from experiment_pipeline.domain.batches import PlannedBatch
from tests.lake.ledger import NOW

RowReader.lines = lambda self: (os.kill(os.getpid(), int(sys.argv[2])), time.sleep(60))
root = Path(sys.argv[1])
batch = PlannedBatch(1, NOW, tuple(landed_objects(root / "landing")))
write_batch(Lake(root / "lake"), batch, root / "landing", set(), installation="memory")
"""


@pytest.mark.parametrize(
    "number",
    [signal.SIGKILL, *(pytest.param(each, marks=pytest.mark.slow) for each in (signal.SIGTERM, signal.SIGSEGV))],
)
def test_ingest__killed_three_times_while_it_reads_a_good_object__takes_it_in(
    zone: Zone, tmp_path: Path, number: signal.Signals
) -> None:
    land(zone.landing, parquet(tmp_path / "p"), "good.parquet")
    for _ in range(3):
        command = [sys.executable, "-c", READS_AND_IS_KILLED, str(tmp_path), str(int(number))]
        killed = subprocess.run(command, check=False, capture_output=True)
        assert killed.returncode == -number, killed.stderr
    assert json.loads((zone.lake.root / MARK).read_text())
    report = zone.ingest()
    assert (report.accepted, report.rejected, report.problems) == (45, {}, {})
    assert not (zone.lake.root / MARK).exists()


# --- lines that the engine, or this code, fails on ---------------------------------------------------------------


def poisoned(monkeypatch: pytest.MonkeyPatch, *statements: str) -> None:
    """The engine fails on what holds the word POISON."""
    bombs = {
        "judge_lines": ("compact is not null as is_json", "text"),
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


@pytest.mark.parametrize(
    "error", [duckdb.OutOfMemoryException, duckdb.TransactionException, duckdb.OperationalError, duckdb.BinderException]
)
@pytest.mark.parametrize("step", ["_decide", "_decide_in_python"])
def test_ingest__with_an_error_that_no_line_can_cause__ends_and_rejects_no_line(
    zone: Zone, monkeypatch: pytest.MonkeyPatch, error: type[duckdb.Error], step: str
) -> None:
    def fails(*_: object) -> None:
        raise error("boom")

    def fails_on_a_line(*_: object) -> None:
        raise duckdb.InvalidInputException("halved, down to one line")

    land(zone.landing, ["{", "one line"], BAD)
    with monkeypatch.context() as patch:
        patch.setattr(Judge, "_decide", fails_on_a_line)
        patch.setattr(Judge, step, fails)
        with pytest.raises(error):
            zone.ingest()
    assert zone.ledger.open_batch() is not None
    report = zone.ingest()
    assert (report.accepted, report.rejected) == (5, {"not_json": 2})


def test_judge__one_line_with_too_little_memory__is_not_rejected(zone: Zone) -> None:
    land(zone.landing, b"", BAD)
    (landed,) = (found for found in landed_objects(zone.landing) if found.name.endswith(BAD))
    line = pl.DataFrame(
        {"object": [0], "line": [1], "text": ["9" * (48 << 20)]},
        schema_overrides={"object": pl.UInt32, "line": pl.UInt32},
    )
    with zone.lake.connect() as connection:
        connection.execute(sql("staging"))
        judge = Judge(connection, [landed], {PROD})
        connection.execute("set memory_limit = '16MB'")
        with pytest.raises(duckdb.OutOfMemoryException):
            judge.judge(line)
        connection.execute("set memory_limit = '1GB'")
        assert connection.execute("select count(*) from rejected_rows").fetchall() == [(0,)]
