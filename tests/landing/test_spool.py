"""A local spool of events that are brought to a bucket of a real S3-compatible server."""

from datetime import timedelta
from pathlib import Path

import pytest

from experiment_pipeline.landing.landing_zone import landed_objects
from experiment_pipeline.landing.spool import SpooledWriter, upload
from experiment_pipeline.storage.object_path import ObjectPath, store_of

pytestmark = pytest.mark.slow
LIMITS = {"object_bytes": 1 << 20, "object_age": timedelta(0), "buffer_bytes": 1 << 22}


@pytest.fixture
def landing(object_storage: str, tmp_path: Path) -> ObjectPath:
    return ObjectPath.of_url(object_storage, tmp_path / "scratch") / "landing"


def contents(landing: ObjectPath) -> list[bytes]:
    return [each.path.read_bytes() for each in landing.below()]


def test_append__is_on_the_local_disk_and_in_the_bucket_after_the_end(landing: ObjectPath, tmp_path: Path) -> None:
    opened = SpooledWriter(tmp_path / "spool", landing, **LIMITS)
    opened.start()
    opened.append("prod", b"1\n").result()
    opened.close()
    assert contents(landing) == [b"1\n"]
    assert list(landed_objects(tmp_path / "spool")) == []


def test_upload__of_what_a_killed_process_has_brought_already__writes_it_no_second_time(
    landing: ObjectPath, tmp_path: Path
) -> None:
    name = "events/env_key=prod/2026/03/01/05/20260301T050000.000000Z-a.jsonl"
    local = tmp_path / "spool" / name
    local.parent.mkdir(parents=True)
    local.write_bytes(b"again\n")
    (landing / name).write_bytes(b"first\n")
    assert upload(tmp_path / "spool", landing) == 1
    assert contents(landing) == [b"first\n"]
    assert not local.exists()
    assert not (tmp_path / "spool/events/env_key=prod/2026/03").exists()


def test_bucket_that_is_away__keeps_what_was_acknowledged_until_it_is_back(
    landing: ObjectPath, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as away:
        away.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
        away.setattr("experiment_pipeline.storage.object_path.RETRIES", 0)
        store_of.cache_clear()
        opened = SpooledWriter(tmp_path / "spool", landing, **LIMITS)
        opened.start()
        opened.append("prod", b"1\n").result()
        opened.close()
        assert len(list(landed_objects(tmp_path / "spool"))) == 1
    store_of.cache_clear()
    upload(tmp_path / "spool", landing)
    assert contents(landing) == [b"1\n"]
