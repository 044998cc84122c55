"""Parts of an installation that a backup holds: where they are, and which of their files belong to it.

Dagster's history is not among them: it says when runs were, and no result depends on it. Nor are the tables of all
looks: the registry has all that they are made of, and the first write after a restore makes them again.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from experiment_pipeline.backup.files import files_below
from experiment_pipeline.lake.delta import EVENTS as EVENTS_TABLE
from experiment_pipeline.lake.delta import REJECTED, Snapshot
from experiment_pipeline.lake.lake import Lake
from experiment_pipeline.lake.version_files import version_files
from experiment_pipeline.landing.layout import EVENTS
from experiment_pipeline.landing.segments import OPEN
from experiment_pipeline.warehouse.artifacts import ArtifactStore

ARTIFACTS, LAKE, LANDING = "artifacts", "lake", "landing"


@dataclass(frozen=True, slots=True)
class Found:
    """A file of an installation.

    Attributes:
        path: in a backup.
        is_needed: whether a backup without it is none; others may disappear while it is made.
    """

    file: Path
    path: str
    is_needed: bool = False


@dataclass(frozen=True, slots=True)
class Parts:
    """The folders of one installation."""

    lake: Lake
    landing: Path
    artifacts: Path

    def artifact_files(self) -> Iterator[Found]:
        """Yield every artifact and its path in a backup; temporary files of writers are none."""
        unfinished = set(ArtifactStore(self.artifacts).orphans())
        for file in files_below(self.artifacts):
            if file not in unfinished:
                yield Found(file, _below(ARTIFACTS, self.artifacts, file))

    def landing_files(self) -> Iterator[Found]:
        """Yield every file of the landing zone and its path in a backup.

        Open segments come first: one that is published meanwhile is found among the objects.
        """
        for name in (OPEN, EVENTS):
            for file in files_below(self.landing / name):
                yield Found(file, _below(LANDING, self.landing, file))

    def lake_files(self, tables: dict[str, Snapshot]) -> Iterator[Found]:
        """Yield every file that the Delta tables consist of at these versions, and its path in a backup."""
        for name, table in tables.items():
            for own in version_files(self.lake.folder / name, table):
                yield Found(self.lake.folder / name / own.path, f"{LAKE}/{name}/{own.path}", own.is_needed)

    def tables(self) -> dict[str, Snapshot]:
        """Return the present versions of the Delta tables by name; none of a lake that nothing was ingested into."""
        found = {}
        for definition in (EVENTS_TABLE, REJECTED):
            if Snapshot.exists(self.lake.root, definition):
                found[definition.name] = Snapshot.open(self.lake.root, definition)
        return found


def _below(part: str, root: Path, file: Path) -> str:
    return f"{part}/{file.relative_to(root).as_posix()}"
