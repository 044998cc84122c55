"""Whatever an erasure is killed at, repeating it leaves no trace of the person, and others as they were (E6)."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.backup.conftest import Place
from tests.erasure.conftest import OTHER, PERSON, Erasable, filled

__all__ = ["filled"]  # the fixture
ROOT = Path(__file__).parents[2]
POINTS = [  # which time each is passed: odd ones before it happens, even ones after
    *[("begin_object", at) for at in (1, 2, 5)],
    *[("erase_from_object", at) for at in (2, 3, 6)],
    *[("write", at) for at in (1, 4)],
    *[("commit_rewrite", at) for at in (1, 2, 4, 6)],
    *[(name, at) for name in ("delete_old_files", "record_exposure", "first_exposures", "complete") for at in (1, 2)],
    *[(name, 2) for name in ("begin", "texts", "history", "logs")],
]


def others(here: Erasable) -> dict[str, int]:
    """Return what the stores hold of another person, and which objects the ledger takes for changed."""
    (found,) = json.loads(here.place.done("erase", "--identifier", OTHER, "--dry-run", "--json"))["environments"]
    held = {each["store"]: each["before"]["records"] for each in found["stores"]}
    status = json.loads(here.place.done("lake", "status", "--json"))
    kept = {name: held[name] for name in ("landing objects", "rejected records", "lake, present version")}
    return kept | {"changed": status["changed"]["count"], "first exposures": held["first exposures"]}


@pytest.mark.slow
def test_erasure__killed_at_every_point__is_finished_by_the_next(filled: Path, tmp_path: Path) -> None:
    here = Erasable(Place(tmp_path / "data"))
    shutil.copytree(filled, here.data_dir)
    before = others(here)
    for point, at in POINTS:
        shutil.rmtree(here.data_dir)
        shutil.copytree(filled, here.data_dir)
        command = [sys.executable, "-m", "tests.recovery.killed_erasure", str(here.data_dir), PERSON, point, f"{at}"]
        assert subprocess.run(command, cwd=ROOT, check=False).returncode == -9, f"{point} {at} was never reached"
        (open_ones,) = json.loads(here.place.done("erase", "--identifier", PERSON, "--yes", "--json"))["environments"]
        assert open_ones["remaining"] == 0, (point, at)
        assert here.traces() == [], (point, at)
        assert others(here) == before, (point, at)
