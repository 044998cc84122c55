"""Paths of objects over a real S3-compatible server."""

import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from experiment_pipeline.errors import StorageUnavailable
from experiment_pipeline.storage import delta_tables
from experiment_pipeline.storage.delta_tables import is_table
from experiment_pipeline.storage.object_path import PART_BYTES, ObjectPath, store_of


@pytest.fixture
def root(object_storage: str, tmp_path: Path) -> ObjectPath:
    return ObjectPath.of_url(object_storage, tmp_path)


@pytest.mark.parametrize(
    "url", ["s3:/bucket", "http://bucket/x", "s3://b/x", "s3://bucket/a b", "s3://key:secret@bucket", "s3://UPPER/x"]
)
def test_of_url__no_url_of_a_bucket__is_refused(url: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="must look like"):
        ObjectPath.of_url(url, tmp_path)


def test_parts__are_those_of_a_path(tmp_path: Path) -> None:
    path = ObjectPath.of_url("s3://bucket/pre/", tmp_path) / "a" / "b.c.parquet"
    assert (str(path), path.name, path.stem) == ("s3://bucket/pre/a/b.c.parquet", "b.c.parquet", "b.c")
    assert str(path.parent) == "s3://bucket/pre/a"
    assert str(path.with_suffix(".json")) == "s3://bucket/pre/a/b.c.json"
    assert str(path.relative_to(path.parent.parent)) == "a/b.c.parquet"


@pytest.mark.slow
def test_write_read_delete__over_a_server(root: ObjectPath, tmp_path: Path) -> None:
    path = root / "a" / "month=2026-03" / "x.json"
    assert not path.exists()
    path.write_text("ä")
    assert path.read_text() == "ä"
    assert path.stat().st_size == 2
    path.write_text("b")
    assert path.open("rb").read() == b"b"
    path.download(tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == b"b"
    path.unlink()
    path.unlink(missing_ok=True)
    for ask in (path.stat, path.read_bytes, lambda: path.download(tmp_path / "none")):
        with pytest.raises(FileNotFoundError):
            ask()


@pytest.mark.slow
def test_upload_and_download__of_several_parts__give_the_same_bytes(root: ObjectPath, tmp_path: Path) -> None:
    large = bytes(range(256)) * (PART_BYTES // 256) + b"end"
    (tmp_path / "large").write_bytes(large)
    (root / "large").upload(tmp_path / "large")
    (root / "large").download(tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == large


@pytest.mark.slow
def test_create__by_sixteen_at_once__has_one_winner(root: ObjectPath) -> None:
    path, ready, won = root / "lease", threading.Barrier(16), []

    def create(number: int) -> None:
        ready.wait()
        try:
            path.create(str(number).encode())
        except FileExistsError:
            return
        won.append(number)

    threads = [threading.Thread(target=create, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1
    assert path.read_text() == str(won[0])


@pytest.mark.slow
def test_replace_version__of_an_older_version__is_refused(root: ObjectPath) -> None:
    path = root / "lease"
    first = path.create(b"1")
    second = path.replace_version(b"2", first)
    with pytest.raises(FileExistsError):
        path.replace_version(b"3", first)
    assert path.read() == (b"2", second)


@pytest.mark.slow
def test_listings__have_keys_in_order_after_an_offset_and_by_pattern(root: ObjectPath) -> None:
    for name in ("totals/a-1.json", "totals/c/x.parquet", "totals/b-2.json", "kept/a-1.2.parquet"):
        (root / name).write_text("x")
    assert [str(each.path.relative_to(root)) for each in root.below(after="totals/a-1.json")] == [
        *("totals/b-2.json", "totals/c/x.parquet"),
    ]
    assert [each.path.name for each in (root / "totals").below()] == ["a-1.json", "b-2.json", "x.parquet"]
    assert [path.name for path in root.iterdir()] == ["kept", "totals"]
    assert sorted(path.name for path in (root / "totals").iterdir()) == ["a-1.json", "b-2.json", "c"]
    assert [path.name for path in root.glob("*/*.json")] == ["a-1.json", "b-2.json"]
    assert [path.name for path in root.glob("*/*/*.parquet")] == ["x.parquet"]
    assert [path.name for path in (root / "kept").glob("a-1.*.parquet")] == ["a-1.2.parquet"]


@pytest.mark.slow
def test_stat__has_the_time_of_the_store(root: ObjectPath) -> None:
    (root / "x").write_text("x")
    assert abs((root / "x").stat().modified_at - datetime.now(UTC)) < timedelta(hours=1)


def test_server_that_is_away__is_told_without_what_an_address_may_have_signed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_ALLOW_HTTP", "true")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key-of-nobody")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret-of-nobody")
    store_of.cache_clear()
    with pytest.raises(StorageUnavailable, match="s3://bucket cannot be used") as away:
        list(ObjectPath.of_url("s3://bucket/pre", tmp_path).within(timedelta(seconds=1)).below())
    store_of.cache_clear()
    monkeypatch.setattr(delta_tables, "RETRIES", 0)
    with pytest.raises(StorageUnavailable, match="s3://bucket cannot be used: Generic S3 error Error") as of_delta:
        is_table(ObjectPath.of_url("s3://bucket/pre", tmp_path))
    for told in (str(away.value), str(of_delta.value)):
        assert not {"?", "\n", "\x1b", "of-nobody"} & {*told, *told.split()}
        assert "of-nobody" not in told
