"""Columns of JSON lines: every line counts, and a text stays as it is written (rule D1)."""

from pathlib import Path

import polars as pl
import pytest

from experiment_pipeline.errors import ConfigurationError
from experiment_pipeline.sources.file_rows import FileRows

SAMPLED = 20_480  # lines that DuckDB would take its types from
UUID = "A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11"


def read(folder: Path, *lines: str, query: str | None = None) -> pl.DataFrame:
    (folder / "rows.jsonl").write_text("\n".join(lines) + "\n")
    return pl.concat(FileRows([folder / "rows.jsonl"], query=query).batches())


@pytest.mark.parametrize(
    "written", [UUID, "2026-11-02", "10:00:00", "2026-11-02 10:00:00", "2026-11-02T10:00:00+01:00"]
)
def test_json_columns__text__stays_as_it_is_written(tmp_path: Path, written: str) -> None:
    found = read(tmp_path, f'{{"id": "{written}", "l": ["{written}"], "o": {{"x, y": "{written}"}}}}')
    assert found.to_dicts() == [{"id": written, "l": [written], "o": {"x, y": written}}]


def test_json_columns__texts_and_numbers__are_texts_without_quotes(tmp_path: Path) -> None:
    found = read(tmp_path, '{"id": "u1", "x": 1}', '{"id": 7, "x": {"a": "b"}}', '{"id": null}')
    assert found.rows() == [("u1", "1"), ("7", '{"a":"b"}'), (None, None)]


def test_json_columns__number_after_many_whole_ones__keeps_its_fraction(tmp_path: Path) -> None:
    found = read(tmp_path, *['{"v": 10}'] * SAMPLED, '{"v": 9.49}')
    assert found["v"].sort().head(1).to_list() == [9.49]


def test_json_columns__key_of_a_late_line__is_a_column(tmp_path: Path) -> None:
    found = read(tmp_path, *['{"v": 10}'] * SAMPLED, '{"v": 1, "late": "x"}')
    assert found["late"].drop_nulls().to_list() == ["x"]


def test_json_columns__time_that_is_none_after_many__is_a_text_of_its_row(tmp_path: Path) -> None:
    found = read(tmp_path, *['{"at": "2026-11-02T10:00:00Z"}'] * SAMPLED, '{"at": "soon"}')
    assert found["at"].value_counts(sort=True)["at"].to_list() == ["2026-11-02T10:00:00Z", "soon"]


def test_json_columns__numbers_and_truth__keep_their_types_in_a_query(tmp_path: Path) -> None:
    found = read(tmp_path, '{"a": 1, "b": true, "c": 1.5, "o": {"p": 2}}', query="select a + c as d, b, o.p from files")
    assert found.to_dicts() == [{"d": 2.5, "b": True, "p": 2}]


def test_json_columns__keys_that_differ_by_case_alone__are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="differ by the case of their letters only: 'A'"):
        read(tmp_path, '{"a": 1, "A": 2}')


def test_json_columns__key_that_ends_in_a_number__is_a_column_like_others(tmp_path: Path) -> None:
    assert read(tmp_path, '{"a": 1, "a_1": 2}').rows() == [(1, 2)]
