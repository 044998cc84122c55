"""Whatever is killed while the tables of looks are written: each look is there once, and no reader sees half a batch.

The first batch is a rebuild into no tables; a later one adds a look; `tables rebuild` replaces what is there.
"""

import shutil
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from deltalake import DeltaTable

from experiment_pipeline.results.published_tables import PUBLISHED_TABLES
from tests.recovery.killed_table_write import POINTS
from tests.tables.looks import HOUR, START, Looks, content

ROOT = Path(__file__).parents[2]
TABLES = len(PUBLISHED_TABLES)
# Each of the tables is created or opened, has one file, and one commit; synced are the file, the log and the folder.
TIMES = {"plan": 2, "create": 2 * TABLES, "write": 2 * TABLES, "commit": 2 * TABLES, "sync": 6 * TABLES, "close": 2}
WAYS = [
    *(("nothing", "write", point) for point in POINTS if point != "sync"),
    *(("one", "write", point) for point in POINTS),
    *(("one", "rebuild", point) for point in POINTS if point not in {"create", "sync"}),
]
pytestmark = pytest.mark.slow


def by_table(folder: Path) -> dict[str, Any]:
    """Return the rows of each table that there is."""
    return {each.name: content(folder, each.name) for each in PUBLISHED_TABLES if is_table(folder, each.name)}


def is_table(folder: Path, name: str) -> bool:
    return DeltaTable.is_deltatable(str(folder / "tables" / name))


def unnamed_files(folder: Path) -> list[Path]:
    """Return the Parquet files that no commit names."""
    found = []
    for each in PUBLISHED_TABLES:
        named = {Path(uri).name for uri in DeltaTable(folder / "tables" / each.name).file_uris()}
        found += [path for path in (folder / "tables" / each.name).glob("*.parquet") if path.name not in named]
    return found


def prepare(folder: Path, begun: str) -> None:
    """Publish two looks of one experiment and one of another, some of which are written already."""
    here = Looks.make(folder)
    here.publish(1)
    if begun != "nothing":
        here.write()
    here.publish(2)
    here.publish(1, "banner")
    here.registry.close()


@pytest.mark.parametrize(("begun", "action", "point"), WAYS)
def test_tables__killed_at_every_time_of_a_point__have_each_look_once_after_the_next_write(
    tmp_path: Path, begun: str, action: str, point: str
) -> None:
    prepared = tmp_path / "prepared"
    prepare(prepared, begun)
    before = by_table(prepared)
    done = tmp_path / "done"
    shutil.copytree(prepared, done)
    undisturbed = Looks.open(done)
    undisturbed.tables.write(START + 12 * HOUR)
    undisturbed.registry.close()
    after = by_table(done)
    for at in range(1, TIMES[point] + 1):
        folder = tmp_path / f"{at}"
        shutil.copytree(prepared, folder)
        command = [sys.executable, "-m", "tests.recovery.killed_table_write", str(folder), action, point, f"{at}"]
        assert subprocess.run(command, cwd=ROOT, check=False).returncode == -9, f"{point} {at} was never reached"
        for name, rows in by_table(folder).items():
            assert rows in ([], before.get(name), after[name]), (point, at, name)
        again = Looks.open(folder)
        again.tables.write(START + 13 * HOUR)
        assert by_table(folder) == after, (point, at)
        assert again.registry.table_outbox.state().waiting == 0
        again.publish(3)
        again.tables.write(START + 14 * HOUR)
        looks = [(row["experiment"], row["look"]) for row in content(folder, "looks")]
        assert looks == [("banner", 1), ("checkout", 1), ("checkout", 2), ("checkout", 3)], (point, at)
        again.tables.vacuum(timedelta(0))
        assert unnamed_files(folder) == []
        again.registry.close()
        shutil.rmtree(folder)
