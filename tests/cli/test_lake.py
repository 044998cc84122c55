"""`experiment-pipeline lake`: ingest, look, compact, vacuum."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sqlalchemy import update

from experiment_pipeline.registry import tables
from experiment_pipeline.registry.registry import Registry
from tests.cli.conftest import Run
from tests.lake.ledger import land, record
from tests.lake.source_objects import land_range, order


def test_lake__from_landing_to_one_file(declared: Run, tmp_path: Path) -> None:
    landing = tmp_path / "data" / "landing"
    assert declared("lake", "status").output == "Data version 0. Every landing object is ingested.\n"
    assert declared("lake", "ingest").output == "Nothing new has landed.\n"
    for number in range(3):
        land(landing, [record(event_id=str(number)), record(event_id="again"), "{"], f"{number}.jsonl", "production")
        assert "There are landing objects to ingest." in declared("lake", "status").output
        assert f"Batch {number + 1}: 1 objects, " in declared("lake", "ingest").output
    row = declared("lake", "status").output.splitlines()[1].split()
    assert row[:5] == ["production", "2026-02", "4", "3", "3"]
    assert declared("lake", "compact", "--whole", "--dry-run").output.startswith(
        "production 2026-02: 3 files, 4 events"
    )
    assert declared("lake", "compact", "--whole").output == "Merged 3 files with 4 events into 1.\n"
    assert declared("lake", "vacuum").output == "0 files deleted.\n"
    assert declared("lake", "vacuum", "--retention-hours", 0, "--dry-run").output == "3 files would be deleted.\n"
    assert declared("lake", "vacuum", "--retention-hours", 0).output == "3 files deleted.\n"


def test_lake_status_and_compact__of_removed_rows__say_how_many_are_stored_and_when_they_go(
    declared: Run, tmp_path: Path
) -> None:
    for number, name in enumerate(("v1-000001", "again-v2-000002", "again-v3-000003")):
        rows = [order(key, f"{number}") for key in "abc"[number:]]
        land_range(tmp_path / "data" / "landing", name, rows, environment="production")
        declared("lake", "ingest")
    committed_at = datetime.now(UTC) - timedelta(days=31)
    registry = Registry.open(f"sqlite:///{tmp_path / 'data' / 'registry.sqlite'}")
    with registry.engine.begin() as connection:
        connection.execute(update(tables.batches).where(tables.batches.c.number < 3).values(committed_at=committed_at))
    goes_at = registry.data_versions.committed_at(3) or committed_at
    registry.close()
    told = "5 removed events are stored.\n"
    due = "  3 of them are dropped by the next clean-up, or by `lake compact`.\n"
    new = f"  2 are too new: the first of them go after {goes_at + timedelta(days=30):%Y-%m-%d %H:%M} UTC.\n"
    assert told + due + new in declared("lake", "status").output
    dry = declared("lake", "compact", "--dry-run").output
    assert dry == "production 2026-02: 3 removed events\n3 removed events would be dropped.\n0 merges would be made.\n"
    assert told + due in declared("lake", "status").output, "a dry run drops nothing"
    assert json.loads(declared("lake", "compact", "--json").output) == {
        "dry_run": False,
        "drops": [{"environment": "production", "month": "2026-02", "removed_events": 3}],
        "merges": [],
    }
    assert f"2 removed events are stored.\n{new}" in declared("lake", "status").output
    assert json.loads(declared("lake", "status", "--json").output)["removed"] == {
        "stored": 2,
        "due": 0,
        "held": 0,
        "held_by": [],
        "next_at": (goes_at + timedelta(days=30)).isoformat(),
    }
    assert declared("lake", "compact").output == "Merged 0 files with 0 events into 0.\n"


def test_lake_ingest__says_what_was_rejected_and_what_is_damaged(declared: Run, tmp_path: Path) -> None:
    land(tmp_path / "data" / "landing", ["{", record()], "a.jsonl", "nowhere")
    land(tmp_path / "data" / "landing", b"", "b.jsonl", "production")
    output = declared("lake", "ingest").output
    assert "2 objects, 0 new events, 0 duplicates, 2 rejected" in output
    assert "rejected, unknown_environment: 2" in output
    assert "empty (it holds nothing):\n  events/env_key=production/" in output


def test_lake_status__names_what_lies_among_the_open_segments(declared: Run, tmp_path: Path) -> None:
    stray = tmp_path / "data" / "landing" / ".open" / "notes.txt"
    stray.parent.mkdir(parents=True)
    stray.write_text("mine")
    assert "left alone in the landing zone: .open/notes.txt" in declared("lake", "status").output


def test_lake_rejected__shows_what_why_and_where__newest_first(declared: Run, tmp_path: Path) -> None:
    assert declared("lake", "rejected").output == "Nothing is rejected.\n"
    land(
        tmp_path / "data" / "landing",
        [record(), "{", {"events": [record(), record(event="")]}],
        "a.jsonl",
        "production",
    )
    declared("lake", "ingest")
    shown = declared("lake", "rejected").output
    assert "not_json" in shown
    assert "3, record 2" in shown
    newest, oldest = json.loads(declared("lake", "rejected", "--json").output)
    assert (newest["line"], newest["position"], oldest["line"], oldest["reason"]) == (3, 2, 2, "not_json")
    assert oldest["record"] == "{"
    assert oldest["object"].endswith("/a.jsonl")
    assert len(json.loads(declared("lake", "rejected", "--limit", 1, "--json").output)) == 1


def test_lake_status_and_ingest__name_what_is_not_ingested_and_what_to_do(declared: Run, tmp_path: Path) -> None:
    landing = tmp_path / "data" / "landing"
    land(landing, [record()], "a.ndjson", "production")
    land(landing, [record()], "a.csv", "production")
    for number in range(22):
        land(landing, [record()], f"b{number:02}.txt", "production")
    status, ingested, again = (declared("lake", *words).output for words in (["status"], ["ingest"], ["ingest"]))
    assert "1 objects, 1 new events" in ingested
    assert "Nothing new has landed." in again
    for output in (status, ingested, again):
        assert "Not ingested, unknown_suffix (only .jsonl, .ndjson, .json, " in output
        assert "  events/env_key=production/2026/03/01/11/a.csv\n" in output
        assert output.count(".txt\n") == 19
        assert output.endswith("  and 3 more that are not ingested.\n")


def test_lake_rejected_retry__once_the_environment_exists__takes_records_in(declared: Run, tmp_path: Path) -> None:
    land(tmp_path / "data" / "landing", [record(), record(identifier=7.5), "{"], "a.jsonl", "later")
    declared("lake", "ingest")
    told = "unknown_environment: 0 of 3 records are accepted now.\n"
    nothing = declared("lake", "rejected", "--retry").output
    assert nothing == f"{told}No rejected record is accepted now: nothing was taken in.\n"
    assert declared("environments", "create", "later").exit_code == 0
    dry = declared("lake", "rejected", "--retry", "--reason", "unknown_environment", "--dry-run").output
    told = "unknown_environment: 1 of 3 records are accepted now.\n"
    assert dry == f"{told}A dry run: nothing was taken in.\n"
    assert declared("lake", "rejected", "--retry", "--reason", "unknown_environment").output == (
        f"{told}Batch 2: 1 new events, 0 in the lake already.\n"
        "  rejected, bad_type:identifier: 1\n  rejected, not_json: 1\n"
    )
    reasons = [each["reason"] for each in json.loads(declared("lake", "rejected", "--json").output)]
    assert sorted(reasons) == ["bad_type:identifier", "not_json"]
    assert len(json.loads(declared("lake", "rejected", "--reason", "bad_type", "--json").output)) == 1
    assert declared("lake", "rejected", "--reason", "empty").output == "Nothing is rejected as empty.\n"
    again = json.loads(declared("lake", "rejected", "--retry", "--json").output)
    assert (again["batch"], again["accepted"], again["records"]) == (
        None,
        {},
        {"bad_type:identifier": 1, "not_json": 1},
    )
    refused = declared("lake", "rejected", "--dry-run")
    assert (refused.exit_code, "--dry-run: goes with --retry." in refused.output) == (2, True)
