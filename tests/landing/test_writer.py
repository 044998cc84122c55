"""Open segments: grouped, published whole, recovered, and never half a line."""

import resource
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path

import pytest

from experiment_pipeline.errors import Overloaded
from experiment_pipeline.landing.landing_zone import landed_objects
from experiment_pipeline.landing.segments import OPEN, oldest_age, recover
from experiment_pipeline.landing.writer import SegmentWriter

HOUR = timedelta(hours=1)


def writer(landing: Path, *, size: int = 1 << 20, age: timedelta = HOUR, buffer: int = 1 << 20) -> SegmentWriter:
    return SegmentWriter(landing, object_bytes=size, object_age=age, buffer_bytes=buffer)


def visible(landing: Path) -> list[bytes]:
    return [(landing / each.name).read_bytes() for each in landed_objects(landing)]


def test_append__many__one_object_per_environment_with_its_stamp(tmp_path: Path) -> None:
    segments = writer(tmp_path)
    done = [segments.append(key, b'{"n": %d}\n' % number) for number in range(50) for key in ("a", "b")]
    for each in done:
        each.result(timeout=60)
    assert visible(tmp_path) == []
    assert oldest_age(tmp_path) > timedelta(0)
    segments.close()
    found = list(landed_objects(tmp_path))
    assert [each.environment_key for each in found] == ["a", "b"]
    assert visible(tmp_path) == [b"".join(b'{"n": %d}\n' % number for number in range(50))] * 2
    assert all(each.landed_at.strftime("%Y/%m/%d/%H") in each.name for each in found)
    with pytest.raises(Overloaded):
        segments.append("a", b"late\n")


def test_append__large_or_old__is_published_while_running(tmp_path: Path) -> None:
    for age, size in ((HOUR, 1), (timedelta(seconds=0.05), 1 << 20)):
        landing = tmp_path / str(size)
        segments = writer(landing, size=size, age=age)
        segments.append("a", b"1\n").result(timeout=60)
        for _ in range(3_000):
            if visible(landing):
                break
            time.sleep(0.02)
        assert visible(landing) == [b"1\n"]
        segments.close()


def test_append__by_a_clock_that_was_a_year_ahead__is_published_once_it_is_right(tmp_path: Path) -> None:
    segments = writer(tmp_path)
    segments.append("a", b"1\n").result(timeout=60)
    (segment,) = segments._segments.values()
    segment.opened_at += timedelta(days=366)
    segments.append("b", b"2\n").result(timeout=60)  # the thread looks at what is due whenever something comes
    for _ in range(3_000):
        if visible(tmp_path):
            break
        time.sleep(0.02)
    assert visible(tmp_path) == [b"1\n"]
    segments.close()


def test_append__over_the_buffer__is_refused(tmp_path: Path) -> None:
    with pytest.raises(Overloaded):
        writer(tmp_path, buffer=3).append("a", b"1234\n")


def test_recover__dead_process__whole_lines_become_visible_and_a_torn_one_goes(tmp_path: Path) -> None:
    folder = tmp_path / OPEN / "env_key=a"
    folder.mkdir(parents=True)
    stamp = "20260302T120000.000001Z"
    (folder / f"{stamp}-1.jsonl").write_bytes(b"1\n2\n" + b"x" * 200_000)
    (folder / f"{stamp}-2.jsonl").write_bytes(b"torn")
    (folder / f"{stamp}-3.jsonl").write_bytes(b"")
    assert recover(tmp_path) == 3
    assert [each.name for each in landed_objects(tmp_path)] == [f"events/env_key=a/2026/03/02/12/{stamp}-1.jsonl"]
    assert visible(tmp_path) == [b"1\n2\n"]
    assert recover(tmp_path) == 0


def test_recover__living_process__keeps_its_segment(tmp_path: Path) -> None:
    segments = writer(tmp_path)
    segments.append("a", b"1\n").result(timeout=60)
    assert recover(tmp_path) == 0
    segments.append("a", b"2\n").result(timeout=60)
    segments.close()
    assert visible(tmp_path) == [b"1\n2\n"]


FULL = """
import sys
from pathlib import Path
from tests.landing.test_writer import fill_up
fill_up(Path(sys.argv[1]))
"""


def fill_up(landing: Path) -> None:
    """Write in a process whose files may hold 1,000 bytes: the write that ends in the middle, as on a full disk."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000, 1_000))
    segments = writer(landing)
    segments.append("a", b"a" * 599 + b"\n").result(timeout=60)
    for _ in range(2):
        refused = segments.append("a", b"b" * 1_599 + b"\n").exception(timeout=60)
        assert isinstance(refused, OSError), refused
    segments.append("a", b"c" * 599 + b"\n").result(timeout=60)
    segments.close()


def test_append__file_cannot_grow__fails_that_group_alone(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-c", FULL, str(tmp_path)], check=True, timeout=60)
    assert sorted(visible(tmp_path)) == [b"a" * 599 + b"\n", b"c" * 599 + b"\n"]
