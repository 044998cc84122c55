"""Rows of files that a team already has: Parquet, CSV or JSON lines, read by DuckDB (rule D1).

Files may have other columns than each other: a row has null where its file has no such column. Folders named
`country=DE` are a column, too.

The connection may read these files and no others, writes nothing, and takes one SELECT statement. Columns of CSV are
text, as they are written, so that `007` stays `007`; a query casts them.
"""

import re
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
from experiment_pipeline.sources.csv_lines import COMPRESSED, csv_header, other_line_end
from experiment_pipeline.sources.file_states import require_unchanged, state_of
from experiment_pipeline.sources.hive_folders import PATH_OF_ROW, folder_columns, with_folder_columns
from experiment_pipeline.sources.json_columns import TEXT, json_columns
from experiment_pipeline.sources.source_rows import (
    COMMENTED_END,
    ONE_SELECT,
    QUERY,
    in_double_quotes,
    in_single_quotes,
    refuse_twins,
    without_semicolon,
)

CSV, TABS, PARQUET = ".csv", ".tsv", ".parquet"
JSON_LINES = (".jsonl", ".ndjson")
KINDS = (PARQUET, CSV, TABS, *JSON_LINES)
READABLE = f"{', '.join(KINDS)}; text may be compressed ({COMPRESSED})"
READ_AS = {TABS: CSV, JSON_LINES[1]: JSON_LINES[0]}
MEMORY_LIMIT = "512MiB"
CSV_OPTIONS = "auto_detect = false, header = true, skip = 0, quote = '\"', escape = '\"', strict_mode = true"
JSON_INTEGER, JSON_NUMBER = r"-?(0|[1-9]\d{0,17})", r"-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?"
READER_OPTIONS = f"hive_partitioning = false, filename = '{PATH_OF_ROW}'"
PATTERN = re.compile(r"([\[*?])")  # characters of a path that DuckDB takes for a pattern
BROKEN_CSV = "reached an invalid state"  # DuckDB of lines with another end than the first one, without a number
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
        self._files = paths = [file.absolute() for file in files]
        with self._refusing():
            self._read = [state_of(path) for path in paths]
            self._connection = _connection(paths)
        try:
            self._open(paths, query, numbers)
        except BaseException:
            self.close()
            raise

    def _open(self, paths: Sequence[Path], query: str | None, numbers: Iterable[str]) -> None:
        field = self._field
        with self._refusing():
            self._connection.execute(f"create temp view {FILES} as {self._all_rows(paths)}")
        self._field = field if query is None else "query"
        with self._refusing():
            self._query = f"select * from {FILES}" if query is None else _one_select(query)
            refuse_twins([name.lower() for name in self._connection.sql(self._query).columns])
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

    def require_unchanged(self) -> None:
        """Refuse what was read where a file has changed since it was opened.

        Raises:
            Conflict: names the file.
        """
        require_unchanged(self._read, "Read it again.")

    def close(self) -> None:
        """Close the files."""
        self._connection.close()

    def _all_rows(self, files: Sequence[Path]) -> str:
        """Return the statement of all rows of the files, and of the columns that their folders name."""
        statement, named = _rows_with_paths(self._connection, files, self._field), folder_columns(files)
        own = self._frame(f"select * from ({statement}) limit 0").columns if named else []
        return with_folder_columns(statement, named, own)

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
                {"whole": JSON_INTEGER, "number": JSON_NUMBER},
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
            raise self._refused(error) from error
        except Exception as error:
            if type(error) is not Exception:  # what comes through an Arrow stream has no class of its own
                raise
            raise self._refused(error) from error

    def _refused(self, error: Exception) -> ConfigurationError:
        found = next(filter(None, map(other_line_end, self._files)), None) if BROKEN_CSV in str(error) else None
        return ConfigurationError.of(self._field, _one_line(error) if found is None else found)


def kind_of(file: Path, field: str) -> str:
    """Return the kind of a file, by its name.

    Raises:
        ConfigurationError: it is none that can be read.
    """
    if not is_readable(file):
        raise ConfigurationError.of(field, f"{quoted(file.name)} is no file that can be read: {READABLE}.")
    return Path(file.name.lower().removesuffix(COMPRESSED)).suffix


def is_readable(file: Path) -> bool:
    """Return whether the name of a file is that of a kind that can be read."""
    name = file.name.lower()
    kind = Path(name.removesuffix(COMPRESSED)).suffix
    return kind in KINDS and not (kind == PARQUET and name.endswith(COMPRESSED))


def _connection(files: Iterable[Path]) -> duckdb.DuckDBPyConnection:
    """Return a connection that reads these files alone, and whose settings nothing changes."""
    connection = duckdb.connect(config={"memory_limit": MEMORY_LIMIT})
    allowed = {path for file in files for path in (str(file), _escaped(file))}
    connection.execute(f"set allowed_paths = [{', '.join(map(in_single_quotes, sorted(allowed)))}]")
    for statement in ("set enable_external_access = false", "set lock_configuration = true"):
        connection.execute(statement)
    return connection


def _rows_with_paths(connection: duckdb.DuckDBPyConnection, files: Sequence[Path], field: str) -> str:
    """Return the statement of all rows of the files, each with the path of its file."""
    kinds = sorted({READ_AS.get(kind, kind) for kind in (kind_of(file, field) for file in files)})
    if len(kinds) > 1:
        raise ConfigurationError.of(field, f"Must be files of one kind, and some are {', some '.join(kinds)}.")
    by_name = f"union_by_name = true, {READER_OPTIONS}"
    if kinds == [PARQUET]:
        return f"select * from read_parquet({_list(files)}, {by_name})"
    if kinds == [JSON_LINES[0]]:
        columns = _columns(json_columns(connection, _list(files), field))
        options = f"format = 'newline_delimited', columns = {columns}, {READER_OPTIONS}"
        return f"select * from read_json({_list(files)}, {options})"
    alike: defaultdict[tuple[str, tuple[str, ...]], list[Path]] = defaultdict(list)
    for file in files:
        alike[csv_header(file, field)].append(file)
    return " union all by name ".join(_csv_rows(some, *header) for header, some in alike.items())


def _csv_rows(files: Sequence[Path], delimiter: str, names: Sequence[str]) -> str:
    """Return the statement of all rows of CSV files with the same first line."""
    columns = _columns(dict.fromkeys(names, TEXT))
    return (
        f"(select * from read_csv({_list(files)}, {CSV_OPTIONS}, delim = {in_single_quotes(delimiter)}, "
        f"columns = {columns}, {READER_OPTIONS}))"
    )


def _columns(types: Mapping[str, str]) -> str:
    """Return columns and their types as an argument of DuckDB's readers."""
    return f"{{{', '.join(f'{in_single_quotes(name)}: {in_single_quotes(kind)}' for name, kind in types.items())}}}"


def _one_select(query: str) -> str:
    statements = duckdb.extract_statements(query)
    if len(statements) != 1 or statements[0].type is not duckdb.StatementType.SELECT:
        raise ConfigurationError.of(QUERY, ONE_SELECT)
    return f"{without_semicolon(statements[0].query)}{COMMENTED_END}"


def _list(files: Iterable[Path]) -> str:
    return f"[{', '.join(in_single_quotes(_escaped(file)) for file in files)}]"


def _escaped(file: Path) -> str:
    """Return a path as DuckDB reads it where it takes patterns."""
    return PATTERN.sub(r"[\1]", str(file))


def _one_line(error: Exception) -> str:
    """Return the first lines of DuckDB's error, which say what and where; the rest are its settings."""
    said = str(error).removeprefix("C Data interface error: ").split("Possible", 1)[0].split("LINE ", 1)[0]
    return printable(" ".join(said.split()))
