"""A repair that is killed, wherever, and run again: every event is in the lake once, as the batch that it was."""

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import delete

from experiment_pipeline.lake.compaction import compact
from experiment_pipeline.lake.delta import EVENTS, Snapshot
from experiment_pipeline.lake.soundness import require_sound
from experiment_pipeline.registry.tables import batches, landing_objects
from tests.lake.installations import Installation
from tests.lake.ledger import NOW
from tests.recovery.killed_repair import POINTS

ROOT = Path(__file__).parents[2]


def lake_gone(here: Installation) -> None:
    here.lose_lake()


def lake_gone_with_an_object(here: Installation) -> None:
    here.lose_lake()
    here.object(2).unlink()


def registry_older(here: Installation) -> None:
    with here.registry.engine.begin() as connection:
        connection.execute(delete(landing_objects).where(landing_objects.c.batch > 1))
        connection.execute(delete(batches).where(batches.c.number > 1))


def files_missing(here: Installation) -> None:
    compact(here.lake, NOW, whole=True)
    (file,) = Snapshot.open(here.lake.root, EVENTS).data_files()
    (here.lake.root / "events" / file.path).unlink()


@pytest.mark.slow
@pytest.mark.parametrize("happens", [lake_gone, lake_gone_with_an_object, registry_older, files_missing])
def test_repair__killed_at_every_named_point__then_run_again(
    tmp_path: Path, happens: Callable[[Installation], None]
) -> None:
    source = tmp_path / "source"
    sound = Installation(source, f"sqlite:///{source / 'registry.sqlite'}")
    sound.fill(3)
    whole = sound.rows()
    happens(sound)
    sound.registry.close()
    is_lossy, reached = happens is lake_gone_with_an_object, 0
    for point in POINTS:
        for at in (1, 2, 3):
            folder = tmp_path / f"{point}-{at}"
            shutil.copytree(source, folder)
            command = [sys.executable, "-m", "tests.recovery.killed_repair", str(folder), point, str(at)]
            outcome = subprocess.run(command, cwd=ROOT, check=False).returncode
            if outcome == 0:
                break
            assert outcome == -9
            reached += 1
            here = Installation(folder, f"sqlite:///{folder / 'registry.sqlite'}")
            here.repair(2)
            require_sound(here.lake.root, here.registry.batches)
            assert here.ingest().batch is None
            assert [row["event_id"] for row in here.rows()["events"]] == ["0", "1", "2", "3"]
            assert is_lossy or here.rows() == whole
            assert len(here.registry.audit.list(action="accept_loss")) == is_lossy
            here.registry.close()
    assert reached >= 3
