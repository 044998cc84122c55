"""Small frames in and out of assets: validated, stamped, one Parquet file per partition, replaced atomically."""

from pathlib import Path

import dagster as dg

from experiment_pipeline.artifacts import ArtifactStore, StampedFrame, read_frame, write_frame
from experiment_pipeline.frames import validated


class FrameIOManager(dg.ConfigurableIOManager):
    """Stores `StampedFrame`s as `<artifacts>/<asset>/<partition>.parquet`.

    A frame that breaks its schema is refused before anything is written: what stood stays.
    """

    artifacts_dir: str

    def handle_output(self, context: dg.OutputContext, obj: StampedFrame) -> None:
        name, path = self._place(context)
        write_frame(StampedFrame(rows=validated(name, obj.rows), stamp=obj.stamp), path)

    def load_input(self, context: dg.InputContext) -> StampedFrame:
        name, path = self._place(context)
        return read_frame(ArtifactStore(Path(self.artifacts_dir)).existing(name, path.stem))

    def _place(self, context: dg.OutputContext | dg.InputContext) -> tuple[str, Path]:
        name = context.asset_key.path[-1]
        return name, ArtifactStore(Path(self.artifacts_dir)).path(name, context.partition_key)
