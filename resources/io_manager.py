"""The IO manager of small frames: validated, stamped, one Parquet file per partition and phase, replaced atomically."""

import dagster as dg
from typing_extensions import override

from experiment_pipeline.resources.retries import retry_transient
from experiment_pipeline.settings import Settings
from experiment_pipeline.storage.places import place_at, places_of
from experiment_pipeline.warehouse.artifacts import ArtifactStore, StampedFrame, read_frame, write_frame
from experiment_pipeline.warehouse.frame_schemas import validated


class FrameIOManager(dg.ConfigurableIOManager):
    """The store of `StampedFrame`s, one file per asset, partition and phase (`ArtifactStore`).

    A frame that breaks its schema is refused before anything is written; the file before it stays.
    """

    artifacts_dir: str
    spill_dir: str

    @override
    def handle_output(self, context: dg.OutputContext, obj: StampedFrame) -> None:
        retry_transient(lambda: self.store(context.asset_key.path[-1], obj))

    @override
    def load_input(self, context: dg.InputContext) -> StampedFrame:
        name, partition_key = context.asset_key.path[-1], context.partition_key
        return self.load(name, partition_key, self._artifacts.newest_phase(name, partition_key))

    def load(self, name: str, partition_key: str, phase: int) -> StampedFrame:
        """Return the frame of one phase of an experiment (rule X9).

        Raises:
            ArtifactMissing: it is not stored.
        """
        return retry_transient(lambda: read_frame(self._artifacts.existing(name, partition_key, phase)))

    def store(self, name: str, frame: StampedFrame) -> None:
        """Validate a frame and replace the artifact; assets and the batched refresh both store through here.

        Args:
            name: of the asset, and of the frame's schema.
            frame: its rows, and their provenance, which names the experiment's partition and phase.

        Raises:
            pandera.errors.SchemaErrors: the frame breaks its schema; nothing was written.
        """
        target = self._artifacts.path(name, frame.stamp.partition_key, frame.stamp.phase)
        write_frame(StampedFrame(rows=validated(name, frame.rows), stamp=frame.stamp), target)

    @property
    def _artifacts(self) -> ArtifactStore:
        return ArtifactStore(place_at(self.artifacts_dir, self.spill_dir))


def frame_io_manager(settings: Settings) -> FrameIOManager:
    """Return the IO manager of an installation."""
    return FrameIOManager(artifacts_dir=str(places_of(settings).artifacts), spill_dir=str(settings.spill_dir))
