"""`experiment-pipeline lake repair`, and every command that refuses a lake that does not fit (rules E6, E7, R3)."""

import json
import os
import shutil
from pathlib import Path

import pytest

from tests.cli.conftest import Run
from tests.lake.ledger import land, record


@pytest.fixture
def lost(declared: Run, tmp_path: Path) -> Run:
    """Three batches are ingested, and the lake is gone."""
    for number in (1, 2, 3):
        land(tmp_path / "data" / "landing", [record(event_id=str(number))], f"{number}.jsonl", "production")
        declared("lake", "ingest")
    shutil.rmtree(tmp_path / "data" / "lake")
    return declared


LACKS = "The lake lacks batches 1, 2, 3 that the registry knows."


def test_commands__lake_is_gone__refuse_with_one_sentence_and_the_remedy(lost: Run) -> None:
    for command in (["lake", "ingest"], ["lake", "compact"], ["lake", "vacuum"], ["refresh", "checkout"]):
        refused = lost(*command)
        assert refused.exit_code == 1
        assert refused.output.startswith(f"Error: {LACKS}")
        assert "lake repair --dry-run" in refused.output


def test_lake_status__lake_is_gone__says_it_in_text_and_json(lost: Run) -> None:
    assert LACKS in lost("lake", "status").output
    status = json.loads(lost("lake", "status", "--json").output)
    assert (status["sound"], status["data_version"]) == (False, 3)
    assert (status["flaw"]["flaw"], status["flaw"]["batches"]) == ("batches_missing", [1, 2, 3])
    assert lost("lake", "repair").exit_code == 0
    status = json.loads(lost("lake", "status", "--json").output)
    assert (status["sound"], status["flaw"], status["partitions"][0]["events"]) == (True, None, 3)


def test_lake_repair__dry_run_then_loss_accepted_by_name(lost: Run, tmp_path: Path) -> None:
    (gone,) = (tmp_path / "data" / "landing").rglob("2.jsonl")
    gone.unlink()
    shown = lost("lake", "repair", "--dry-run")
    assert shown.exit_code == 0
    assert "Batch 2: 1 objects cannot be read again:\n  not there any more: events/env_key=production/" in shown.output
    assert "Batch 1: would be read from the landing zone again." in shown.output
    stopped = lost("lake", "repair")
    assert stopped.exit_code == 1
    assert "accept the loss with `lake repair --accept-loss 2`" in stopped.output
    assert lost("lake", "repair", "--accept-loss", "9").exit_code == 2
    assert lost("lake", "repair", "--accept-loss", "3-2").exit_code == 2
    accepted = lost("lake", "repair", "--accept-loss", "1-2")
    assert accepted.exit_code == 0
    assert "Batches 2, 3: read from the landing zone again." in accepted.output
    assert lost("lake", "repair").output == "Lake and registry fit: there is nothing to repair.\n"
    assert "accept_loss" in lost("audit", "list").output


def test_lake_repair__landing_zone_without_times__says_how_to_go_on(lost: Run, tmp_path: Path) -> None:
    for path in (tmp_path / "data" / "landing").rglob("*.jsonl"):
        os.utime(path, (1_772_400_000, 1_772_400_000))
    stopped = lost("lake", "repair")
    assert stopped.exit_code == 1
    assert "of another time than was ingested: events/env_key=production/" in stopped.output
    assert "go on with `lake repair --ignore-times`" in stopped.output
    assert lost("lake", "repair", "--ignore-times").exit_code == 0
    assert json.loads(lost("lake", "status", "--json").output)["sound"]


def test_lake_repair__object_that_is_damaged__names_the_batch_and_both_counts(lost: Run, tmp_path: Path) -> None:
    (path,) = (tmp_path / "data" / "landing").rglob("2.jsonl")
    status = path.stat()
    path.write_bytes(b"x" * status.st_size)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert "Batch 2: 0 events, and it had 1: an object of it is damaged" in lost("lake", "repair").output


def test_apply__new_registry_beside_a_lake_with_batches__says_so_and_repair_adopts_them(
    lost: Run, manifest: Path, tmp_path: Path
) -> None:
    assert lost("lake", "repair").exit_code == 0
    for file in (tmp_path / "data").glob("registry.sqlite*"):
        file.unlink()
    assert "The lake beside it holds batches up to 3 of an earlier registry" in lost("apply", manifest).output
    assert "The lake holds batches 1, 2, 3 that the registry does not know." in lost("lake", "ingest").output
    assert lost("lake", "repair").output == "Batches 1, 2, 3: adopted from the lake.\n"
    assert lost("lake", "ingest").output == "Nothing new has landed.\n"
