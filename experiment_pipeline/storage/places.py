"""Places: where the parts of an installation are, in its data directory or in the object storage that settings name."""

from dataclasses import dataclass
from pathlib import Path

from experiment_pipeline.settings import Settings
from experiment_pipeline.storage.object_path import ObjectPath, StoragePath


@dataclass(frozen=True, slots=True)
class Places:
    """The parts of an installation that several machines share.

    Attributes:
        landing: the landing zone.
        lake: the Delta tables `events` and `rejected`.
        tables: the Delta tables of all looks.
        artifacts: one Parquet file per artifact and partition.
    """

    landing: StoragePath
    lake: StoragePath
    tables: StoragePath
    artifacts: StoragePath

    @property
    def is_shared(self) -> bool:
        """Whether they are in an object storage."""
        return isinstance(self.lake, ObjectPath)


def places_of(settings: Settings) -> Places:
    """Return the places of an installation; local folders are absolute: DuckDB and Polars expand a leading ~."""
    if settings.storage is None:
        folders = (settings.landing_dir, settings.lake_dir, settings.tables_dir, settings.artifacts_dir)
        return Places(*(folder.absolute() for folder in folders))
    root = ObjectPath.of_url(settings.storage, settings.spill_dir.absolute())
    return Places(root / "landing", root / "lake", root / "tables", root / "artifacts")


def place_at(text: str, spill_dir: str) -> StoragePath:
    """Return the place that a resource's configuration names: a local path, or a URL."""
    return ObjectPath.of_url(text, Path(spill_dir)) if "://" in text else Path(text)
