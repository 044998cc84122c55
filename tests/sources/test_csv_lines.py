"""Lines of CSV files: names of columns, and ends of lines of two kinds."""

import gzip
from pathlib import Path

import pytest

from experiment_pipeline.errors import ConfigurationError
from experiment_pipeline.sources.csv_lines import csv_header, other_line_end
from experiment_pipeline.sources.file_rows import FileRows

UNIX, WINDOWS = "LF (Unix)", "CR LF (Windows)"


@pytest.mark.parametrize(
    ("line", "delimiter", "names"),
    [
        ("id,at", ",", ("id", "at")),
        ('id;"a,b";at', ";", ("id", "a,b", "at")),
        ("\ufeffid\tat", "\t", ("id", "at")),
        ('"two\nlines",at', ",", ("two\nlines", "at")),
    ],
)
def test_csv_header__delimiter_and_names__are_found(
    tmp_path: Path, line: str, delimiter: str, names: tuple[str, ...]
) -> None:
    (tmp_path / "a.csv").write_text(f"{line}\n1,2\n")
    assert csv_header(tmp_path / "a.csv", "file") == (delimiter, names)


@pytest.mark.parametrize("line", ["id,ID,at", "ä,Ä", "id,id"])
def test_csv_header__names_that_differ_by_case_only__are_refused_with_both(tmp_path: Path, line: str) -> None:
    (tmp_path / "a.csv").write_text(f"{line}\n1,2,3\n")
    one, other = sorted(line.split(",")[:2])
    with pytest.raises(ConfigurationError, match=rf"each once, whatever their case: '{one}' and '{other}' are one"):
        FileRows([tmp_path / "a.csv"])


@pytest.mark.parametrize(
    ("content", "line", "end", "before"),
    [
        (b"id,v\r\n1,2\n3,4\r\n", 2, UNIX, WINDOWS),
        (b'id,v\n1,"a\r\nb"\n3,4\r\n', 4, WINDOWS, UNIX),
    ],
)
def test_file_rows__ends_of_lines_of_two_kinds__are_refused_with_line_and_remedy(
    tmp_path: Path, content: bytes, line: int, end: str, before: str
) -> None:
    for name, written in (("a.csv", content), ("a.csv.gz", gzip.compress(content))):
        (tmp_path / name).write_bytes(written)
        with pytest.raises(ConfigurationError) as refused:
            list(FileRows([tmp_path / name]).batches())
        found = f"file: Line {line} of '{name}' ends in {end} and those before it in {before}: "
        assert str(refused.value) == f"{found}save the file with one kind of line end."


@pytest.mark.parametrize("content", [b'id,v\r\n1,"a\nb"\r\n3,4', b"id\n1\n", b""])
def test_other_line_end__one_kind__is_none(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.csv").write_bytes(content)
    assert other_line_end(tmp_path / "a.csv") is None
