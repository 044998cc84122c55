"""What lies among the open segments and is none: left alone, named, and nobody's hindrance."""

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from experiment_pipeline.landing.landing_zone import landed_objects
from experiment_pipeline.landing.segments import OPEN, oldest_age, recover, require_writable, strays
from experiment_pipeline.landing.writer import SegmentWriter
from tests.landing.test_writer import HOUR, visible, writer

STAMP = "20260302T120000.000001Z"
STRAYS = ("README", "env_key=a/20260230T120000.000001Z-1.jsonl", "env_key=a/backup.tar", "env_key=a/notes.jsonl")
FOLDERS = ("env_key=a/20260302T120000.000001Z-2.jsonl", "env_key=a/old.jsonl", "lost+found")


@pytest.fixture
def littered(tmp_path: Path) -> Path:
    """A landing zone with a dead process's segment, and files, folders and links beside it."""
    opened = tmp_path / OPEN
    (opened / "env_key=a").mkdir(parents=True)
    for name in STRAYS:
        (opened / name).write_bytes(b"1\n")
    for name in FOLDERS:
        (opened / name).mkdir()
    (opened / f"env_key=a/{STAMP}-3.jsonl").symlink_to(tmp_path)
    os.mkfifo(opened / f"env_key=a/{STAMP}-4.jsonl")
    (opened / f"env_key=a/{STAMP}-9.jsonl").write_bytes(b"left behind\n")
    return tmp_path


def named() -> list[str]:
    links = (f"env_key=a/{STAMP}-3.jsonl", f"env_key=a/{STAMP}-4.jsonl")
    return sorted(f"{OPEN}/{name}" for name in (*STRAYS, *FOLDERS, *links))


def test_recover__strays_among_segments__publishes_the_segments_and_leaves_the_rest(littered: Path) -> None:
    assert recover(littered) == 1
    assert visible(littered) == [b"left behind\n"]
    assert strays(littered) == named()


def test_append__strays_among_segments__lands_and_names_each_once(littered: Path) -> None:
    with capture_logs() as lines:
        segments = writer(littered)
        for _ in range(3):
            segments.append("a", b"1\n").result(timeout=60)
        assert segments.refusals() == []
        segments.close()
    told = [line["path"] for line in lines if line["event"] == "landing.stray"]
    assert told == named()
    assert sorted(visible(littered)) == [b"1\n1\n1\n", b"left behind\n"]


def test_recover__segment_that_cannot_be_published__costs_no_other(tmp_path: Path) -> None:
    for key in ("a", "b"):
        folder = tmp_path / OPEN / f"env_key={key}"
        folder.mkdir(parents=True)
        (folder / f"{STAMP}-1.jsonl").write_bytes(b"1\n")
    (tmp_path / "events").mkdir()
    (tmp_path / "events" / "env_key=a").write_text("in the way")
    with pytest.raises(OSError, match="env_key=a"):
        recover(tmp_path)
    (tmp_path / "events" / "env_key=a").unlink()
    assert [each.environment_key for each in landed_objects(tmp_path)] == ["b"]


def test_refusals__one_environment_cannot_be_written__is_named_until_it_can(tmp_path: Path) -> None:
    segments = writer(tmp_path)
    segments.append("b", b"1\n").result(timeout=60)
    (tmp_path / OPEN / "env_key=a").write_text("in the way")
    assert isinstance(segments.append("a", b"1\n").exception(timeout=60), OSError)
    assert segments.refusals() == ["events of 'a' cannot be written (File exists)"]
    segments.append("b", b"2\n").result(timeout=60)
    (tmp_path / OPEN / "env_key=a").unlink()
    assert segments.refusals() == []
    segments.append("a", b"1\n").result(timeout=60)
    segments.close()


def test_refusals__landing_zone_cannot_be_written__says_so(tmp_path: Path) -> None:
    (tmp_path / "landing").write_text("in the way")
    segments = SegmentWriter(tmp_path / "landing", object_bytes=1, object_age=HOUR, buffer_bytes=1_000)
    assert segments.refusals() == ["the landing zone cannot be written"]


def test_refusals__closed_writer__says_so(tmp_path: Path) -> None:
    segments = writer(tmp_path)
    segments.append("a", b"1\n").result(timeout=60)
    segments.close()
    assert segments.refusals() == ["the landing zone's writer has stopped"]


def test_oldest_age__segment_of_a_clock_that_was_a_year_ahead__is_nothing(tmp_path: Path) -> None:
    folder = tmp_path / OPEN / "env_key=a"
    folder.mkdir(parents=True)
    ahead = datetime.now(UTC) + timedelta(days=366)
    (folder / f"{ahead:%Y%m%dT%H%M%S.%f}Z-1.jsonl").write_bytes(b"1\n")
    assert oldest_age(tmp_path) == timedelta(0)
    (folder / f"{STAMP}-2.jsonl").write_bytes(b"1\n")
    assert oldest_age(tmp_path) > timedelta(days=1)


def test_require_writable__leaves_nothing_behind(tmp_path: Path) -> None:
    require_writable(tmp_path, "a")
    assert list((tmp_path / OPEN / "env_key=a").iterdir()) == []
