"""Rows of files that a team already has: Parquet, CSV or JSON lines, read by DuckDB (rule D1).

Files may have other columns than each other: a row has null where its file has no such column. Folders named
`country=DE` are a column, too.

The connection may read these files and no others, writes nothing, and takes one SELECT statement. Columns of CSV are
text, as they are written, so that `007` stays `007`; a query casts them.
"""

import csv
import gzip
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path

import duckdb
import polars as pl
from arro3.core import RecordBatchReader

from experiment_pipeline.domain.texts import printable, quoted
from experiment_pipeline.errors import ConfigurationError
from experiment_pipeline.sources.json_columns import TEXT, json_columns
from experiment_pipeline.sources.source_rows import ONE_SELECT, QUERY, in_double_quotes, in_single_quotes

CSV, TABS, PARQUET = ".csv", ".tsv", ".parquet"
JSON_LINES = (".jsonl", ".ndjson")
KINDS = (PARQUET, CSV, TABS, *JSON_LINES)
READ_AS = {TABS: CSV, JSON_LINES[1]: JSON_LINES[0]}
COMPRESSED = ".gz"  # of text
DELIMITERS = ",;\t|"
MEMORY_LIMIT = "512MiB"
CSV_OPTIONS = "auto_detect = false, header = true, skip = 0, quote = '\"', escape = '\"', strict_mode = true"
WHOLE_NUMBER, NUMBER = r"-?(0|[1-9]\d{0,17})", r"-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?"  # as JSON writes them
FILES = "files"  # the name of the files' rows in a query


class FileRows:
    """The rows of files of one kind, or of a query over them.

    Attributes:
        schema: the columns and their types.
    """

    def __init__(
        self, files: Sequence[Path], *, query: str | None = None, numbers: Iterable[str] = (), field: str = "file"
    ) -> None:
        """Open the files.

        Args:
            files: at least one, all of one kind.
            query: DuckDB SQL over `files`; None for all their rows.
            numbers: columns of CSV that become numbers where all their values are written as such.
            field: what names the files, for messages.

        Raises:
            ConfigurationError: a file is not what its name says, or the query is not one SELECT statement over it.
        """
        self._field = field
        paths = [file.absolute() for file in files]
        with self._refusing():
            self._connection = _connection(paths)
            self._connection.execute(f"create temp view {FILES} as {_all_rows(self._connection, paths, field)}")
        self._field = field if query is None else "query"
        with self._refusing():
            self._query = f"select * from {FILES}" if query is None else _one_select(query)
            self._cast_numbers(numbers)
            self.schema: Mapping[str, pl.DataType] = self._frame(f"select * from ({self._query}) limit 0").schema

    @cached_property
    def rows(self) -> int:
        """The number of rows, which are counted when it is asked for."""
        with self._refusing():
            return int(self._frame(f"select count(*) from ({self._query})").item())

    def batches(self) -> Iterator[pl.DataFrame]:
        """Yield the rows, some at a time, in their order.

        Raises:
            ConfigurationError: a row cannot be read.
        """
        with self._refusing():
            for batch in RecordBatchReader.from_stream(self._connection.sql(self._query)):
                yield pl.DataFrame(batch)

    def first(self, rows: int) -> pl.DataFrame:
        """Return the first rows."""
        with self._refusing():
            return self._frame(f"select * from ({self._query}) limit {rows}")

    def close(self) -> None:
        """Close the files."""
        self._connection.close()

    def _cast_numbers(self, columns: Iterable[str]) -> None:
        """Make numbers of those of the columns that hold nothing else."""
        types = self._frame(f"select * from ({self._query}) limit 0").schema
        texts = [name for name in columns if types.get(name) == pl.String]
        casts = []
        for name in texts:
            column = in_double_quotes(name)
            whole, number = self._connection.execute(
                f"select bool_and(regexp_full_match({column}, $whole)), bool_and(regexp_full_match({column}, $number))"
                f" from ({self._query})",
                {"whole": WHOLE_NUMBER, "number": NUMBER},
            ).fetchall()[0]
            if number:
                casts.append(f"cast({column} as {'bigint' if whole else 'double'}) as {column}")
        if casts:
            self._query = f"select * replace ({', '.join(casts)}) from ({self._query})"

    def _frame(self, query: str) -> pl.DataFrame:
        return pl.DataFrame(RecordBatchReader.from_stream(self._connection.sql(query)).read_all())

    @contextmanager
    def _refusing(self) -> Iterator[None]:
        """Raise what DuckDB says of files and queries as an error that names the field, in one line."""
        try:
            yield
        except ConfigurationError:
            raise
        except (duckdb.Error, OSError) as error:
            raise ConfigurationError.of(self._field, _one_line(error)) from error
        except Exception as error:
            if type(error) is not Exception:  # what comes through an Arrow stream has no class of its own
                raise
            raise ConfigurationError.of(self._field, _one_line(error)) from error


def kind_of(file: Path, field: str) -> str:
    """Return the kind of a file, by its name.

    Raises:
        ConfigurationError: it is none that can be read.
    """
    name = file.name.lower()
    kind = Path(name.removesuffix(COMPRESSED)).suffix
    if kind not in KINDS or (kind == PARQUET and name.endswith(COMPRESSED)):
        allowed = f"{', '.join(KINDS)}; text may be compressed ({COMPRESSED})"
        raise ConfigurationError.of(field, f"{quoted(file.name)} is no file that can be read: {allowed}.")
    return kind


def _connection(files: Iterable[Path]) -> duckdb.DuckDBPyConnection:
    """Return a connection that reads these files alone, and whose settings nothing changes."""
    connection = duckdb.connect(config={"memory_limit": MEMORY_LIMIT})
    connection.execute(f"set allowed_paths = {_list(files)}")
    for statement in ("set enable_external_access = false", "set lock_configuration = true"):
        connection.execute(statement)
    return connection


def _all_rows(connection: duckdb.DuckDBPyConnection, files: Sequence[Path], field: str) -> str:
    """Return the statement of all rows of the files."""
    kinds = sorted({READ_AS.get(kind, kind) for kind in (kind_of(file, field) for file in files)})
    if len(kinds) > 1:
        raise ConfigurationError.of(field, f"Must be files of one kind, and some are {', some '.join(kinds)}.")
    hive = f"hive_partitioning = {str(all(map(_is_partitioned, files))).lower()}, hive_types_autocast = false"
    if kinds == [PARQUET]:
        return f"select * from read_parquet({_list(files)}, union_by_name = true, {hive})"
    if kinds == [JSON_LINES[0]]:
        columns = _columns(json_columns(connection, _list(files), field))
        return f"select * from read_json({_list(files)}, format = 'newline_delimited', columns = {columns}, {hive})"
    alike: defaultdict[tuple[str, tuple[str, ...]], list[Path]] = defaultdict(list)
    for file in files:
        alike[_header(file, field)].append(file)
    return " union all by name ".join(_csv_rows(some, *header, hive) for header, some in alike.items())


def _csv_rows(files: Sequence[Path], delimiter: str, names: Sequence[str], hive: str) -> str:
    """Return the statement of all rows of CSV files with the same first line."""
    columns = _columns(dict.fromkeys(names, TEXT))
    return (
        f"(select * from read_csv({_list(files)}, {CSV_OPTIONS}, delim = {in_single_quotes(delimiter)}, "
        f"columns = {columns}, {hive}))"
    )


def _columns(types: Mapping[str, str]) -> str:
    """Return columns and their types as an argument of DuckDB's readers."""
    return f"{{{', '.join(f'{in_single_quotes(name)}: {in_single_quotes(kind)}' for name, kind in types.items())}}}"


def _is_partitioned(file: Path) -> bool:
    return "=" in file.parent.name


def _header(file: Path, field: str) -> tuple[str, tuple[str, ...]]:
    """Return the delimiter of a CSV file, and the names of its columns, which its first line holds."""
    opened = gzip.open if file.name.lower().endswith(COMPRESSED) else open
    try:
        with opened(file, "rt", encoding="utf-8-sig", newline="") as lines:
            first = lines.readline()
            rest = [lines.readline() for _ in range(20)] if first.count('"') % 2 else []
    except UnicodeDecodeError:
        raise ConfigurationError.of(field, f"{quoted(file.name)} is not UTF-8 text.") from None
    except (gzip.BadGzipFile, EOFError):
        raise ConfigurationError.of(field, f"{quoted(file.name)} is not compressed with gzip.") from None
    delimiter = max(DELIMITERS, key=first.count)
    names = next(csv.reader([first, *rest], delimiter=delimiter), [])
    if not names or not all(name.strip() for name in names) or len(set(names)) < len(names):
        message = f"The first line of {quoted(file.name)} must name its columns, each once."
        raise ConfigurationError.of(field, message)
    return delimiter, tuple(names)


def _one_select(query: str) -> str:
    statements = duckdb.extract_statements(query)
    if len(statements) != 1 or statements[0].type is not duckdb.StatementType.SELECT:
        raise ConfigurationError.of(QUERY, ONE_SELECT)
    return statements[0].query.strip().rstrip(";")


def _list(files: Iterable[Path]) -> str:
    return f"[{', '.join(in_single_quotes(str(file)) for file in files)}]"


def _one_line(error: Exception) -> str:
    """Return the first lines of DuckDB's error, which say what and where; the rest are its settings."""
    said = str(error).removeprefix("C Data interface error: ").split("Possible", 1)[0].split("LINE ", 1)[0]
    return printable(" ".join(said.split()))
