"""SQLite: types of values become types of columns, and nothing but the query is read (rules D1, D3)."""

import sqlite3
from contextlib import closing
from pathlib import Path

import polars as pl
import pytest

from experiment_pipeline.errors import ConfigurationError, SourceUnreachable
from experiment_pipeline.sources import sqlite_rows
from experiment_pipeline.sources.databases import open_database
from experiment_pipeline.sources.source_rows import BATCH_ROWS, CursorRange, Database, SourceRows
from experiment_pipeline.sources.sqlite_rows import SqliteRows

VALUES: dict[
    tuple[object, ...], tuple[pl.DataType, list[object]]
] = {  # the column's values: its type in Polars, and the values in it
    (1, 2): (pl.Int64(), [1, 2]),
    (1, 2.5): (pl.Float64(), [1.0, 2.5]),
    ("a", None): (pl.String(), ["a", None]),
    (1, "a"): (pl.String(), ["1", "a"]),
    (0.1 + 0.2, 1.0, "a"): (pl.String(), ["0.30000000000000004", "1.0", "a"]),
    (None, None): (pl.String(), [None, None]),
    (b"a", b"b"): (pl.Binary(), [b"a", b"b"]),
}


def database(folder: Path, values: tuple[object, ...]) -> Database:
    with closing(sqlite3.connect(folder / "shop.db")) as connection:
        connection.execute("create table t (it)")
        connection.executemany("insert into t values (?)", [(value,) for value in values])
        connection.commit()
    return open_database(f"sqlite://{folder}/shop.db", "shop")


def read(rows: SourceRows) -> list[object]:
    with closing(rows):
        return pl.concat(rows.batches()).to_series().to_list()


@pytest.mark.parametrize("values", VALUES)
def test_sqlite__column__has_the_type_that_all_its_values_have(tmp_path: Path, values: tuple[object, ...]) -> None:
    rows = database(tmp_path, values).rows("select it from t")
    assert (dict(rows.schema), read(rows)) == ({"it": VALUES[values][0]}, VALUES[values][1])


def test_sqlite__more_rows_than_a_batch__come_in_several(tmp_path: Path) -> None:
    counting = f"with recursive n(it) as (select 1 union all select it + 1 from n where it < {BATCH_ROWS + 1})"
    with closing(database(tmp_path, (1,)).rows(f"{counting} select it from n")) as rows:
        assert [batch.height for batch in rows.batches()] == [BATCH_ROWS, 1]


def test_sqlite__cursor_with_another_value_in_the_middle__is_refused_with_its_range(tmp_path: Path) -> None:
    shop = database(tmp_path, (1, 2.5, 3))
    assert shop.newest("select it from t", "it") == 3
    refused = pytest.raises(ConfigurationError, match="is of integer and real values")
    with closing(shop.rows("select it from t", CursorRange("it", 1, 3))) as rows, refused:
        next(rows.batches())


@pytest.mark.parametrize("values", [(1, "a"), (1.5, 2.5), (b"a",)])
def test_sqlite__cursor_of_other_values__is_refused(tmp_path: Path, values: tuple[object, ...]) -> None:
    with pytest.raises(ConfigurationError, match=r"cursor\.column: Column 'it' is of .* values: must be"):
        database(tmp_path, values).newest("select it from t", "it")


def test_sqlite__newest_value__is_found_by_the_index_alone(tmp_path: Path) -> None:
    (shop := database(tmp_path, (1, 2))).newest("select it from t", "it")
    with closing(sqlite3.connect(tmp_path / "shop.db")) as connection:
        connection.execute("create index by_it on t (it)")
        connection.executemany("insert into t values (?)", [(value,) for value in range(200_000)])
        connection.commit()
    steps = 0

    def count() -> None:
        nonlocal steps
        steps += 1

    with closing(shop.rows("select it from t")) as rows:
        assert isinstance(rows, SqliteRows)
        rows._connection.set_progress_handler(count, 1_000)
        assert rows.newest("it") == 199_999
    assert steps < 10  # thousands of steps: there are several for each row that is looked at


@pytest.mark.parametrize("query", ["select * from pragma_table_info('t')", "select load_extension('x')"])
def test_sqlite__functions_that_do_more_than_read__are_refused(tmp_path: Path, query: str) -> None:
    with pytest.raises(ConfigurationError, match="Must be one SELECT statement"):
        _ = database(tmp_path, (1,)).rows(query).schema


def test_sqlite__file_that_is_none__is_refused(tmp_path: Path) -> None:
    (tmp_path / "shop.db").write_text("user,amount" * 100)
    with pytest.raises(ConfigurationError, match=r"connections\.shop: The file cannot be read: file is not a database"):
        open_database(f"sqlite://{tmp_path}/shop.db", "shop").rows("select user from t")


def test_sqlite__locked_file__is_told_as_one_to_try_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shop = database(tmp_path, (1,))
    monkeypatch.setattr(sqlite_rows, "LOCK_TIMEOUT", 0.01)
    with closing(sqlite3.connect(tmp_path / "shop.db", isolation_level=None)) as connection:
        connection.execute("begin exclusive")
        with pytest.raises(SourceUnreachable, match="Another process has locked the file"):
            shop.rows("select it from t")


def test_sqlite__relative_path__is_below_the_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    database(tmp_path, (1,))
    monkeypatch.chdir(tmp_path)
    assert read(open_database("sqlite://shop.db", "shop").rows("select it from t")) == [1]


def test_sqlite__column_whose_name_ends_in_a_number__is_one_like_others(tmp_path: Path) -> None:
    with closing(database(tmp_path, (1,)).rows('select it, it as "a:1" from t')) as rows:
        assert list(rows.schema) == ["it", "a:1"]
