"""SQL that is written by hand, one file per engine and purpose."""

from importlib.resources import files

ENGINES = ("clickhouse", "postgres", "spark", "bigquery", "snowflake", "trino")


def statement(engine: str, purpose: str) -> str:
    """Return a file's text.

    Args:
        engine: one of ENGINES.
        purpose: `events`, the rows that every expression starts from; `table`, which creates the table of events;
            `grants`, the rights with which it is read; `first_exposures`, which stores them, with `{table}` and
            `{select}`; `tables`, the names of all tables.
    """
    return files(__package__).joinpath("sql", engine, f"{purpose}.sql").read_text("utf-8")


def has_statement(engine: str, purpose: str) -> bool:
    """Whether there is such a file: an engine without one does not do it."""
    return files(__package__).joinpath("sql", engine, f"{purpose}.sql").is_file()
