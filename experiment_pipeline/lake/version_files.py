"""Files that one version of a Delta table consists of, its log included: what a copy of the table needs."""

import re
from dataclasses import dataclass
from pathlib import Path

from experiment_pipeline.lake.delta import LOG, Snapshot

COMMIT = re.compile(r"\d{20}(?=\.)", re.ASCII)  # what the name of each file of the log begins with
CHECKPOINT = ".checkpoint."


@dataclass(frozen=True, slots=True)
class OwnFile:
    """A file of a table or of its log.

    Attributes:
        path: relative to the table.
        is_needed: whether the table cannot be read without it. A checkpoint replaces what the log has before it, which
            may be removed at any time.
    """

    path: str
    is_needed: bool


def version_files(root: Path, table: Snapshot) -> list[OwnFile]:
    """Return every file of the version that a snapshot is of.

    Args:
        root: the table's folder.
        table: its snapshot.
    """
    numbered = [
        (int(found.group()), path.name) for path in (root / LOG).iterdir() if (found := COMMIT.match(path.name))
    ]
    upto = sorted((number, name) for number, name in numbered if number <= table.version)
    checkpoint = max((number for number, name in upto if CHECKPOINT in name), default=0)
    files = [OwnFile(f"{LOG}/{name}", is_needed=number >= checkpoint) for number, name in upto]
    return [*files, *(OwnFile(file.path, is_needed=True) for file in table.data_files())]
