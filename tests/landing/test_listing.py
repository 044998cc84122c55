"""Listing the landing zone: what counts as an object, when it landed, and how little is looked at again."""

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from experiment_pipeline.lake.ingestion import IngestionReport, has_landed, ingest, landing_state
from experiment_pipeline.lake.lake import Lake
from experiment_pipeline.landing import settled
from experiment_pipeline.landing.landing_zone import landed_objects
from experiment_pipeline.landing.layout import stamp
from experiment_pipeline.landing.listing import Listing
from experiment_pipeline.landing.settled import SETTLED, read_settled
from tests.lake.ledger import NOW, MemoryLedger, land, record
from tests.landing.permissions import modes_count

PROD = Path("events/env_key=prod")


@pytest.mark.parametrize(
    ("name", "landed"),
    [
        ("20260102T030405Z-a.jsonl", datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)),
        ("20260102T030405.678901Z-a.jsonl", datetime(2026, 1, 2, 3, 4, 5, 678_901, tzinfo=UTC)),
        ("20260102T030405.5Z-a.jsonl", datetime(2026, 1, 2, 3, 4, 5, 500_000, tzinfo=UTC)),
        ("20260230T030405Z-a.jsonl", None),
        ("20260102T030405-a.jsonl", None),
        ("a-20260102T030405Z-.jsonl", None),
        ("99991231T235959Z-a.jsonl", None),
    ],
)
def test_stamp__is_what_a_name_begins_with(name: str, landed: datetime | None) -> None:
    assert stamp(name) == landed


class Zone:
    """A landing zone, a lake and a ledger."""

    def __init__(self, root: Path) -> None:
        self.root = root / "landing"
        self.lake = Lake(root / "lake")
        self.ledger = MemoryLedger()

    def ingest(self, *, whole: bool = False) -> IngestionReport:
        return ingest(self.lake, self.ledger, self.root, NOW, whole=whole)

    def settle(self) -> None:
        """Ingest what there is, and note that it is in."""
        self.ingest()
        assert not has_landed(self.ledger, self.root)
        assert self.looked_into() == []

    def looked_into(self) -> list[str]:
        """Which folders the next ingestion would look into."""
        listing = Listing(self.root, read_settled(self.root, self.ledger.planned_at))
        list(listing.names())
        return [path for path, folder in listing.folders.items() if folder in listing.looked_into]


@pytest.fixture
def zone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Zone:
    monkeypatch.setattr(settled, "SETTLED_MARGIN", timedelta(0))
    found = Zone(tmp_path)
    land(found.root, [record()], "first.jsonl")
    found.settle()
    return found


def aside(tmp_path: Path, name: str = "day", hour: str = "11", identifier: str = "moved") -> Path:
    """A day of events that is prepared beside the landing zone."""
    folder = tmp_path / name / hour
    folder.mkdir(parents=True)
    shutil.copy(land(tmp_path / "prepared", [record(identifier=identifier)], f"{identifier}.jsonl"), folder)
    return tmp_path / name


# --- whatever way an object appears ------------------------------------------------------------------------------


def _move_in_a_day(root: Path, tmp_path: Path) -> None:
    aside(tmp_path).rename(root / PROD / "2026/03/02")


def _move_in_an_environment(root: Path, tmp_path: Path) -> None:
    aside(tmp_path).rename(root / "events/env_key=other")


def _move_one_day_over_another(root: Path, tmp_path: Path) -> None:
    (root / PROD / "2026/03/01").rename(tmp_path / "gone")
    aside(tmp_path).rename(root / PROD / "2026/03/01")


def _swap_two_hours(root: Path, tmp_path: Path) -> None:
    aside(tmp_path).rename(root / PROD / "2026/03/99")
    hour, other = root / PROD / "2026/03/01/11", root / PROD / "2026/03/99/11"
    hour.rename(tmp_path / "hour")
    other.rename(hour)
    (tmp_path / "hour").rename(other)


def _copy_with_its_times(root: Path, tmp_path: Path) -> None:
    day = aside(tmp_path)
    for path in (day / "11" / "moved.jsonl", day / "11", day):
        os.utime(path, (NOW.timestamp(), NOW.timestamp()))
    subprocess.run(["cp", "-a", day, root / PROD / "2026/03/02"], check=True)
    os.utime(root / PROD / "2026/03", (0, 0))


def _copy_into_a_known_hour_and_set_its_time_back(root: Path, tmp_path: Path) -> None:
    hour = root / PROD / "2026/03/01/11"
    times = hour.stat().st_atime_ns, hour.stat().st_mtime_ns
    shutil.copy2(aside(tmp_path) / "11/moved.jsonl", hour)
    os.utime(hour, ns=times)


def _hard_link(root: Path, tmp_path: Path) -> None:
    os.link(aside(tmp_path) / "11/moved.jsonl", root / PROD / "2026/03/01/11/moved.jsonl")


def _symbolic_link_to_a_folder(root: Path, tmp_path: Path) -> None:
    (root / PROD / "linked").symlink_to(aside(tmp_path))


def _below_an_hour(root: Path, tmp_path: Path) -> None:
    aside(tmp_path).rename(root / PROD / "2026/03/01/11/part")


def _straight_below_the_environment(root: Path, tmp_path: Path) -> None:
    (aside(tmp_path) / "11/moved.jsonl").rename(root / PROD / "moved.jsonl")


WAYS = [
    _move_in_a_day,
    _move_in_an_environment,
    _move_one_day_over_another,
    _swap_two_hours,
    _copy_with_its_times,
    _copy_into_a_known_hour_and_set_its_time_back,
    _hard_link,
    _symbolic_link_to_a_folder,
    _below_an_hour,
    _straight_below_the_environment,
]


@pytest.mark.parametrize("appear", WAYS)
def test_ingest__whatever_way_an_object_appears__is_ingested(
    zone: Zone, tmp_path: Path, appear: Callable[[Path, Path], None]
) -> None:
    zone.ledger.known_environments = {"prod", "other"}
    appear(zone.root, tmp_path)
    assert has_landed(zone.ledger, zone.root)
    assert zone.ingest().accepted == 1
    assert not has_landed(zone.ledger, zone.root)


def test_ingest__into_a_folder_that_a_known_one_links_to__is_seen(zone: Zone, tmp_path: Path) -> None:
    (zone.root / PROD / "linked").symlink_to(aside(tmp_path))
    zone.settle()
    shutil.copy(aside(tmp_path, "later", identifier="later") / "11/later.jsonl", tmp_path / "day/11")
    assert zone.ingest().accepted == 1
    (zone.root / PROD / "linked").unlink()
    (zone.root / PROD / "linked").symlink_to(aside(tmp_path, "another", identifier="another"))
    assert zone.ingest().accepted == 1


def test_listing__of_what_was_moved_away_and_back__looks_into_the_parent_alone(zone: Zone, tmp_path: Path) -> None:
    (zone.root / PROD / "2026/03").rename(tmp_path / "03")
    zone.settle()
    (tmp_path / "03").rename(zone.root / PROD / "2026/03")
    assert not has_landed(zone.ledger, zone.root)


# --- how little is looked at again -------------------------------------------------------------------------------


def test_listing__with_nothing_new__looks_into_no_folder(zone: Zone) -> None:
    land(zone.root, [record()], "late.jsonl")
    assert zone.looked_into() == [f"{PROD}/2026/03/01/11"]
    zone.settle()


def test_has_landed__asks_only_about_folders_that_changed_since_all_was_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger, lake = MemoryLedger(), Lake(tmp_path / "lake")
    land(tmp_path, [record()], "old.jsonl")
    ingest(lake, ledger, tmp_path, NOW)
    assert (tmp_path / SETTLED).exists()
    asked = len(ledger.asked)
    assert not has_landed(ledger, tmp_path)
    assert len(ledger.asked) == asked + 1  # within the margin: it might have changed
    monkeypatch.setattr(settled, "SETTLED_MARGIN", timedelta(0))
    assert not has_landed(ledger, tmp_path)
    assert len(ledger.asked) == asked + 1  # nothing was looked into, so nothing was asked
    land(tmp_path, [record()], "late.jsonl")  # into the same hour
    assert has_landed(ledger, tmp_path)


def test_has_landed__with_a_new_ledger__looks_at_everything(zone: Zone) -> None:
    assert has_landed(MemoryLedger(), zone.root)


def test_has_landed__with_the_ledger_of_another_installation_that_is_further_on__looks_at_everything(
    zone: Zone, tmp_path: Path
) -> None:
    another = MemoryLedger()
    for number in range(3):
        land(tmp_path / "elsewhere", [record(identifier=str(number))], f"{number}.jsonl")
        ingest(Lake(tmp_path / "its lake"), another, tmp_path / "elsewhere", NOW + timedelta(hours=1))
    assert another.lake_version().data_version > zone.ledger.lake_version().data_version
    assert has_landed(another, zone.root)


def test_landing_state__while_a_batch_is_open__notes_nothing_that_a_restored_ledger_would_miss(
    zone: Zone,
) -> None:
    backup = list(zone.ledger.batches)
    (zone.root / SETTLED).unlink()
    land(zone.root, [record(identifier="planned")], "planned.jsonl")
    zone.ledger.plan_batch([each for each in landed_objects(zone.root) if "planned" in each.name], NOW)
    assert landing_state(zone.ledger, zone.root).waits
    assert not (zone.root / SETTLED).exists()
    zone.ledger.batches = backup
    assert has_landed(zone.ledger, zone.root)


@pytest.mark.parametrize("note", ["", "[]", "{}", '{"batch": 1, "planned_at": 0, "begun_ns": 9e18, "folders": 7}'])
def test_has_landed__with_a_note_that_says_nothing__looks_at_everything(zone: Zone, note: str) -> None:
    (zone.root / SETTLED).write_text(note)
    assert len(zone.looked_into()) == 6


def test_listing__of_a_clock_that_is_ahead__is_looked_into_again(zone: Zone, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder that changed after the listing began, by the file system's clock, may change again unseen."""
    monkeypatch.setattr(settled, "SETTLED_MARGIN", timedelta(hours=1))
    assert len(zone.looked_into()) == 6


# --- finality (R6) -----------------------------------------------------------------------------------------------


def test_ingest__r6__only_a_whole_listing_is_recorded(zone: Zone) -> None:
    zone.ledger.scanned_at = None
    zone.ingest()
    assert zone.ledger.scanned_at is None
    zone.ingest(whole=True)
    assert zone.ledger.scanned_at == NOW


def test_ingest__r6__of_a_file_system_whose_folders_do_not_tell__is_whole_before_anything_is_final(
    zone: Zone, monkeypatch: pytest.MonkeyPatch
) -> None:
    day = zone.root / PROD / "2026/03/01/11"
    before = day.stat()
    land(zone.root, [record(identifier="late")], "late.jsonl")
    real = os.stat

    def constant(path: str, **options: bool) -> os.stat_result:
        return before if os.fspath(path) == os.fspath(day) else real(path, **options)

    monkeypatch.setattr("experiment_pipeline.landing.listing.os.stat", constant)
    assert not has_landed(zone.ledger, zone.root)
    assert zone.ingest(whole=True).accepted == 1


# --- what cannot be read -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("what", ["object", "hour", "environment"])
def test_ingest__what_may_not_be_read__waits_and_is_named_and_the_rest_comes_in(zone: Zone, what: str) -> None:
    zone.ledger.known_environments = {"prod", "closed"}
    path = land(zone.root, [record(identifier="shut in")], "closed.jsonl", "closed")
    closed = {"object": path, "hour": path.parent, "environment": zone.root / "events/env_key=closed"}[what]
    land(zone.root, [record(identifier="open")], "second.jsonl")
    mode = closed.stat().st_mode
    closed.chmod(0)
    zone.ledger.scanned_at = None
    try:
        with modes_count():
            report = zone.ingest(whole=True)
            assert not has_landed(zone.ledger, zone.root)
            assert not landing_state(zone.ledger, zone.root).all_is_in
    finally:
        closed.chmod(mode)
    assert report.accepted == 1
    slash = "" if what == "object" else "/"
    name = f"{closed.relative_to(zone.root).as_posix()}{slash}"
    assert [(each.name, each.reason) for each in report.unreadable.first] == [(name, "cannot_be_read")]
    assert zone.ledger.scanned_at is None, "nothing may become final while something unknown lies there"
    assert zone.ingest().accepted == 1
    zone.ingest(whole=True)
    assert zone.ledger.scanned_at == NOW


# --- what is no object -------------------------------------------------------------------------------------------


def left_out(zone: Zone) -> dict[str, str]:
    report = zone.ingest()
    assert report.ignored == landing_state(zone.ledger, zone.root).ignored
    return {each.name: each.reason.value for each in report.ignored.first}


def test_ingest__what_is_no_object__is_named_each_time(zone: Zone) -> None:
    hour = zone.root / PROD / "2026/03/01/11"
    land(zone.root, [record()], "table.csv")
    land(zone.root, [record()], "data.jsonl.zst")
    land(zone.root, [record()], "_unfinished.jsonl")
    land(zone.root, [record()], ".unfinished.jsonl")
    land(zone.root, b"", "_SUCCESS")
    for folder in ("_temporary/0", ".staging"):
        (hour / folder).mkdir(parents=True)
        shutil.copy(hour / "first.jsonl", hour / folder / "a.jsonl")
    (zone.root / "events/prod").mkdir()
    shutil.copy(hour / "first.jsonl", zone.root / "events/a.jsonl")
    shutil.copy(hour / "first.jsonl", zone.root / "b.jsonl")
    os.mkfifo(hour / "pipe.jsonl")
    (hour / "nowhere.jsonl").symlink_to("/nowhere")
    expected = {
        "b.jsonl": "wrong_place",
        "events/a.jsonl": "wrong_place",
        "events/prod/": "wrong_place",
        f"{PROD}/2026/03/01/11/_temporary/": "hidden",
        f"{PROD}/2026/03/01/11/_unfinished.jsonl": "hidden",
        f"{PROD}/2026/03/01/11/data.jsonl.zst": "unknown_suffix",
        f"{PROD}/2026/03/01/11/nowhere.jsonl": "broken_link",
        f"{PROD}/2026/03/01/11/pipe.jsonl": "not_a_file",
        f"{PROD}/2026/03/01/11/table.csv": "unknown_suffix",
    }
    assert left_out(zone) == expected
    assert zone.ingest() == IngestionReport()
    assert left_out(zone) == expected  # the hour has settled: what lies in it is known without looking


def test_ingest__many_that_are_no_objects__are_a_count(zone: Zone) -> None:
    for number in range(25):
        land(zone.root, b"", f"{number:02}.csv")
    for _ in range(2):
        report = zone.ingest()
        assert (report.ignored.count, len(report.ignored.first), report.ignored.unnamed) == (25, 20, 5)
        assert report.ignored.first[0].name.endswith("/00.csv")


@pytest.mark.parametrize("hidden", ["_temporary", ".spark-staging", "_temporary/0", "2026/.tmp/11"])
def test_ingest__below_a_hidden_folder_anywhere_in_the_path__is_left_alone_until_it_is_renamed(
    zone: Zone, tmp_path: Path, hidden: str
) -> None:
    target = zone.root / PROD / hidden
    target.parent.mkdir(parents=True, exist_ok=True)
    aside(tmp_path).rename(target)
    assert zone.ingest() == IngestionReport()
    target.rename(zone.root / PROD / "finished")
    assert zone.ingest().accepted == 1


def test_ingest__below_hidden_folders_above_the_landing_zone__is_ingested(tmp_path: Path) -> None:
    zone = Zone(tmp_path / ".local" / "_share")
    land(zone.root, [record()], "a.jsonl")
    assert zone.ingest().accepted == 1


def test_ingest__a_link_whose_target_comes_later__is_read_then(zone: Zone, tmp_path: Path) -> None:
    (zone.root / PROD / "2026/03/01/11/late.jsonl").symlink_to(tmp_path / "day/11/moved.jsonl")
    assert set(left_out(zone).values()) == {"broken_link"}
    aside(tmp_path)
    assert zone.ingest().accepted == 1


@pytest.mark.parametrize("target", ["..", ".", "loop", "../../../.."])
def test_ingest__links_that_loop__end_and_are_named(zone: Zone, target: str) -> None:
    (zone.root / PROD / "2026/loop").symlink_to(target)
    land(zone.root, [record(identifier="new")], "new.jsonl")
    report = zone.ingest()
    assert report.accepted == 1
    assert report.objects == 1
    (found,) = report.ignored.first
    assert (found.name.rstrip("/"), found.reason) == (f"{PROD}/2026/loop", "link_loops")


def test_ingest__a_link_that_leads_to_itself_as_a_file__is_named(zone: Zone) -> None:
    (zone.root / PROD / "2026/me.jsonl").symlink_to("me.jsonl")
    assert left_out(zone) == {f"{PROD}/2026/me.jsonl": "link_loops"}


@pytest.mark.parametrize("name", [b"\xff\xfe.jsonl", b"day\xff", b"env_key=\xff"])
def test_ingest__names_that_are_no_text__are_named_and_hold_up_nothing(zone: Zone, name: bytes) -> None:
    parent = os.fsencode(zone.root / ("events" if name.startswith(b"env") else PROD))
    if name.endswith(b".jsonl"):
        Path(os.fsdecode(parent + b"/" + name)).write_bytes(b"{}\n")
    else:
        Path(os.fsdecode(parent + b"/" + name)).mkdir()
    land(zone.root, [record(identifier="new")], "new.jsonl")
    report = zone.ingest()
    assert report.accepted == 1
    (found,) = report.ignored.first
    assert found.reason == "name_not_text"
    assert found.name.isprintable()
    assert "\\udcff" in found.name


def test_ingest__names_that_a_terminal_would_obey__are_shown_as_text(zone: Zone) -> None:
    land(zone.root, b"", "\x1b[2J\nnew line.csv")
    (name,) = left_out(zone)
    assert name == f"{PROD}/2026/03/01/11/\\x1b[2J\\nnew line.csv"


def test_ingest__a_path_longer_than_the_registry_keeps__is_named(zone: Zone) -> None:
    folder = zone.root / PROD / "/".join(["x" * 200] * 5)
    folder.mkdir(parents=True)
    (folder / f"{'y' * 100}.jsonl").write_text("{}\n")
    land(zone.root, [record(identifier="new")], "new.jsonl")
    report = zone.ingest()
    assert report.accepted == 1
    assert [each.reason for each in report.ignored.first] == ["name_too_long"]


def test_ingest__of_a_very_deep_tree__ends(zone: Zone) -> None:
    folder = zone.root / PROD
    for _ in range(600):
        folder = folder / "d"
        folder.mkdir()
    assert [each.reason for each in zone.ingest().ignored.first] == ["name_too_long"]


@pytest.mark.parametrize("seconds", [-1e10, 0, 253_402_300_800, 1e15])
def test_landed_objects__of_a_file_whose_time_is_no_date__landed_when_it_was_listed(
    tmp_path: Path, seconds: float
) -> None:
    listing = Listing(tmp_path)
    before = datetime.now(UTC) - timedelta(minutes=1)
    assert listing._arrival(None, seconds) > before


@pytest.mark.parametrize("days", [-366 * 7, 1, 366])
@pytest.mark.parametrize("stamped", [True, False])
def test_landed_objects__stamped_by_a_wrong_clock__landed_when_they_were_listed__e6(
    tmp_path: Path, days: int, stamped: bool
) -> None:
    listing = Listing(tmp_path)
    begun = datetime.fromtimestamp(listing.begun_ns / 1e9, UTC)
    wrong = begun + timedelta(days=days)
    assert listing._arrival(wrong if stamped else None, wrong.timestamp() if not stamped else 0) == begun
    right = begun - timedelta(days=1)
    assert listing._arrival(right if stamped else None, right.timestamp() if not stamped else 0) == right


def test_settled_folders__noted_by_a_clock_that_was_ahead__hide_nothing_that_lands_later(zone: Zone) -> None:
    note = json.loads((zone.root / SETTLED).read_text())
    year = timedelta(days=366) // timedelta(microseconds=1) * 1_000
    (zone.root / SETTLED).write_text(json.dumps(note | {"begun_ns": note["begun_ns"] + year}))
    assert zone.looked_into() == [], "it is the note that counts"
    land(zone.root, [record(identifier="later")], "later.jsonl")
    assert zone.ingest().accepted == 1


# --- suffixes ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    ["a.jsonl", "a.ndjson", "a.json", "a.JSONL", "a.NdJson", "a.jsonl.gz", "a.ndjson.GZ", "a.JSON.gz", "b.json.jsonl"],
)
def test_ingest__json_lines_under_every_usual_suffix__are_read(tmp_path: Path, name: str) -> None:
    zone = Zone(tmp_path)
    land(zone.root, [record()], name.replace(".GZ", ".gz"))
    written = zone.root / PROD / "2026/03/01/11" / name.replace(".GZ", ".gz")
    written.rename(written.with_name(name))
    report = zone.ingest()
    assert (report.accepted, report.problems, report.ignored.count) == (1, {}, 0)


def test_landed_objects__are_in_order_of_their_names(tmp_path: Path) -> None:
    for name in ("b.jsonl", "a.jsonl"):
        land(tmp_path, [record()], name)
        land(tmp_path, [record()], name, "another")
    names = [landed.name for landed in landed_objects(tmp_path)]
    assert names == sorted(names)
    assert len(names) == 4
