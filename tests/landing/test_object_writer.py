"""Events that a collector puts into a bucket, over a real S3-compatible server."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from experiment_pipeline.errors import Overloaded, StorageUnavailable
from experiment_pipeline.landing.layout import stamp
from experiment_pipeline.landing.object_writer import ObjectWriter
from experiment_pipeline.storage.object_path import ObjectPath, store_of
from tests.object_storage import object_server

pytestmark = pytest.mark.slow
AGE = timedelta(seconds=5)


def writer(landing: ObjectPath, **changes: object) -> ObjectWriter:
    limits = {"object_bytes": 1 << 20, "object_age": AGE, "interval": timedelta(0), "buffer_bytes": 1 << 22} | changes
    return ObjectWriter(landing, **limits)  # type: ignore[arg-type]


@pytest.fixture
def landing(object_storage: str, tmp_path: Path) -> ObjectPath:
    return ObjectPath.of_url(object_storage, tmp_path) / "landing"


def contents(landing: ObjectPath) -> list[bytes]:
    return [each.path.read_bytes() for each in landing.below() if each.path.name.endswith(".jsonl")]


def test_append__is_done_once_the_bucket_has_the_lines(landing: ObjectPath) -> None:
    seconds: list[float] = []
    opened = writer(landing, on_put=seconds.append)
    begun = datetime.now(UTC)
    opened.append("prod", b"1\n").result()
    assert contents(landing) == [b"1\n"]
    (found,) = landing.below()
    assert found.path.key.startswith(f"{landing.key}/events/env_key=prod/{begun:%Y/%m}")
    assert begun <= (stamp(found.path.name) or begun) <= datetime.now(UTC)
    assert len(seconds) == 1
    opened.close()


def test_appends_within_the_interval__are_one_object_of_each_environment(landing: ObjectPath) -> None:
    opened = writer(landing, interval=timedelta(seconds=30))
    waiting = [opened.append(key, f"{n}\n".encode()) for n in range(50) for key in ("prod", "test")]
    opened.close()  # does not wait for the interval
    for each in waiting:
        each.result()
    assert sorted(contents(landing)) == [b"".join(b"%d\n" % n for n in range(50))] * 2


def test_appends_of_more_than_an_object__are_several(landing: ObjectPath) -> None:
    opened = writer(landing, interval=timedelta(seconds=30), object_bytes=4)
    for each in [opened.append("prod", b"1\n") for _ in range(5)]:
        each.result()
    opened.close()
    assert b"".join(contents(landing)) == b"1\n" * 5
    assert max(len(each) for each in contents(landing)) <= 4


def test_append__beyond_the_buffer_or_after_the_end__is_refused(landing: ObjectPath) -> None:
    opened = writer(landing, interval=timedelta(seconds=30), buffer_bytes=4)
    opened.append("prod", b"123\n")
    with pytest.raises(Overloaded):
        opened.append("prod", b"4\n")
    opened.close()
    with pytest.raises(Overloaded):
        opened.append("prod", b"4\n")
    assert opened.refusals() == ["the landing zone's writer has stopped"]


def test_appends_of_many_threads__are_all_there_once(landing: ObjectPath) -> None:
    opened = writer(landing, interval=timedelta(milliseconds=10))
    with ThreadPoolExecutor(16) as senders:
        list(senders.map(lambda n: opened.append("prod", b"%d\n" % n).result(), range(400)))
    opened.close()
    assert sorted(b"".join(contents(landing)).split()) == sorted(b"%d" % n for n in range(400))


def test_server_that_was_killed__is_told_and_nothing_is_acknowledged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with object_server() as server:
        for name, value in server.environment.items():
            monkeypatch.setenv(name, value)
        store_of.cache_clear()
        opened = writer(ObjectPath.of_url(f"{server.bucket}/landing", tmp_path))
        assert opened.refusals() == []
        server.process.kill()
        server.process.wait()
        with pytest.raises(StorageUnavailable):
            opened.append("prod", b"1\n").result()
        assert opened.refusals() == ["the object storage does not take events"]
        opened.close()
