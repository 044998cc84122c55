"""The IO manager of small frames: validated, with provenance, one Parquet file per partition, replaced atomically."""

from pathlib import Path

import dagster as dg
from typing_extensions import override

from experiment_pipeline.resources.retries import retry_transient
from experiment_pipeline.warehouse.artifacts import ArtifactStore, StampedFrame, read_frame, write_frame
from experiment_pipeline.warehouse.frame_schemas import validated


class FrameIOManager(dg.ConfigurableIOManager):
    """The store of `StampedFrame`s, as `<artifacts>/<asset>/<partition>.parquet`.

    A frame that breaks its schema is refused before anything is written; the file before it stays.
    """

    artifacts_dir: str

    @override
    def handle_output(self, context: dg.OutputContext, obj: StampedFrame) -> None:
        retry_transient(lambda: self.store(context.asset_key.path[-1], context.partition_key, obj))

    @override
    def load_input(self, context: dg.InputContext) -> StampedFrame:
        return retry_transient(
            lambda: read_frame(self._artifacts.existing(context.asset_key.path[-1], context.partition_key))
        )

    def store(self, name: str, partition_key: str, frame: StampedFrame) -> None:
        """Validate a frame and replace the artifact; assets and the batched refresh both store through here.

        Args:
            name: of the asset, and of the frame's schema.
            partition_key: of the experiment.
            frame: its rows, and their provenance.

        Raises:
            pandera.errors.SchemaErrors: the frame breaks its schema; nothing was written.
        """
        write_frame(
            StampedFrame(rows=validated(name, frame.rows), stamp=frame.stamp), self._artifacts.path(name, partition_key)
        )

    @property
    def _artifacts(self) -> ArtifactStore:
        return ArtifactStore(Path(self.artifacts_dir))
