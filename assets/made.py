"""What a stage makes, before Dagster sees it.

Stages are plain functions of an open run, so that an asset, a whole run and a run over many experiments make the same
things in the same way.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import dagster as dg

from experiment_pipeline.assets.metadata import Metadata
from experiment_pipeline.warehouse.artifacts import StampedFrame


@dataclass(frozen=True, slots=True)
class Made:
    """One asset of one partition: its metadata and, where rows are stored by the IO manager, its frame."""

    asset: str
    metadata: Metadata
    frame: StampedFrame | None = None
    checks: tuple[dg.AssetCheckResult, ...] = field(default=())

    @property
    def stored(self) -> StampedFrame:
        """The frame of an asset that has one."""
        if self.frame is None:
            raise ValueError(f"{self.asset}: keeps no frame")
        return self.frame


def materialised(stage: Iterable[Made]) -> Iterator[dg.MaterializeResult[StampedFrame]]:
    """A stage's makings as Dagster takes them from an asset."""
    for made in stage:
        result: dg.MaterializeResult[StampedFrame] = dg.MaterializeResult(
            asset_key=made.asset, metadata=made.metadata, check_results=list(made.checks)
        )
        yield result if made.frame is None else result._replace(value=made.frame)
