"""Repair of missing files and from damaged objects: it reads what is needed, and tells what is not as it was."""

import fcntl
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from experiment_pipeline.lake.compaction import compact
from experiment_pipeline.lake.delta import EVENTS, REJECTED, DataFile, Snapshot
from experiment_pipeline.lake.lake import WRITING
from experiment_pipeline.lake.retrying import Retrying
from experiment_pipeline.lake.staging import Staging
from tests.conftest import make_registry
from tests.lake.installations import Installation
from tests.lake.ledger import NOW, land, record


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Installation]:
    """Three batches."""
    installed = Installation(tmp_path, make_registry(tmp_path / "registry.sqlite"))
    installed.fill(3)
    yield installed
    installed.registry.close()


def test_repair__files_of_one_environment_missing__needs_no_objects_of_others(here: Installation) -> None:
    here.registry.environments.create("other", "other", actor="test", now=NOW)
    other = land(here.landing, [record(event_id="other")], "other.jsonl", "other")
    assert here.ingest().batch == 4
    whole = here.rows()
    compact(here.lake, NOW, whole=True)
    lost = [file for file in Snapshot.open(here.lake.root, EVENTS).data_files() if "prod" in file.path]
    for file in lost:
        (here.lake.root / "events" / file.path).unlink()
    other.unlink()
    assert here.plan_repair().losses == []
    report = here.repair()
    assert (report.losses, report.stopped) == ([], None)
    assert here.rows() == whole


def test_repair__files_missing__keeps_a_vacuum_waiting_while_it_writes(
    here: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    (file, *_) = Snapshot.open(here.lake.root, EVENTS).data_files()
    (here.lake.root / "events" / file.path).unlink()
    write, refused = Staging.write_events, []

    def write_locked(staging: Staging, *arguments: Any) -> list[DataFile]:
        with (here.lake.folder / WRITING).open("a") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as held:
                refused.append(held)
        return write(staging, *arguments)

    monkeypatch.setattr(Staging, "write_events", write_locked)
    assert here.repair().stopped is None
    assert len(refused) == 1


def test_repair__object_that_is_damaged_and_looks_the_same__is_told(here: Installation) -> None:
    path = here.object(2)
    status = path.stat()
    path.write_bytes(b"x" * status.st_size)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    here.lose_lake()
    report = here.repair()
    assert (report.restored, report.losses, report.differing) == ([1, 2, 3], [], [(2, 2, 0)])


def test_repair__all_files_of_both_tables_missing__restores_a_batch_that_retried(tmp_path: Path) -> None:
    here = Installation(tmp_path, make_registry(tmp_path / "registry.sqlite"))
    land(here.landing, [record(), record(identifier=""), record(identifier="x")], "1.jsonl", "later")
    here.ingest()
    here.registry.environments.create("later", "Later", actor="test", now=NOW.replace(hour=13))
    Retrying(here.lake, here.registry.batches, here.landing, NOW).run()
    whole = here.rows()
    for table in (EVENTS, REJECTED):
        for file in Snapshot.open(here.lake.root, table).data_files():
            (here.lake.root / table.name / file.path).unlink()
    assert here.repair().stopped is None
    assert here.rows() == whole
    here.registry.close()
