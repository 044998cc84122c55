"""Landing objects become numbered batches: judged, deduplicated, and each object once (rules E3-E8)."""

import gzip
import json
import random
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from deltalake import DeltaTable

from experiment_pipeline.domain.batches import Installation as Pair
from experiment_pipeline.domain.exposures import Window
from experiment_pipeline.errors import Conflict
from experiment_pipeline.lake.batch_commits import BatchCommit, BatchSummary, to_fields
from experiment_pipeline.lake.delta import EVENTS, Snapshot
from experiment_pipeline.lake.ingestion import IngestionReport, ingest, write_batch
from experiment_pipeline.lake.lake import Lake
from experiment_pipeline.lake.staging import Staging
from experiment_pipeline.landing.landing_zone import landed_objects
from tests.lake.ledger import NOW, PROD, MemoryLedger, exposure, land, record, stored, unnamed_files


class Installation:
    """A landing zone, a lake and a ledger."""

    def __init__(self, root: Path) -> None:
        self.landing = root / "landing"
        self.lake = Lake(root / "lake")
        self.ledger = MemoryLedger()

    def land(self, *lines: object, name: str = "20260301T110000Z-a.jsonl", environment: str = PROD) -> None:
        land(self.landing, lines, name, environment)

    def ingest(self) -> IngestionReport:
        return ingest(self.lake, self.ledger, self.landing, NOW)

    def column(self, name: str, table: str = "events") -> list[Any]:
        return [row[name] for row in stored(self.lake, table)]


@pytest.fixture
def here(tmp_path: Path) -> Installation:
    return Installation(tmp_path)


def test_ingest__e1__stores_every_field(here: Installation) -> None:
    here.land({"events": [exposure(event_id="e-1")]}, name="20260301T110000.5Z-a.jsonl.gz")
    report = here.ingest()
    assert report == IngestionReport(batch=1, objects=1, accepted=1, duplicates=0, rejected={}, problems={})
    (row,) = stored(here.lake)
    hashes = {name: row.pop(name) for name in ("identity_hash", "event_hash_high", "event_hash_low")}
    assert len(set(hashes.values())) == 3
    assert row == {
        "environment_key": "prod",
        "month": "2026-02",
        "event": "$flag_exposure",
        "feature_name": "checkout",
        "identifier": "ada",
        "value": "control",
        "numeric_value": None,
        "timestamp": datetime(2026, 2, 25, 6, 13, 20, tzinfo=UTC),
        "traits": '{"plan":"pro"}',
        "metadata": '{"sdk_version":"6.3.0"}',
        "event_id": "e-1",
        "landed_at": datetime(2026, 3, 1, 11, 0, 0, 500_000, tzinfo=UTC),
        "batch": 1,
        "source": None,
        "source_version": None,
        "source_cursor": None,
    }


def test_ingest__nothing_new__makes_no_batch(here: Installation) -> None:
    assert here.ingest() == IngestionReport()
    here.land(record())
    assert here.ingest().batch == 1
    assert here.ingest() == IngestionReport()


def test_ingest__e3__rejects_are_stored_with_reason_object_and_line(here: Installation) -> None:
    here.land(record(), "{", {"events": [record(event="a"), record(identifier=""), record(event="b")]}, [1])
    report = here.ingest()
    assert (report.accepted, report.rejected) == (3, {"empty:identifier": 1, "not_an_object": 1, "not_json": 1})
    rows = sorted(stored(here.lake, "rejected"), key=lambda row: row["line"])
    assert [(row["line"], row["position"], row["reason"]) for row in rows] == [
        (2, None, "not_json"),
        (3, 2, "empty:identifier"),
        (4, None, "not_an_object"),
    ]
    assert {row["object"] for row in rows} == {"events/env_key=prod/2026/03/01/11/20260301T110000Z-a.jsonl"}
    assert rows[0]["record"] == "{"
    assert json.loads(rows[1]["record"]) == record(identifier="")
    assert {(row["environment_key"], row["batch"], row["landed_at"]) for row in rows} == {
        ("prod", 1, datetime(2026, 3, 1, 11, tzinfo=UTC))
    }


def test_ingest__e3__records_of_an_unknown_environment_are_rejected(here: Installation) -> None:
    here.land(record(), {"events": [record(), record()]}, environment="nowhere")
    here.land(record())
    report = here.ingest()
    assert (report.accepted, report.rejected) == (1, {"unknown_environment": 3})


def test_ingest__e3__the_future_is_measured_from_the_arrival_stamp(here: Installation) -> None:
    tomorrow = record(timestamp="2026-03-02T11:00:00Z")
    here.land(tomorrow, name="20260301T110000Z-a.jsonl")
    here.land(tomorrow | {"event": "late"}, name="20260301T105959.999Z-a.jsonl")
    report = here.ingest()
    assert (report.accepted, report.rejected) == (1, {"timestamp_in_future": 1})


def test_ingest__e4__duplicates_count_once_within_a_line_a_file_a_batch_and_across_batches(here: Installation) -> None:
    here.land({"events": [record(), record()]}, record(), name="20260301T110000Z-a.jsonl")
    here.land(record(traits=None, metadata=None), name="20260301T110001Z-b.jsonl.gz")
    first = here.ingest()
    assert (first.accepted, first.duplicates) == (1, 3)
    here.land(record(), record(identifier="bob"), name="20260301T110002Z-c.jsonl")
    second = here.ingest()
    assert (second.accepted, second.duplicates) == (1, 1)
    assert sorted(zip(here.column("batch"), here.column("identifier"), strict=True)) == [(1, "ada"), (2, "bob")]


@pytest.mark.parametrize(
    "other",
    [
        {"event": "other"}, {"feature_name": "x"}, {"feature_name": ""}, {"identifier": "bob"}, {"value": None},
        {"value": ""}, {"value": "9.990"}, {"timestamp": 1_772_000_000_001}, {"event_id": "1"},
        {"identifier": "ada ", "value": "9.99"},
    ],
)  # fmt: skip
def test_ingest__e4__a_difference_in_any_part_of_the_key_is_another_event(here: Installation, other: Any) -> None:
    here.land(record(), record(**other))
    assert here.ingest().accepted == 2


def test_ingest__e4__what_is_equal_as_text_is_equal(here: Installation) -> None:
    here.land(
        record(value="7"), record(value=7), record(value="true"), record(value=True), record(value="1.50"),
        json.dumps(record(value=0)).replace(": 0", ": 1.50"), record(event_id=""), record(event_id=None),
        record(timestamp="2026-02-25T07:13:20.0009+01:00"),
    )  # fmt: skip
    report = here.ingest()
    assert (report.accepted, report.duplicates) == (4, 5)
    assert sorted(here.column("value")) == ["1.50", "7", "9.99", "true"]


def test_ingest__e4__parts_of_the_key_do_not_run_into_each_other(here: Installation) -> None:
    here.land(
        record(event="a", feature_name="b", identifier="c"),
        record(event="ab", feature_name=None, identifier="c"),
        record(event="a1:b", feature_name="", identifier="c"),
        record(event="a", feature_name="b1:c", identifier="c"),
        record(event="a", feature_name="b", identifier="c1:c"),
        record(value="1", event_id="2"),
        record(value="12", event_id=None),
        record(value=None, event_id="1:1"),
    )
    assert here.ingest().accepted == 8


def test_ingest__e4__the_first_to_arrive_is_kept(here: Installation) -> None:
    here.land(record(metadata={"n": 2}), name="20260301T110002Z-a.jsonl")
    here.land(record(metadata={"n": 1}), name="20260301T110001Z-b.jsonl")
    here.ingest()
    assert here.column("metadata") == ['{"n":1}']


def test_ingest__e4__the_first_is_kept_where_sql_leaves_it_to_python(here: Installation) -> None:
    here.land(record(event_id="in a line", metadata={"text": "\x01"}), record(event_id="in a line", metadata={"n": 2}))
    enveloped = [record(event_id="in one", metadata={"text": "\x01"}), record(event_id="in one", metadata={"n": 2})]
    here.land({"events": enveloped}, name="20260301T110001Z-b.jsonl")
    assert here.ingest().duplicates == 2
    assert here.column("metadata") == ['{"text":"\\u0001"}'] * 2


def written(traits: str, *, enveloped: bool) -> str:
    """A purchase with traits in just this form."""
    text = json.dumps(record(traits={})).replace('"traits": {}', f'"traits": {traits}')
    return f'{{"events": [{text}]}}' if enveloped else text


@pytest.mark.parametrize("enveloped", [(False, False), (True, False), (False, True), (True, True)])
@pytest.mark.parametrize("traits", ['{"n":1}', '{"n":1E2}'])  # SQL leaves the second form to Python
@pytest.mark.parametrize("other", ["20260301T110000Z-a.jsonl", "20260301T110000Z-b.jsonl"])
def test_ingest__e4__the_first_delivery_in_a_batch_keeps_its_traits(
    here: Installation, enveloped: tuple[bool, bool], traits: str, other: str
) -> None:
    first, second = written(traits, enveloped=enveloped[0]), written('{"n":2}', enveloped=enveloped[1])
    if other.endswith("a.jsonl"):
        here.land(first, second)
    else:
        here.land(first)
        here.land(second, name=other)
    here.ingest()
    assert here.column("traits") == [traits]


def test_ingest__redelivered_shuffled_under_other_names__changes_nothing(here: Installation) -> None:
    rows = [record(identifier=f"user-{n % 50}", timestamp=1_768_000_000_000 + n * 20_000_000) for n in range(200)]
    here.land(*rows)
    assert here.ingest().accepted == 200
    random.Random(7).shuffle(rows)
    here.land(*rows[:90], name="20260301T113000Z-b.jsonl.gz")
    here.land({"events": rows[70:]}, name="20260301T113100Z-c.jsonl.gz")
    report = here.ingest()
    assert (report.accepted, report.duplicates) == (0, 220)


def test_ingest__e5__numeric_values(here: Installation) -> None:
    values = ["1", "-2.5e1", "abc", "1e400", " 1", None, 3, True, 1e-7]
    here.land(*(record(value=value, event_id=str(at)) for at, value in enumerate(values)))
    here.ingest()
    kept = dict(zip(here.column("event_id"), here.column("numeric_value"), strict=True))
    assert [kept[str(at)] for at in range(len(values))] == [1.0, -25.0, None, None, None, None, 3.0, None, 1e-7]


def test_ingest__e6__arrival_is_the_stamp_in_the_name_or_the_time_of_the_file(here: Installation) -> None:
    here.land(record(), name="20260301T110000.000001Z-a.jsonl")
    here.land(record(event_id="2"), name="unstamped.jsonl")
    here.ingest()
    landed = sorted(here.column("landed_at"))
    assert landed[0] == datetime(2026, 3, 1, 11, 0, 0, 1, tzinfo=UTC)
    assert landed[1] > NOW


def test_ingest__e8__keys_stay_text(here: Installation) -> None:
    here.ledger.known_environments = {"123", "007", "a.b_c-d"}
    for environment in here.ledger.known_environments:
        here.land(record(environment_key=environment), environment=environment)
    here.ingest()
    assert sorted(here.column("environment_key")) == ["007", "123", "a.b_c-d"]


def test_ingest__unicode_survives(here: Installation) -> None:
    names = [
        "Zoë",
        "名前",
        "🎈",
        "a\x00b",
        "line\u2028separator",
        "\u0085",
        'tab\tquote"back\\slash',
        " ",
        "e\u0301",
        "é",
    ]
    here.land(*(record(identifier=name) for name in names))
    here.land(*(json.dumps(record(identifier=name), ensure_ascii=False) for name in names), name="b.jsonl")
    report = here.ingest()
    assert (report.accepted, report.duplicates) == (len(names), len(names))
    assert sorted(here.column("identifier")) == sorted(names)


def test_ingest__objects_that_are_being_written_or_are_something_else__are_left_alone(here: Installation) -> None:
    here.land(record(), name=".20260301T110000Z-a.jsonl")
    here.land(record(), name="20260301T110000Z-a.jsonl.tmp")
    here.land(record(), name="notes.txt")
    assert here.ingest() == IngestionReport()


def test_ingest__damaged_objects__keep_their_good_lines_and_are_marked(here: Installation) -> None:
    lines = "".join(json.dumps(record(event_id=str(n))) + "\n" for n in range(2_000)).encode()
    packed = gzip.compress(lines)
    damaged = packed[:-8] + bytes(8)
    land(here.landing, packed[: len(packed) // 2], "a-truncated.jsonl.gz")
    land(here.landing, damaged, "b-corrupt.jsonl.gz")
    land(here.landing, b"", "c-empty.jsonl")
    land(here.landing, gzip.compress(b""), "d-empty.jsonl.gz")
    land(here.landing, b"\x00\xff binary\n\x01\x02", "e-binary.jsonl")
    land(here.landing, json.dumps(record(event="plain")).encode(), "f-plain.jsonl.gz")
    land(here.landing, gzip.compress(lines) + gzip.compress(json.dumps(record(event="second")).encode()), "g.jsonl.gz")
    report = here.ingest()
    assert {name.rpartition("/")[2]: problem for name, problem in report.problems.items()} == {
        "a-truncated.jsonl.gz": "truncated_gzip",
        "b-corrupt.jsonl.gz": "corrupt_gzip",
        "c-empty.jsonl": "empty",
        "d-empty.jsonl.gz": "empty",
        "e-binary.jsonl": "not_json",
        "f-plain.jsonl.gz": "not_gzip",
    }
    assert report.accepted == 2_002
    assert report.rejected == {"not_json": 3}  # two binary lines, and the line at which the gzip breaks off


def test_ingest__an_object_that_is_gone__is_marked(here: Installation) -> None:
    here.land(record())
    batch = here.ledger.plan_batch(list(landed_objects(here.landing)), NOW)
    for landed in batch.objects:
        (here.landing / landed.name).unlink()
    assert list(here.ingest().problems.values()) == ["missing"]


def test_ingest__an_interrupted_batch__is_finished_first(here: Installation) -> None:
    here.land(record())
    here.ledger.dies = True
    with pytest.raises(KeyboardInterrupt):
        here.ingest()
    here.land(record(), record(identifier="bob"), "{", name="20260301T110001Z-b.jsonl")
    report = here.ingest()
    assert report == IngestionReport(2, objects=2, accepted=2, duplicates=1, rejected={"not_json": 1})
    assert sorted(zip(here.column("batch"), here.column("identifier"), strict=True)) == [(1, "ada"), (2, "bob")]


def test_ingest__interrupted_between_the_tables__keeps_to_what_was_known_of_environments(
    here: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    here.land(record(), environment="new")
    with monkeypatch.context() as patch:
        patch.setattr(Staging, "write_events", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            here.ingest()
    here.ledger.known_environments = {"new"}
    report = here.ingest()
    assert (report.accepted, report.rejected) == (0, {"unknown_environment": 1})
    assert len(stored(here.lake, "rejected")) == 1


@pytest.mark.parametrize("begun_in", [None, "Asia/Kolkata"])
def test_ingest__interrupted_between_the_tables__keeps_to_the_time_zone_that_it_was_begun_in(
    here: Installation, monkeypatch: pytest.MonkeyPatch, begun_in: str | None
) -> None:
    here.land(record(timestamp="2026-02-25T11:43:20"))
    with monkeypatch.context() as patch:
        patch.setattr(Staging, "write_events", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            ingest(here.lake, here.ledger, here.landing, NOW, timezone=begun_in)
    report = ingest(here.lake, here.ledger, here.landing, NOW, timezone="UTC" if begun_in is None else None)
    expected = (0, {"timestamp_without_zone": 1}) if begun_in is None else (1, {})
    assert (report.accepted, report.rejected) == expected
    assert len(stored(here.lake, "rejected")) == (begun_in is None)
    assert here.column("timestamp") == ([] if begun_in is None else [datetime(2026, 2, 25, 6, 13, 20, tzinfo=UTC)])


def test_write_batch__outrun_by_another_process__adds_nothing(here: Installation) -> None:
    here.land(record(), "{")
    slow = Snapshot.open_or_create(here.lake.root, EVENTS)
    report = here.ingest()
    with pytest.raises(Conflict, match="another process committed first"):
        slow.commit_batch(here.ledger.batches[0], "memory", [], BatchSummary(0, 0, {}, {}))
    again = write_batch(here.lake, here.ledger.batches[0], here.landing, {PROD}, installation="memory")
    assert (again.accepted, again.rejected) == (report.accepted, report.rejected)
    assert (len(stored(here.lake)), len(stored(here.lake, "rejected"))) == (1, 1)


def test_ingest__that_fails_at_its_second_file__leaves_none_and_goes_on(here: Installation) -> None:
    """One file per month; a file is in the way of the second month's folder."""
    here.land(record(event_id="february"), record(event_id="march", timestamp=1_772_330_000_000))
    obstacle = here.lake.folder / "events/environment_key=prod/month=2026-03"
    obstacle.parent.mkdir(parents=True)
    obstacle.touch()
    with pytest.raises(FileExistsError):
        here.ingest()
    assert unnamed_files(here.lake.folder) == []
    obstacle.unlink()
    here.ingest()
    assert sorted(here.column("month")) == ["2026-02", "2026-03"]


def test_event_files__are_pruned_by_environment_and_month(here: Installation) -> None:
    assert here.lake.event_files(PROD, Window(NOW, NOW)).events == []
    here.ledger.known_environments = {PROD, "prod2"}
    here.land(record(timestamp="2025-12-31T23:59:59.999Z"), record(timestamp="2026-01-01T00:00:00Z"))
    here.land(record(timestamp="2026-01-01T00:00:00Z"), environment="prod2")
    here.ingest()
    new_year = datetime(2026, 1, 1, tzinfo=UTC)
    assert len(here.lake.event_files(PROD, Window(new_year, NOW)).events) == 1
    assert len(here.lake.event_files(PROD, Window(datetime(2025, 6, 1, tzinfo=UTC), NOW)).events) == 2
    assert here.lake.event_files("nowhere", Window(new_year, NOW)).events == []


def test_ingest__commits_carry_the_installation_and_all_that_the_registry_knows_of_the_batch(
    here: Installation,
) -> None:
    here.land(record(), "{")
    here.ingest()
    events = DeltaTable(here.lake.folder / "events")
    assert here.ledger.installation == Pair("memory", str(events.metadata().id))
    for table in (events, DeltaTable(here.lake.folder / "rejected")):
        newest = table.history(1)[0]
        (landed,) = here.ledger.batches[0].objects
        assert newest["batch"] == 1
        assert newest["installation"] == "memory"
        assert newest["planned_at"] == NOW.isoformat()
        assert newest["objects"] == [to_fields(landed)]


@pytest.mark.parametrize("text", ["{0}", "  {0}  ", '{{"events": [{0}]}}'])
def test_ingest__e3__older_events_enter_from_a_range_that_says_so_and_from_no_other(
    here: Installation, text: str
) -> None:
    """Records that SQL judges, and an envelope, which is judged record by record."""
    days = ["2015-01-01T00:00:00.000Z", "2014-12-31T23:59:59.999Z", 1_420_070_400_001, "2015-01-01T01:00:00.5+01:00"]
    texts = "".join(f"{text.format(json.dumps(record(timestamp=day)))}\n" for day in days)
    for source in ("v1-since20150101-1-a", "v1-1-a"):
        folder = here.landing / "events" / f"env_key={PROD}" / "sources" / "orders" / source
        folder.mkdir(parents=True)
        (folder / "20260301T110000Z-a.jsonl").write_text(texts)
    here.land(*texts.splitlines())
    report = here.ingest()
    assert (report.accepted, report.rejected) == (3, {"timestamp_too_old": 1 + 4 + 4})
    stamps = sorted(stamp.isoformat() for stamp in here.column("timestamp"))
    assert stamps == [
        "2015-01-01T00:00:00+00:00",
        "2015-01-01T00:00:00.001000+00:00",
        "2015-01-01T00:00:00.500000+00:00",
    ]
    assert set(here.column("month")) == {"2015-01"}


def test_ingest__of_two_environments__counts_the_records_of_each(here: Installation) -> None:
    here.ledger.known_environments = {PROD, "staging"}
    here.land(record(), record(), "{")
    here.land(record(), record(identifier="bob"), record(identifier=""), "{", "{", environment="staging")
    here.ingest()
    here.land(record(), name="20260301T110001Z-b.jsonl")
    here.ingest()
    assert here.ledger.by_environment == {
        1: {
            PROD: {"accepted": 1, "duplicates": 1, "rejected": {"not_json": 1}, "retried": {}},
            "staging": {
                "accepted": 2,
                "duplicates": 0,
                "rejected": {"empty:identifier": 1, "not_json": 2},
                "retried": {},
            },
        },
        2: {PROD: {"accepted": 0, "duplicates": 1, "rejected": {}, "retried": {}}},
    }


def test_batch_commits__of_an_earlier_release__have_no_counts_by_environment(here: Installation) -> None:
    here.land(record(), "{")
    here.ingest()
    (commit,) = Snapshot.open(here.lake.root, EVENTS).batch_commits()
    assert commit.summary.by_environment == here.ledger.by_environment[1]
    properties = {**commit.to_properties(), "timestamp": 0}
    assert isinstance(properties["summary"], dict)
    del properties["summary"]["by_environment"]
    assert BatchCommit.from_properties(properties).summary.by_environment is None
