"""The data directory of a small demo as this code makes it, packed for the upgrade tests of later releases.

    python -m tests.upgrades.make_data_directory

Run it before a release, from a copy of the repository outside any home folder: the registry keeps the path of the
demo's CSV file. It writes data/schema-<revision>.tar.xz, in the place of one of the same revision of the registry.
"""

import tarfile
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest.mock import patch

from click.testing import CliRunner

from experiment_pipeline.cli.main import main
from experiment_pipeline.demo import comparison, landing, simulation
from experiment_pipeline.registry.engine import head_revision

DATA = Path(__file__).parent / "data"
SMALLER = 8  # so many times fewer identities than the demo has


def make(target: Path) -> None:
    """Run the demo with few identities in a folder of its own, and pack the folder.

    Raises:
        RuntimeError: the demo failed; says what it printed.
    """
    few = tuple(replace(each, identities=each.identities // SMALLER) for each in simulation.SIMULATIONS)
    with TemporaryDirectory() as folder:
        data_dir = Path(folder) / "experiments"
        with (
            patch.object(simulation, "SIMULATIONS", few),
            patch.object(landing, "SIMULATIONS", few),
            patch.object(comparison, "SIMULATIONS", few),
        ):
            done = CliRunner().invoke(main, ["--data-dir", str(data_dir), "demo"])
        if done.exit_code:
            raise RuntimeError(done.output)
        with tarfile.open(target, "w:xz") as archive:
            archive.add(data_dir, arcname=".", filter=_without_owner)


def _without_owner(member: tarfile.TarInfo) -> tarfile.TarInfo:
    return member.replace(uid=0, gid=0, uname="", gname="", deep=False)


if __name__ == "__main__":
    DATA.mkdir(exist_ok=True)
    make(DATA / f"schema-{head_revision()}.tar.xz")
