"""Landing objects of sources, as a pull lands them, and the rows of the lake that a data version sees."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl

from experiment_pipeline.lake.lake import Lake
from experiment_pipeline.sources.landing_folder import folder_of_range, land
from tests.lake.ledger import PROD, stored

ORDERS = "orders"


def land_range(
    landing: Path,
    name: str,
    *parts: Sequence[dict[str, Any]],
    source: str = ORDERS,
    environment: str = PROD,
) -> Path:
    """Land a range of records in parts; a record's `source_cursor` is where it supersedes earlier ones."""
    folder = folder_of_range(landing, environment, source, name)
    land((pl.DataFrame(part, infer_schema_length=None) for part in parts), folder)
    return folder


def order(event_id: str, value: str = "10", cursor: int | None = None, **changes: Any) -> dict[str, Any]:
    """A record of an order."""
    fields = {"event": "purchase", "identifier": "ada", "timestamp": 1_772_000_000_000} | changes
    fields |= {"event_id": event_id, "value": value}
    return fields if cursor is None else fields | {"source_cursor": cursor}


def visible_rows(lake: Lake, data_version: int) -> list[dict[str, Any]]:
    """The rows that a data version sees, in plain Python: no statement of the engine is used."""
    rows = [row for row in stored(lake) if row["batch"] <= data_version]
    removed: dict[tuple[int, int], int] = {}
    for row in rows:
        if row["event"] == "$removal":
            key = row["event_hash_high"], row["event_hash_low"]
            removed[key] = max(row["batch"], removed.get(key, 0))
    return [
        row
        for row in rows
        if row["event"] != "$removal"
        and removed.get((row["event_hash_high"], row["event_hash_low"]), 0) <= row["batch"]
    ]
