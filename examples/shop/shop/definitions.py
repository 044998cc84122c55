"""A shop's Dagster project: dbt models, and experiments over two of them."""

import os
from pathlib import Path

import dagster as dg

ROOT = Path(__file__).parents[1]
os.environ.setdefault("SHOP_DUCKDB", str(ROOT / "shop.duckdb"))  # dbt's profile and the resource read it


@dg.definitions
def defs() -> dg.Definitions:
    """Return everything below `defs/`."""
    return dg.load_from_defs_folder(path_within_project=Path(__file__).parent)
