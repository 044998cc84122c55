"""Processes beside each other: two materialise, a third reads (rules R5, R7)."""

import subprocess
import sys
import time
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from threading import Barrier

import polars as pl
import pytest

from experiment_pipeline.domain.refresh import Computation
from experiment_pipeline.resources.dagster_instance import open_instance
from experiment_pipeline.storage.files import local_folder
from experiment_pipeline.warehouse.artifacts import ArtifactStore, read_frame, read_stamp
from tests.assets.conftest import Installation, crowd

KEYS = ("checkout", "banner")
FRAMES = ("exposure_buckets", "variant_aggregates", "srm", "bayesian_results")
REFRESHES = 3
ROOT = Path(__file__).parents[2]
MATERIALISE = """
import sys
from pathlib import Path
from experiment_pipeline.assets.partitions import (EXPERIMENTS)
from experiment_pipeline.definitions import (build)
from experiment_pipeline.settings import (Settings)
from experiment_pipeline.resources.dagster_instance import (add_partitions, open_instance, run_here)

data_dir, partition_key, times = sys.argv[1:]
settings = Settings(data_dir=Path(data_dir))
definitions = build(settings)
with open_instance(settings.dagster_home) as instance:
    add_partitions(instance, EXPERIMENTS, [partition_key])
    for _ in range(int(times)):
        run_here(definitions, "refresh_experiment", instance, partition_key)
"""


def refreshing(installation: Installation, key: str) -> subprocess.Popen[bytes]:
    """A process of its own that refreshes one experiment again and again; what it complains of lands in a file."""
    arguments = (str(installation.settings.data_dir), installation.experiment(key).partition_key, str(REFRESHES))
    with complaints(installation, key).open("wb") as said:
        return subprocess.Popen([sys.executable, "-c", MATERIALISE, *arguments], cwd=ROOT, stderr=said)


def complaints(installation: Installation, key: str) -> Path:
    return installation.settings.data_dir / f"{key}.stderr"


class Reader:
    """Reads everything that is published of an experiment, and remembers which as-ofs it saw."""

    def __init__(self, installation: Installation) -> None:
        self._installation = installation
        self._store = ArtifactStore(installation.settings.artifacts_dir)
        self.as_ofs: dict[str, list[datetime]] = defaultdict(list)

    def read(self, key: str) -> None:
        """Raises where anything is torn: half a file, half a payload, or an older one after a newer one."""
        self._payloads(key)
        self._artifacts(self._installation.experiment(key).partition_key)

    def _payloads(self, key: str) -> None:
        exposures, results = (self._installation.state(computation, key) for computation in Computation)
        for state in (exposures, results):
            assert state.as_of is not None
            assert state.payload is not None
            assert state.last_error_at is None
            self.as_ofs[f"{key} {state.computation}"].append(state.as_of)
        assert exposures.payload is not None
        assert results.payload is not None
        (point,) = exposures.payload["timeseries"]["points"]
        assert point["new_identities"] == results.payload["srm"]["identities"] == {"control": 100, "b": 100}

    def _artifacts(self, partition_key: str) -> None:
        for name in FRAMES:
            frame = read_frame(self._store.existing(name, partition_key))
            assert frame.stamp.partition_key == partition_key
            assert len(frame.rows) > 0
            self.as_ofs[f"{partition_key} {name}"].append(frame.stamp.window.as_of)
        first = local_folder(self._store.existing("first_exposures", partition_key))
        assert pl.read_parquet(first).height == 200
        assert read_stamp(first).partition_key == partition_key


@pytest.mark.slow
def test_two_materialising_processes__and_one_that_reads__see_no_lock_and_nothing_torn(
    installation: Installation,
) -> None:
    installation.land("first", crowd(100, 100) + crowd(100, 100, feature="banner"))
    installation.ingest()
    for key in KEYS:
        installation.refresh(key)
    reader = Reader(installation)
    for key in KEYS:
        reader.read(key)
    writers = {key: refreshing(installation, key) for key in KEYS}
    while any(writer.poll() is None for writer in writers.values()):
        for key in KEYS:
            reader.read(key)
        time.sleep(0.02)  # leaves the processors to the writers
    for key, writer in writers.items():
        assert writer.returncode == 0, complaints(installation, key).read_text("utf-8")
        reader.read(key)
    assert len(reader.as_ofs) == len(KEYS) * (len(Computation) + len(FRAMES))
    for seen in reader.as_ofs.values():
        assert seen == sorted(seen), "nothing goes backwards"
        assert seen[0] < seen[-1]
    assert ArtifactStore(installation.settings.artifacts_dir).orphans() == []


def test_dagsters_instance__opened_by_several_threads_that_are_the_first__is_made_once(tmp_path: Path) -> None:
    together = Barrier(3)

    def open_it(_: int) -> int:
        together.wait()
        with open_instance(tmp_path / "home") as instance:
            return len(instance.get_runs())

    with ThreadPoolExecutor(3) as threads:
        assert list(threads.map(open_it, range(3))) == [0, 0, 0]


@pytest.mark.slow
def test_dagsters_instance__opened_by_several_processes_that_are_the_first__is_made_once(tmp_path: Path) -> None:
    home, start = tmp_path / "home", tmp_path / "start"
    program = (
        "import sys, time; from pathlib import Path; from resources.dagster_instance import open_instance\n"
        "Path(sys.argv[3]).touch()\n"
        "while not Path(sys.argv[2]).exists(): pass\n"
        "with open_instance(Path(sys.argv[1])) as instance: print(len(instance.get_runs()))"
    )
    ready = [tmp_path / str(number) for number in range(3)]
    arguments = [[sys.executable, "-c", program, str(home), str(start), str(each)] for each in ready]
    opening = [
        subprocess.Popen(each, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for each in arguments
    ]
    while not all(each.exists() for each in ready) and all(process.poll() is None for process in opening):
        time.sleep(0.01)
    start.touch()
    for process in opening:
        printed, complaint = process.communicate(timeout=60)
        assert (process.returncode, printed) == (0, "0\n"), complaint
