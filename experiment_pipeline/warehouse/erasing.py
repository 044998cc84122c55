"""Erasing from artifacts: first exposures lose an identity's row, totals of identities are dropped (rules E6, I1).

The artifacts stay what a refresh over the erased lake would have left: the row of an identity stands for itself alone.
Totals are computed anew by the next refresh, which reads everything.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import polars as pl

from experiment_pipeline.storage.files import files_below, replacing, whole
from experiment_pipeline.storage.object_path import StoragePath
from experiment_pipeline.warehouse.artifacts import OF_PHASE, STAMP_KEY, ArtifactStore, read_stamp
from experiment_pipeline.warehouse.duckdb.exposures_refresh import FIRST_EXPOSURES
from experiment_pipeline.warehouse.duckdb.totals_store import IDENTITY, TOTALS, TotalsStore


@dataclass(frozen=True, slots=True)
class FirstExposuresOf:
    """The first exposures of one phase of a partition.

    Attributes:
        path: of the artifact.
    """

    path: StoragePath
    partition_key: str
    phase: int

    def row(self, identity_hash: int) -> dict[str, object] | None:
        """Return the identity's row; None where it has none."""
        rows = pl.scan_parquet(whole(self.path), glob=False).filter(pl.col(IDENTITY) == identity_hash).collect()
        return rows.row(0, named=True) if len(rows) else None

    def erase(self, identity_hash: int) -> None:
        """Replace the artifact by one without the identity's row, with the same provenance."""
        stamp = read_stamp(self.path)
        rows = pl.read_parquet(whole(self.path), glob=False).filter(pl.col(IDENTITY) != identity_hash)
        with replacing(self.path) as temporary:
            rows.write_parquet(temporary, compression="snappy", metadata={STAMP_KEY: stamp.to_json()})


def first_exposures(artifacts: ArtifactStore) -> Iterator[FirstExposuresOf]:
    """Yield every artifact of first exposures."""
    root = artifacts.root / FIRST_EXPOSURES
    for path in files_below(root, "*.parquet"):
        if path.parent == root and (found := OF_PHASE.fullmatch(path.stem)) is not None:
            yield FirstExposuresOf(path, found["partition"], int(found["phase"] or 1))


def totals(artifacts: ArtifactStore) -> Iterator[TotalsStore]:
    """Yield the totals of every phase of every partition, those that no generation names any more among them."""
    root = artifacts.root / TOTALS
    generations = {path.stem for path in files_below(root, "*.json")}
    for stem in sorted(generations | {path.parent.name for path in files_below(root, "*.parquet")}):
        if (found := OF_PHASE.fullmatch(stem)) is not None:
            yield TotalsStore(artifacts, found["partition"], int(found["phase"] or 1))


def holds_identity(store: TotalsStore, identity_hash: int) -> bool:
    """Return whether a file of totals has a row of the identity, whichever generation names it."""
    return any(
        pl.scan_parquet(whole(path), glob=False)
        .filter(pl.col(IDENTITY) == identity_hash)
        .select(pl.len())
        .collect()
        .item()
        for path in files_below(store.folder, "*.parquet")
    )
