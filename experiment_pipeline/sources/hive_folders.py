"""Folders named `day=2026-11-02`, whose names are a column of the rows below them (rule D1)."""

from collections.abc import Iterable
from pathlib import Path

from experiment_pipeline.sources.source_rows import in_double_quotes, in_single_quotes

PATH_OF_ROW = "experiment_pipeline_path"  # a column of DuckDB's readers: where a row is from
NO_VALUE = "__HIVE_DEFAULT_PARTITION__"  # as writers name the folder of rows without a value


def folder_columns(files: Iterable[Path]) -> list[str]:
    """Return the columns that are named by a folder of one of the files, whatever its depth.

    Example:
        >>> folder_columns([Path("/exports/country=DE/2026/a.csv"), Path("/exports/day=2026-11-02/b.csv")])
        ['country', 'day']
    """
    folders = {folder for file in files for folder in file.parent.parts}
    return sorted({name for name, equals, _ in (folder.partition("=") for folder in folders) if name and equals})


def with_folder_columns(statement: str, named: Iterable[str], of_files: Iterable[str]) -> str:
    """Return a statement of rows with the columns that folders name, as text, in the place of their paths.

    Args:
        statement: of rows that have `PATH_OF_ROW`.
        named: the columns that folders name; a row below no such folder has nothing there.
        of_files: the columns of the files themselves, which stay as they are where a folder has the same name.
    """
    there = {name.casefold() for name in of_files}
    added = [_column(name) for name in named if name.casefold() not in there]
    columns = ", ".join([f"* exclude ({PATH_OF_ROW})", *added])
    return f"select {columns} from ({statement})"  # noqa: S608 - names are quoted


def _column(name: str) -> str:
    pattern = in_single_quotes(rf"/\Q{name}\E=([^/]*)/")
    value = f"url_decode(regexp_extract({PATH_OF_ROW}, {pattern}, 1))"
    return f"nullif(nullif({value}, ''), '{NO_VALUE}') as {in_double_quotes(name)}"
