"""Rows of files: what is read of each kind, and what is refused."""

import gzip
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from experiment_pipeline.errors import ConfigurationError
from experiment_pipeline.sources.file_rows import FileRows

ROWS = pl.DataFrame({"user_id": ["007", "8"], "amount": ["12.5", None]})
WRITERS: dict[str, Callable[[Path], object]] = {
    "rows.parquet": ROWS.write_parquet,
    "rows.csv": ROWS.write_csv,
    "ROWS.CSV": ROWS.write_csv,
    "rows.tsv": lambda path: ROWS.write_csv(path, separator="\t"),
    "semicolons.csv": lambda path: ROWS.write_csv(path, separator=";"),
    "marked.csv": lambda path: ROWS.write_csv(path, include_bom=True),
    "rows.csv.gz": lambda path: path.write_bytes(gzip.compress(ROWS.write_csv().encode())),
    "rows.jsonl": ROWS.write_ndjson,
}


def read(rows: FileRows) -> pl.DataFrame:
    return pl.concat(rows.batches())


@pytest.mark.parametrize("name", WRITERS)
def test_file_rows__every_kind__is_read_as_it_is_written(tmp_path: Path, name: str) -> None:
    WRITERS[name](tmp_path / name)
    rows = FileRows([tmp_path / name])
    assert (read(rows).to_dicts(), rows.rows, list(rows.schema)) == (ROWS.to_dicts(), 2, ["user_id", "amount"])


def test_file_rows__csv__keeps_quoted_lines_and_reads_empty_fields_as_null(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text('a,"b ""c"""\n"x\ny",\n"1,5",2\n')
    assert read(FileRows([tmp_path / "rows.csv"])).rows() == [("x\ny", None), ("1,5", "2")]


def test_file_rows__csv_number_columns__are_numbers_where_every_value_is_one(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("age,share,zip,name\n34,0.5,01234,x\n35,1,12345,2\n,,,\n")
    rows = FileRows([tmp_path / "rows.csv"], numbers=["age", "share", "zip", "name"])
    assert dict(rows.schema) == {"age": pl.Int64, "share": pl.Float64, "zip": pl.String, "name": pl.String}


def test_file_rows__query__reads_the_files_alone(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("user,amount\na,1\nb,2\n")
    (tmp_path / "secret.csv").write_text("password\nx\n")
    query = "select user, amount::int * 2 as twice from files where amount > '1';"
    assert read(FileRows([tmp_path / "rows.csv"], query=query)).rows() == [("b", 4)]
    with pytest.raises(ConfigurationError, match="disabled by configuration"):
        FileRows([tmp_path / "rows.csv"], query=f"from read_csv('{tmp_path}/secret.csv')")


@pytest.mark.parametrize(
    "query",
    [
        "copy files to 'out.csv'",
        "select 1; select 2",
        "create table t as select 1",
        "set enable_external_access = true",
        "attach 'a.db'",
        "",
    ],
)
def test_file_rows__query_that_is_not_one_select__is_refused(
    tmp_path: Path, query: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "rows.csv").write_text("user\na\n")
    with pytest.raises(ConfigurationError, match="query: Must be one SELECT statement"):
        FileRows([tmp_path / "rows.csv"], query=query)
    assert [path.name for path in tmp_path.iterdir()] == ["rows.csv"]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("rows.xlsx", b"", "'rows.xlsx' is no file that can be read: .parquet, .csv"),
        ("rows.parquet.gz", b"", "is no file that can be read"),
        ("rows.parquet", b"user\na\n", "[Pp]arquet"),
        ("rows.csv", b"", "must name its columns, each once"),
        ("rows.csv", b"a,a\n1,2\n", "must name its columns, each once"),
        ("rows.csv", b"a,\n1,2\n", "must name its columns, each once"),
        ("rows.csv", "name\nMüller\n".encode("latin-1"), "is not UTF-8 text"),
        ("rows.csv", b"name\n" + b"x\n" * 100_000 + "Müller\n".encode("latin-1"), "not utf-8 encoded"),
        ("rows.csv.gz", b"a\n1\n", "'rows.csv.gz' is not compressed with gzip"),
        ("rows.jsonl", b'{"a": 1\n', "Malformed JSON"),
    ],
)
def test_file_rows__file_that_is_not_what_its_name_says__is_refused(
    tmp_path: Path, name: str, content: bytes, message: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ConfigurationError, match=message) as refused:
        read(FileRows([tmp_path / name]))
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("end", [" -- nothing else", "; -- c", " /* c */ ;\n", ";;"])
def test_file_rows__comment_or_semicolon_at_the_end_of_the_query__is_read(tmp_path: Path, end: str) -> None:
    (tmp_path / "rows.csv").write_text("user,age\na,1\nb,2\n")
    rows = FileRows([tmp_path / "rows.csv"], query=f"select * from files where user <> 'a'{end}", numbers=["age"])
    assert (rows.rows, read(rows).to_dicts(), rows.first(1)["age"].to_list()) == (1, [{"user": "b", "age": 2}], [2])


@pytest.mark.parametrize("name", ["o[1].csv", "o*.csv", "o?.csv", "[*].csv", "it's.csv", "o[1].jsonl", "o[1].parquet"])
def test_file_rows__name_with_characters_of_a_pattern__is_that_file_alone(tmp_path: Path, name: str) -> None:
    kind = name.rpartition(".")[2]
    for each in (name, f"o1.{kind}", f"ox.{kind}"):
        rows = pl.DataFrame({"user": [each]})
        writers: dict[str, Callable[[Path], object]] = {"csv": rows.write_csv, "jsonl": rows.write_ndjson}
        writers.get(kind, rows.write_parquet)(tmp_path / each)
    assert read(FileRows([tmp_path / name])).to_dicts() == [{"user": name}]
    assert read(FileRows(sorted(tmp_path.iterdir()))).height == 3


def test_file_rows__line_with_too_few_fields__is_refused_with_its_number(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("a,b\n1,2\n3\n4,5\n")
    with pytest.raises(ConfigurationError, match=r"Line: 3.*Expected Number of Columns: 2 Found: 1"):
        read(FileRows([tmp_path / "rows.csv"]))


TWINS = ["select a, b as a from files", "select a, b as A from files", "select *, a from files"]


@pytest.mark.parametrize("query", TWINS)
def test_file_rows__query_with_two_columns_of_one_name__is_refused(tmp_path: Path, query: str) -> None:
    (tmp_path / "rows.csv").write_text("a,b\n1,2\n")
    with pytest.raises(ConfigurationError, match="query: Two columns have the name 'a'"):
        FileRows([tmp_path / "rows.csv"], query=query)


def refusals(file: Path) -> list[ConfigurationError]:
    """Errors of a query, with the frames that they were raised in."""
    found = []
    for _ in range(5):
        with pytest.raises(ConfigurationError) as refused:
            FileRows([file], query="select b from files")
        found.append(refused.value)
    return found


def test_file_rows__that_are_refused__leave_no_database_open(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("a\n1\n")
    kept = refusals(tmp_path / "rows.csv")
    threads = len(list(Path("/proc/self/task").iterdir()))  # a database has some of its own
    kept += refusals(tmp_path / "rows.csv")
    assert len(list(Path("/proc/self/task").iterdir())) == threads, kept
