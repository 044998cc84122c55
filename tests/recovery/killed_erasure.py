"""Run as a process of its own: erases a person, and kills itself at a named point, the n-th time it gets there.

python -m tests.recovery.killed_erasure <data directory> <identifier> <point> <n>

Without the last two arguments it prints how often it passes each point.
"""

import sys
from datetime import UTC, datetime
from pathlib import Path

from experiment_pipeline.erasure import stores
from experiment_pipeline.erasure.erase import Eraser
from experiment_pipeline.erasure.texts import DagsterHistory, Logs
from experiment_pipeline.lake.delta import Snapshot
from experiment_pipeline.lake.erasing import LakeErasing
from experiment_pipeline.lake.lake import Lake
from experiment_pipeline.registry.erasures import Erasures
from experiment_pipeline.registry.identity_texts import IdentityTexts
from experiment_pipeline.registry.registry import Registry
from experiment_pipeline.settings import Settings
from experiment_pipeline.storage.places import places_of
from experiment_pipeline.warehouse.erasing import FirstExposuresOf
from tests.recovery.kill_points import KillPoints


def main(data_dir: Path, identifier: str, point: str | None, at: int) -> None:
    """Erase the identity in the environment `prod`."""
    points = KillPoints(point, at)
    for method in ("begin", "begin_object", "record_exposure", "complete"):
        points.mark(Erasures, method, method)
    points.mark(stores, "erase_from_object", "erase_from_object")
    points.mark(Snapshot, "write", "write")
    points.mark(Snapshot, "commit_rewrite", "commit_rewrite")
    points.mark(LakeErasing, "delete_old_files", "delete_old_files")
    points.mark(FirstExposuresOf, "erase", "first_exposures")
    points.mark(IdentityTexts, "erase", "texts")
    points.mark(DagsterHistory, "erase", "history")
    points.mark(Logs, "erase", "logs")
    settings = Settings(data_dir=data_dir)
    registry = Registry.open(settings.database_url)
    lake = Lake(places_of(settings).lake, threads=1, spill_dir=settings.spill_dir)
    Eraser(settings, registry, lake, "prod", identifier, "test").run(datetime.now(UTC))
    registry.close()
    sys.stdout.write(f"{dict(points.passed)}\n")


if __name__ == "__main__":
    given = sys.argv[3:]
    main(Path(sys.argv[1]), sys.argv[2], given[0] if given else None, int(given[1]) if given else 0)
