"""Files of a source: which are found, which are read again, and what is refused (rules D1, D3)."""

import base64
import json
import os
import struct
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import polars as pl
import pytest
from deltalake import write_deltalake

from experiment_pipeline.domain.source_ranges import ReadSoFar, SourceRange
from experiment_pipeline.errors import ConfigurationError, Conflict
from experiment_pipeline.sources import file_ranges
from experiment_pipeline.sources.file_ranges import FileRanges
from experiment_pipeline.sources.file_states import EPOCH
from tests.lake.ledger import NOW

NOTHING = ReadSoFar()
ROWS = pl.DataFrame({"user": ["a", "b"], "amount": ["1", "2"]})


def write(path: Path, rows: pl.DataFrame = ROWS) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    rows.write_parquet(path)
    return path


def names(files: Path | str) -> list[str]:
    return [Path(file.path).name for file in FileRanges(str(files), None).found()]


def read(files: Path | str, query: str | None = None) -> list[dict[str, object]]:
    return pl.concat(FileRanges(str(files), query).sample().batches(), how="diagonal").to_dicts()


def test_found__path_glob_and_folder__are_files_by_name_without_hidden_ones(tmp_path: Path) -> None:
    for name in ("b.parquet", "a.parquet", ".c.parquet", "_d.parquet", "deep/e.parquet", ".f/g.parquet"):
        write(tmp_path / name)
    (tmp_path / "notes.txt").touch()
    assert names(tmp_path / "a.parquet") == ["a.parquet"]
    assert names(f"{tmp_path}/*.parquet") == ["a.parquet", "b.parquet"]
    assert names(f"{tmp_path}/**/*.parquet") == ["a.parquet", "b.parquet", "e.parquet"]
    assert names(tmp_path) == ["a.parquet", "b.parquet", "e.parquet"]
    assert names(f"{tmp_path}/**") == ["a.parquet", "b.parquet", "e.parquet"]


def test_found__glob__leaves_out_what_a_folder_does(tmp_path: Path) -> None:
    for name in ("_exports/a.parquet", "_exports/_temporary/b.parquet", "_exports/c/.d/e.parquet"):
        write(tmp_path / name)
    (tmp_path / "_exports" / "README.txt").touch()
    for pattern in ("_exports", "_exports/**", "_exports/*"):
        assert names(tmp_path / pattern) == ["a.parquet"], pattern


def test_found__path_that_looks_like_a_pattern__is_that_file(tmp_path: Path) -> None:
    for name in ("o[1].parquet", "o1.parquet"):
        write(tmp_path / name)
    assert names(tmp_path / "o[1].parquet") == ["o[1].parquet"]
    assert names(f"{tmp_path}/o[0-9].parquet") == ["o1.parquet"]


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("*.csv", "There is no file .* of a kind that can be read: .parquet"),
        ("*", "There is no file .* of a kind that can be read: .parquet"),
        ("notes.txt", "'notes.txt' is no file that can be read: .parquet"),
    ],
)
def test_found__nothing_or_another_kind__is_refused(tmp_path: Path, pattern: str, message: str) -> None:
    (tmp_path / "notes.txt").touch()
    with pytest.raises(ConfigurationError, match=rf"files: {message}"):
        FileRanges(f"{tmp_path}/{pattern}", None).found()


def test_rows__hive_folders__are_a_column_of_text(tmp_path: Path) -> None:
    write(tmp_path / "day=01/a.parquet", ROWS.head(1))
    write(tmp_path / "day=02/a.parquet", ROWS.tail(1))
    assert [(row["user"], row["day"]) for row in read(f"{tmp_path}/*/*.parquet")] == [("a", "01"), ("b", "02")]


def test_rows__columns_in_another_order_or_missing__are_taken_by_name(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("user,amount\na,1\n")
    (tmp_path / "b.csv").write_text("amount;user;more\n2;b;x\n")
    (tmp_path / "c.csv").write_text("user\nc\n")
    found = sorted(read(f"{tmp_path}/*.csv"), key=lambda row: str(row["user"]))
    assert found == [
        {"user": "a", "amount": "1", "more": None},
        {"user": "b", "amount": "2", "more": "x"},
        {"user": "c", "amount": None, "more": None},
    ]


def test_rows__files_of_several_kinds__are_refused(tmp_path: Path) -> None:
    write(tmp_path / "a.parquet")
    ROWS.write_csv(tmp_path / "b.csv")
    with pytest.raises(ConfigurationError, match=r"files: Must be files of one kind, and some are \.csv, some \.parqu"):
        FileRanges(str(tmp_path), None).sample()


def test_rows__query_with_an_unknown_column__names_the_query(tmp_path: Path) -> None:
    write(tmp_path / "a.parquet")
    with pytest.raises(ConfigurationError, match=r"^query: Binder Error.*amonut"):
        FileRanges(str(tmp_path), "select amonut from files").sample()


def test_delta__newest_version__is_what_is_read(tmp_path: Path) -> None:
    days = ROWS.with_columns(day=pl.Series(["1", "2"]))
    write_deltalake(str(tmp_path), days, partition_by=["day"])
    write_deltalake(str(tmp_path), days.with_columns(user=pl.lit("new")), mode="overwrite", partition_by=["day"])
    assert sorted((str(row["day"]), row["user"]) for row in read(tmp_path)) == [("1", "new"), ("2", "new")]
    write_deltalake(str(tmp_path), days.head(1), mode="append")
    assert len(FileRanges(str(tmp_path), None).found()) == 3


@pytest.mark.parametrize("name", ["a table", "ü#?&"])
def test_delta__folder_or_partition_of_any_name__is_read(tmp_path: Path, name: str) -> None:
    table = tmp_path / name
    write_deltalake(table.as_uri(), ROWS.with_columns(day=pl.Series(["x", "a/b c%d"])), partition_by=["day"])
    assert [Path(file.path).is_relative_to(table) for file in FileRanges(str(table), None).found()] == [True, True]
    assert len(read(table)) == 2


B85, Z85 = (
    "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz!#$%&()*+-;<=>?@^_`{|}~",
    "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#",
)


def deletion_vector(first: int, second: int) -> dict[str, object]:
    """Two rows as Delta's protocol marks them as deleted within the log: a Roaring bitmap with one array of numbers."""
    bitmap = struct.pack("<IIHHIHH", 12_346, 1, 0, 1, 16, first, second)
    content = struct.pack("<IQI", 1_681_511_377, 1, 0) + bitmap
    text = base64.b85encode(content).decode().translate(str.maketrans(B85, Z85))
    return {"storageType": "i", "pathOrInlineDv": text, "sizeInBytes": len(content), "cardinality": 2}


def test_delta__table_with_rows_that_are_marked_as_deleted__is_refused(tmp_path: Path) -> None:
    configuration = {"delta.enableDeletionVectors": "true", "delta.minReaderVersion": "3"}
    write_deltalake(str(tmp_path), pl.DataFrame({"user": range(40)}), configuration=configuration)
    assert len(FileRanges(str(tmp_path), None).found()) == 1
    log = tmp_path / "_delta_log" / f"{0:020}.json"
    actions = [json.loads(line) for line in log.read_text("utf-8").splitlines()]
    for action in actions:
        action.get("add", {})["deletionVector"] = deletion_vector(3, 4)
    log.write_text("\n".join(map(json.dumps, actions)), "utf-8")
    with pytest.raises(ConfigurationError, match="is a Delta table with deletion vectors or mapped columns"):
        FileRanges(str(tmp_path), None).found()


def test_delta__table_whose_columns_have_other_names_in_its_files__is_refused(tmp_path: Path) -> None:
    write_deltalake(str(tmp_path), ROWS)
    log = tmp_path / "_delta_log" / f"{0:020}.json"
    actions = [json.loads(line) for line in log.read_text("utf-8").splitlines()]
    for action in actions:
        action.get("metaData", {})["configuration"] = {"delta.columnMapping.mode": "name"}
    log.write_text("\n".join(map(json.dumps, actions)), "utf-8")
    with pytest.raises(ConfigurationError, match="deletion vectors or mapped columns"):
        FileRanges(str(tmp_path), None).found()


def test_delta__broken_log__is_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "_delta_log").mkdir()
    with pytest.raises(ConfigurationError, match="is no Delta table that can be read") as refused:
        FileRanges(str(tmp_path), None).found()
    assert "\n" not in str(refused.value)


def test_unread__files_that_are_read__come_again_when_they_change(tmp_path: Path) -> None:
    first, second = write(tmp_path / "a.parquet"), write(tmp_path / "b.parquet")
    ranges = FileRanges(str(tmp_path), None)
    (content,) = ranges.unread(NOTHING)
    known = ReadSoFar(content.files)
    assert list(ranges.unread(known)) == []
    os.utime(first, (1, 1))
    (again,) = ranges.unread(known)
    assert [file.path for file in again.files] == [str(first)]
    first.unlink()
    second.unlink()
    assert list(ranges.unread(known)) == []  # they were read: that they are gone is no mistake
    with pytest.raises(ConfigurationError):
        list(ranges.unread(NOTHING))


def test_unread__since_a_moment__leaves_what_is_older(tmp_path: Path) -> None:
    for name, seconds in (("a.parquet", 1_000), ("b.parquet", 3_000)):
        os.utime(write(tmp_path / name), (seconds, seconds))
    ranges = FileRanges(str(tmp_path), None)
    (newer,) = ranges.unread(NOTHING, EPOCH + timedelta(seconds=2_000))
    assert [Path(file.path).name for file in newer.files] == ["b.parquet"]


def test_unread__many_files__are_several_ranges(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(5):
        write(tmp_path / f"{number}.parquet")
    size = (tmp_path / "0.parquet").stat().st_size
    ranges = FileRanges(str(tmp_path), None)
    monkeypatch.setattr(file_ranges, "RANGE_FILES", 3)
    assert [len(some.files) for some in ranges.unread(NOTHING)] == [3, 2]
    monkeypatch.setattr(file_ranges, "RANGE_BYTES", 2 * size)
    assert [len(some.files) for some in ranges.unread(NOTHING)] == [2, 2, 1]
    monkeypatch.setattr(file_ranges, "RANGE_BYTES", 1)
    assert [len(some.files) for some in ranges.unread(NOTHING)] == [1, 1, 1, 1, 1]


def test_require_unchanged__file_of_another_time_or_gone__is_a_conflict(tmp_path: Path) -> None:
    path = write(tmp_path / "a.parquet")
    ranges = FileRanges(str(path), None)
    planned = SourceRange("orders", 1, 1, "v1-1", NOW, files=tuple(ranges.found()))
    ranges.require_unchanged(planned)
    assert ranges.can_read_again(planned)
    assert not ranges.can_read_again(replace(planned, files=(replace(planned.files[0], bytes=1),)))
    path.unlink()
    assert not ranges.can_read_again(planned)
    with pytest.raises(Conflict, match="has changed while it was read"):
        ranges.require_unchanged(planned)
