"""Delta tables at a storage path, opened by the same means over a local folder and over a bucket."""

from pathlib import Path
from typing import Any

from deltalake import DeltaTable, Schema

from experiment_pipeline.storage.object_path import REQUEST_SECONDS, RETRIES, StoragePath, storage_errors


def is_table(root: StoragePath) -> bool:
    """Return whether there is a table at a path. Raises StorageUnavailable."""
    with storage_errors(root):
        return DeltaTable.is_deltatable(str(root), storage_options=_options(root))


def open_table(root: StoragePath) -> DeltaTable:
    """Return the newest version of a table. Raises DeltaError, StorageUnavailable."""
    with storage_errors(root):
        return DeltaTable(str(root), storage_options=_options(root))


def create_table(root: StoragePath, schema: Schema, **properties: Any) -> None:
    """Create a table, unless another process has done so; properties are those of `DeltaTable.create`."""
    with storage_errors(root):
        DeltaTable.create(str(root), schema, mode="ignore", storage_options=_options(root), **properties)


def _options(root: StoragePath) -> dict[str, str] | None:
    """Return how long Delta waits for a bucket; where it is and who asks, Delta has from the environment, too."""
    if isinstance(root, Path):
        return None
    seconds = f"{REQUEST_SECONDS:.0f}s"
    return {"timeout": seconds, "max_retries": str(RETRIES), "retry_timeout": seconds}
