"""Artifacts are replaced whole or not at all, and say what made them (rules R5, L6)."""

import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

import experiment_pipeline
from experiment_pipeline.domain.exposures import Window
from experiment_pipeline.durable_files import replacing
from experiment_pipeline.errors import ArtifactMissing, ConfigurationError
from experiment_pipeline.storage.files import local_folder
from experiment_pipeline.warehouse.artifacts import (
    ArtifactStore,
    Stamp,
    StampedFrame,
    code_version,
    read_frame,
    read_stamp,
    restamp,
    write_frame,
)

STARTED_AT = datetime(2026, 3, 1, tzinfo=UTC)
STAMP = Stamp(
    partition_key="checkout-1",
    window=Window(STARTED_AT, STARTED_AT + timedelta(days=2, milliseconds=250)),
    data_version=3,
    code_version="0123456789ab",
    sql="select 'ünï' -- \"quoted\"",
)
SOURCES = Path(experiment_pipeline.__file__).parent


def frame(*numbers: int) -> StampedFrame:
    return StampedFrame(pl.DataFrame({"number": numbers}, schema={"number": pl.Int64}), STAMP)


def write_half(temporary: Path) -> None:
    temporary.write_bytes(b"half of a fi")
    raise InterruptedError


@pytest.fixture
def store(tmp_path: Path) -> ArtifactStore:
    return ArtifactStore(tmp_path / "artifacts")


def test_write_frame__then_read__gives_rows_and_stamp_back(store: ArtifactStore) -> None:
    path = store.path("srm", "checkout-1")
    write_frame(frame(1, 2), path)
    assert_frame_equal(read_frame(path).rows, frame(1, 2).rows)
    assert read_frame(path).stamp == STAMP
    assert read_stamp(store.existing("srm", "checkout-1")) == STAMP


def test_replacing__block_that_raises__keeps_the_last_good_artifact(store: ArtifactStore) -> None:
    path = local_folder(store.path("srm", "checkout-1"))
    write_frame(frame(1), path)
    with pytest.raises(InterruptedError), replacing(path) as temporary:
        write_half(temporary)
    assert read_frame(path).rows["number"].to_list() == [1]
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]


def test_replacing__block_that_writes_nothing__keeps_the_last_good_artifact(store: ArtifactStore) -> None:
    path = local_folder(store.path("srm", "checkout-1"))
    write_frame(frame(1), path)
    with pytest.raises(FileNotFoundError), replacing(path):
        pass
    assert read_frame(path).rows["number"].to_list() == [1]


def test_replacing__writer_killed_in_the_middle__leaves_the_last_good_artifact_and_a_named_leftover(
    store: ArtifactStore,
) -> None:
    path = store.path("srm", "checkout-1")
    write_frame(frame(1), path)
    assert store.orphans() == []
    killed = subprocess.run([sys.executable, "-c", DIES_WRITING, str(path)], cwd=SOURCES.parent, check=False)
    assert killed.returncode == -signal.SIGKILL
    assert read_frame(path).rows["number"].to_list() == [1]
    (leftover,) = store.orphans()
    assert leftover.read_bytes() == b"half of a fi"
    assert leftover.parent == path.parent
    write_frame(frame(2), path)
    assert read_frame(path).rows["number"].to_list() == [2]


DIES_WRITING = """
import os, signal, sys
from pathlib import Path
from experiment_pipeline.durable_files import (replacing)

with replacing(Path(sys.argv[1])) as temporary:
    temporary.write_bytes(b"half of a fi")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_replacing__reader_that_holds_the_old_file__reads_it_to_its_end(store: ArtifactStore) -> None:
    path = store.path("srm", "checkout-1")
    write_frame(frame(1, 2), path)
    with path.open("rb") as held:
        write_frame(frame(3), path)
        assert pl.read_parquet(held)["number"].to_list() == [1, 2]
    assert read_frame(path).rows["number"].to_list() == [3]


@pytest.mark.parametrize(
    "key",
    [
        "",
        "checkout",
        "checkout-",
        "-1",
        "1checkout-1",
        "../checkout-1",
        "a/b-1",
        "checkout-1\n",
        "a.b-1",
        "ü-1",
        "a,b-1",
        "x" * 81 + "-1",
        "checkout-" + "1" * 20,
    ],
)
def test_path__partition_key_that_l6_forbids__is_refused_with_what_it_should_look_like(
    store: ArtifactStore, key: str
) -> None:
    with pytest.raises(ConfigurationError, match=r"partition_key: must look like <experiment key>-<id>"):
        store.path("srm", key)


@given(st.from_regex(r"[A-Za-z][A-Za-z0-9_-]{0,79}-[0-9]{1,19}", fullmatch=True))
def test_path__every_key_of_l6__is_one_file_below_its_asset(key: str) -> None:
    path = local_folder(ArtifactStore(Path("artifacts")).path("srm", key))
    assert path.parts == ("artifacts", "srm", f"{key}.parquet")


def test_existing__artifact_that_nobody_made__is_missing_by_name(store: ArtifactStore) -> None:
    with pytest.raises(ArtifactMissing, match="srm: not materialised for partition checkout-1"):
        store.existing("srm", "checkout-1")


def test_read_stamp__file_that_was_not_written_here__is_refused(tmp_path: Path) -> None:
    frame(1).rows.write_parquet(tmp_path / "foreign.parquet")
    with pytest.raises(ArtifactMissing, match="has no provenance metadata"):
        read_stamp(tmp_path / "foreign.parquet")


LATER = replace(STAMP, data_version=4, since_full=1)


def test_restamp__gives_rows_a_later_stamp_without_writing_them_again(store: ArtifactStore) -> None:
    path = local_folder(store.path("first_exposures", "checkout-1", 2))
    write_frame(frame(1, 2), path)
    before = path.stat()
    restamp(path, LATER)
    assert read_stamp(path) == LATER
    assert (path.stat().st_ino, path.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert len(store.of_others([])) == 2, "what is beside the rows of a deleted experiment goes with them"


def test_restamp__says_nothing_of_rows_that_are_written_later_nor_when_it_is_torn__r5(store: ArtifactStore) -> None:
    path = store.path("first_exposures", "checkout-1")
    write_frame(frame(1, 2), path)
    restamp(path, LATER)
    newest = replace(STAMP, data_version=5)
    write_frame(StampedFrame(frame(3).rows, newest), path)
    assert read_stamp(path) == newest
    restamp(path, LATER)
    path.with_suffix(".json").write_text("{")
    assert read_stamp(path) == newest


@given(
    length=st.timedeltas(timedelta(0), timedelta(days=1000)),
    data_version=st.integers(0, 2**63),
    sql=st.text(st.characters(exclude_categories=["Cs"])),
)
def test_stamp__through_json__is_the_same_to_the_millisecond(length: timedelta, data_version: int, sql: str) -> None:
    whole = timedelta(milliseconds=length // timedelta(milliseconds=1))
    stamp = Stamp("checkout-1", Window(STARTED_AT, STARTED_AT + whole), data_version, "0123456789ab", sql)
    assert Stamp.from_json(stamp.to_json()) == stamp


def version_of(installed: Path, working_folder: Path) -> str:
    """`code_version` as a process sees it that finds the package in `installed` and runs in another folder."""
    script = (
        f"import sys; sys.path.insert(0, {str(installed)!r});"
        "from experiment_pipeline.warehouse.artifacts import code_version; print(code_version())"
    )
    shown = subprocess.run(
        [sys.executable, "-c", script], cwd=working_folder, capture_output=True, text=True, check=True
    )
    return shown.stdout.strip()


@pytest.mark.parametrize("file", ["cli/main.py", "api/app.py", "registry/tables.py", "settings.py"])
def test_code_version__of_code_that_decides_no_number__does_not_change(tmp_path: Path, file: str) -> None:
    copy = tmp_path / "installed"
    shutil.copytree(SOURCES, copy / SOURCES.name, ignore=shutil.ignore_patterns("__pycache__"))
    changed = copy / SOURCES.name / file
    changed.write_text(changed.read_text("utf-8") + "# changed\n", "utf-8")
    assert version_of(copy, tmp_path) == code_version()


def test_code_version__of_the_same_code_elsewhere__is_the_same_and_of_other_sql_is_not(tmp_path: Path) -> None:
    copy, elsewhere = tmp_path / "installed", tmp_path / "elsewhere"
    elsewhere.mkdir()
    shutil.copytree(SOURCES, copy / SOURCES.name, ignore=shutil.ignore_patterns("__pycache__"))
    assert version_of(copy, elsewhere) == code_version()
    statement = copy / SOURCES.name / "warehouse/duckdb/sql/first_exposures.sql"
    statement.write_text(statement.read_text("utf-8") + "-- changed", "utf-8")
    assert version_of(copy, elsewhere) != code_version()
