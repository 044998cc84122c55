"""Ctrl-C: one line and exit code 130 with nothing half done, and the normal end of what runs until it is stopped."""

import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from experiment_pipeline.registry.registry import Registry
from experiment_pipeline.settings import PREFIX
from tests.cli.conftest import MANIFEST
from tests.e2e.conftest import eventually, free_port
from tests.lake.ledger import land, record

pytestmark = pytest.mark.e2e

LINE = "Interrupted. Nothing is half done: the same command goes on from here."
SECONDS = 300  # before a test gives up


def start(data_dir: Path, *arguments: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-u", "-m", "experiment_pipeline", *arguments],
        env=os.environ | {f"{PREFIX}DATA_DIR": str(data_dir), "DAGSTER_DISABLE_TELEMETRY": "yes"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run(data_dir: Path, *arguments: str) -> None:
    with start(data_dir, *arguments) as process:
        _, errors = process.communicate(timeout=SECONDS)
    assert process.returncode == 0, errors


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    """A data directory with one running experiment."""
    manifest = tmp_path / "experiments.yaml"
    manifest.write_text(MANIFEST, "utf-8")
    run(tmp_path / "data", "apply", str(manifest))
    return tmp_path / "data"


@pytest.mark.parametrize("step", ["Ingesting the first delivery", "Computing one_page_checkout"])
def test_demo__interrupted_at_a_step__is_one_line_and_goes_on_when_it_is_run_again(tmp_path: Path, step: str) -> None:
    with start(tmp_path / "data", "demo") as process:
        assert process.stderr is not None
        for line in process.stderr:
            if line.startswith(step):
                process.send_signal(signal.SIGINT)
                break
        output, errors = process.communicate(timeout=SECONDS)
    assert process.returncode == 130, errors
    assert (output, errors.splitlines()[-1]) == ("", LINE)
    assert "Traceback" not in errors
    run(tmp_path / "data", "demo")


def test_refresh__interrupted_before_it_publishes__publishes_nothing_and_may_be_asked_for_at_once(
    data_dir: Path,
) -> None:
    registry = Registry.open(f"sqlite:///{data_dir / 'registry.sqlite'}")
    database = sqlite3.connect(data_dir / "registry.sqlite", isolation_level=None)
    with start(data_dir, "refresh", "checkout") as process:
        wait_for_a_row(database, "leases")
        database.execute("BEGIN IMMEDIATE")  # nothing is published meanwhile
        process.send_signal(signal.SIGINT)
        time.sleep(0.1)
        database.execute("ROLLBACK")
        output, errors = process.communicate(timeout=SECONDS)
    assert process.returncode == 130, errors
    assert (output, errors) == ("", f"{LINE}\n")
    assert database.execute("SELECT count(*) FROM payloads").fetchone() == (0,)
    assert database.execute("SELECT count(*) FROM leases").fetchone() == (0,)
    assert database.execute("SELECT failures FROM computations").fetchall() == [(0,), (0,)]
    assert registry.claims.list_waiting() == []
    registry.close()
    database.close()
    run(data_dir, "refresh", "checkout")


def test_lake_ingest__interrupted_in_the_middle_of_a_batch__is_finished_by_the_next_one(data_dir: Path) -> None:
    records = [record(event_id=str(number)) for number in range(200_000)]
    land(data_dir / "landing", records, "large.jsonl", "production")
    database = sqlite3.connect(data_dir / "registry.sqlite", isolation_level=None)
    with start(data_dir, "lake", "ingest") as process:
        wait_for_a_row(database, "batches")
        database.execute("BEGIN IMMEDIATE")  # however fast it is, the batch is not finished meanwhile
        time.sleep(0.5)  # into a statement of the engine, most likely
        process.send_signal(signal.SIGINT)
        time.sleep(0.1)
        database.execute("ROLLBACK")
        output, errors = process.communicate(timeout=SECONDS)
    assert process.returncode == 130, errors
    assert (output, errors) == ("", f"{LINE}\n")
    assert database.execute("SELECT count(*) FROM batches WHERE committed_at IS NOT NULL").fetchone() == (0,)
    run(data_dir, "lake", "ingest")
    assert database.execute("SELECT accepted, duplicates FROM batches").fetchall() == [(200_000, 0)]
    database.close()


def wait_for_a_row(database: sqlite3.Connection, table: str) -> None:
    until = time.monotonic() + SECONDS
    while not database.execute(f"SELECT 1 FROM {table}").fetchone():  # noqa: S608 - our own names
        assert time.monotonic() < until
        time.sleep(0.002)


@pytest.mark.parametrize("command", ["serve", "collect"])
def test_server__interrupted__ends_with_0(data_dir: Path, command: str) -> None:
    port = free_port()
    with start(data_dir, command, "--port", str(port)) as process:
        eventually(lambda: _listens(port), "the server listens", deadline=SECONDS)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=SECONDS)
    assert process.returncode == 0, errors
    assert "Traceback" not in errors


def _listens(port: int) -> bool:
    with socket.socket() as tried:
        return tried.connect_ex(("127.0.0.1", port)) == 0
