"""SQL that is written by hand, one file per engine and purpose."""

from importlib.resources import files

ENGINES = ("clickhouse", "postgres", "spark", "bigquery", "snowflake", "trino")


def statement(engine: str, purpose: str) -> str:
    """Return a file's text.

    Args:
        engine: one of ENGINES.
        purpose: `events`, the rows that every expression starts from; `table`, which creates the table of events;
            `grants`, the rights with which it is read.
    """
    return files(__package__).joinpath("sql", engine, f"{purpose}.sql").read_text("utf-8")
