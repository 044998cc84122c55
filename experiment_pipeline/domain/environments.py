"""Environments: where a feature is evaluated (rule E8)."""

from dataclasses import dataclass
from datetime import datetime, timedelta

EMBEDDED = "duckdb"  # the engine over the lake


@dataclass(frozen=True, slots=True)
class Environment:
    """Where a feature is evaluated, e.g. `production`. Its key is always text (rule E8).

    Attributes:
        warehouse: the connection to where its events lie and are analysed, or `duckdb` for the embedded engine; None
            for the engine of the installation.
        keep: how long its events are kept, by their time; None for ever (rule X8).
    """

    key: str
    name: str
    created_at: datetime
    warehouse: str | None = None
    keep: timedelta | None = None
