"""Folders that name a column: every one above a file, as text, and never in the place of a column of the files."""

from pathlib import Path

import polars as pl

from experiment_pipeline.sources.file_ranges import FileRanges
from experiment_pipeline.sources.hive_folders import folder_columns


def test_folder_columns__of_any_folder__are_named_once() -> None:
    files = [Path(f"/a/country={country}/2026/day=01/a.csv") for country in ("DE", "FR")]
    found = folder_columns([*files, Path("/a/=x/name=/b.csv"), Path("/a/plan=a=b/c=d.csv")])
    assert found == ["country", "day", "name", "plan"]


def read(folder: Path) -> list[dict[str, object]]:
    rows = FileRanges(str(folder), None).sample()
    return pl.concat(rows.batches()).sort("user").to_dicts()


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_rows__folders_of_several_depths_and_names__are_columns_where_a_row_is_below_one(tmp_path: Path) -> None:
    write(tmp_path / "country=DE/2026/part.csv", "user\na\n")
    write(tmp_path / "country=a%2Fb's/day=01/part.csv", "user\nb\n")
    write(tmp_path / "day=__HIVE_DEFAULT_PARTITION__/part.csv", "user\nc\n")
    assert read(tmp_path) == [
        {"user": "a", "country": "DE", "day": None},
        {"user": "b", "country": "a/b's", "day": "01"},
        {"user": "c", "country": None, "day": None},
    ]


def test_rows__folder_with_the_name_of_a_column__leaves_the_column_as_it_is(tmp_path: Path) -> None:
    write(tmp_path / "country=DE/day=01/part.csv", "user,Country\na,FR\n")
    assert read(tmp_path) == [{"user": "a", "Country": "FR", "day": "01"}]


def test_rows__parquet_in_folders__keep_their_types(tmp_path: Path) -> None:
    (tmp_path / "day=01").mkdir()
    pl.DataFrame({"user": [7], "amount": [1.5]}).write_parquet(tmp_path / "day=01" / "a.parquet")
    assert read(tmp_path) == [{"user": 7, "amount": 1.5, "day": "01"}]
