"""What ingestion says of the landing zone, in a terminal and as JSON."""

import json
from io import BytesIO
from pathlib import Path

import polars as pl

from tests.cli.conftest import Run
from tests.lake.ledger import land, record


def test_lake_status_and_ingest__as_json__name_the_same(declared: Run, tmp_path: Path) -> None:
    landing = tmp_path / "data" / "landing"
    land(landing, [record()], "a.jsonl", "production")
    for number in range(22):
        land(landing, [record()], f"b{number:02}.csv", "production")
    (landing / "x.jsonl").write_text("{}")
    before, report, after = (
        json.loads(declared("lake", *words, "--json").output) for words in (["status"], ["ingest"], ["status"])
    )
    assert (before["landing_objects_wait"], before["data_version"], before["partitions"]) == (True, 0, [])
    assert (after["landing_objects_wait"], after["data_version"], after["partitions"][0]["events"]) == (False, 1, 1)
    assert {name: report[name] for name in ("batch", "objects", "accepted", "duplicates", "rejected")} == {
        "batch": 1, "objects": 1, "accepted": 1, "duplicates": 0, "rejected": {},
    }  # fmt: skip
    for found in (before, report, after):
        assert (found["ignored"]["count"], len(found["ignored"]["first"])) == (23, 20)
        assert found["ignored"]["first"][0] == {
            "name": "x.jsonl",
            "reason": "wrong_place",
            "what_to_do": "events lie below events/env_key=<environment>/: move it there",
        }
        assert found["ignored"]["first"][1]["reason"] == "unknown_suffix"


def test_lake_status__with_files_passed_over__does_not_say_that_all_is_well(declared: Run, tmp_path: Path) -> None:
    land(tmp_path / "data" / "landing", [record()], "a.csv", "production")
    first = declared("lake", "status").output.splitlines()[0]
    assert first == "Data version 0. Every landing object is ingested, and 1 files or folders are passed over."


def test_lake_ingest__one_array__is_refused_with_what_to_do(declared: Run, tmp_path: Path) -> None:
    landing = tmp_path / "data" / "landing"
    for number in range(21):
        land(landing, json.dumps([record(), record()], indent=1).encode(), f"{number:02}.json", "production")
    land(landing, json.dumps(record(), indent=1).encode(), "object.json.gz", "production")
    output = declared("lake", "ingest").output
    assert "22 objects, 0 new events, 0 duplicates, 22 rejected." in output
    assert "one_json_array (it is one array: write one record a line, for example with jq -c '.[]' FILE, then" in output
    assert output.count("/00.json\n") == 1
    assert output.endswith("  and 2 more with a problem.\n")
    kept = json.loads(declared("lake", "rejected", "--json").output)
    assert {(each["line"], each["reason"]) for each in kept} == {(1, "not_json")}


def test_lake_ingest__unknown_fields__are_named_with_what_is_probably_meant(declared: Run, tmp_path: Path) -> None:
    landing = tmp_path / "data" / "landing"
    bought = [record(value=..., revenue=12, identifier=str(number)) for number in range(3)]
    odd = [{"events": [record(Value=1), record(identifier="") | {"Value": 2}]}, '{"v\\u0061lues": 1}', "[]"]
    land(landing, [*bought, *odd, record(**{f"f{number:02}": 1 for number in range(30)})], "a.jsonl", "production")
    output = declared("lake", "ingest").output
    assert (
        "Unknown fields, not kept (only the fields of an event are kept: a number belongs in value, "
        "everything else in metadata):\n"
        "  revenue: 3 records\n"
        "  Value: 2 records; is value meant?\n"
        "  f00: 1 records\n"
    ) in output
    assert output.endswith("  f17: 1 records\n  and 13 more unknown fields.\n")


def test_lake_ingest__a_parquet_file_of_other_columns__counts_its_rows_and_names_the_columns(
    declared: Run, tmp_path: Path
) -> None:
    landing = tmp_path / "data" / "landing"
    frame = pl.DataFrame({"Event": ["buy"] * 200, "user": ["ada"] * 200, "revenue": [12] * 200})
    for name, columns in (("a", frame), ("b", frame.select(event="Event", identifier="user", ts=pl.lit(1)))):
        frame_bytes = BytesIO()
        columns.write_parquet(frame_bytes)
        land(landing, frame_bytes.getvalue(), f"{name}.parquet", "production")
    report = json.loads(declared("lake", "ingest", "--json").output)
    assert report["rejected"] == {"missing_field:event": 200, "missing_field:timestamp": 200}
    other, no_time = report["problems"]["first"]
    assert other["problem"] == (
        "missing_columns: it lacks event (rename Event), identifier, timestamp; it has Event, user, revenue"
    )
    assert no_time["problem"] == "missing_columns: it lacks timestamp; it has event, identifier, ts"
    assert other["what_to_do"].startswith("every row of it is rejected: write it with the columns of an event")
    assert report["unknown_fields"]["first"] == [
        {"name": "Event", "records": 200, "is_meant": "event"},
        {"name": "revenue", "records": 200, "is_meant": None},
        {"name": "ts", "records": 200, "is_meant": None},
        {"name": "user", "records": 200, "is_meant": None},
    ]


def test_lake_ingest_again__names_a_changed_file_and_reads_it(declared: Run, tmp_path: Path) -> None:
    landing = tmp_path / "data" / "landing"
    path = land(landing, [record()], "a.jsonl", "production")
    declared("lake", "ingest")
    land(landing, [record(), record(identifier="bob"), "{"], "a.jsonl", "production")
    hint = (
        "Changed since it was ingested (lake ingest --again FILE reads it, as a batch of its own):\n  events/env_key="
    )
    for command in ("status", "ingest"):
        assert hint in declared("lake", command).output
        assert json.loads(declared("lake", command, "--json").output)["changed"]["count"] == 1
    assert declared("lake", "ingest", "--again", path).output == (
        "Batch 2: events/env_key=production/2026/03/01/11/a.jsonl was read again: 1 new events, 1 in the lake already, "
        "1 rejected.\n"
        "Records that were changed in it, or taken out of it, since it was read before stay in the lake as they were.\n"
        "  rejected, not_json: 1\n"
    )
    assert hint not in declared("lake", "status").output
    refused = declared("lake", "ingest", "--again", path)
    assert refused.exit_code == 2
    assert "FILE: events/env_key=production/2026/03/01/11/a.jsonl has not changed since batch 2." in refused.output
    land(landing, [record(identifier="cy")], "a.jsonl", "production")
    again = json.loads(declared("lake", "ingest", "--again", path, "--json").output)
    assert (again["batch"], again["accepted"], again["problems"]) == (3, 1, {})


def test_lake_ingest__rejected_times_and_environments__say_what_to_do(declared: Run, tmp_path: Path) -> None:
    landing = tmp_path / "data" / "landing"
    times = ["01/03/2026", "2026-03-01T12:00:00", 1_772_366_400, "2999-01-01T00:00:00Z"]
    land(landing, [record(timestamp=time) for time in times], "a.jsonl", "production")
    land(landing, [record()], "a.jsonl", "prod")
    land(landing, [record(identifier="")], "b.jsonl", "production")
    assert declared("lake", "ingest").output.splitlines()[1:] == [
        "  rejected, bad_timestamp: 1 (write RFC 3339 with an offset, such as 2026-11-01T00:00:00Z, or whole epoch "
        "milliseconds)",
        "  rejected, empty:identifier: 1",
        "  rejected, timestamp_in_future: 1 (over 24 hours after its arrival: correct the sender's clock)",
        "  rejected, timestamp_too_old: 1 (before 2020; whole numbers are milliseconds. For older data set `oldest` of "
        "the source)",
        "  rejected, timestamp_without_zone: 1 (add the offset, such as Z, or set "
        "EXPERIMENT_PIPELINE_LANDING_TIMEZONE)",
        "  rejected, unknown_environment: 1 (declare the environment, then `lake rejected --retry`)",
    ]
