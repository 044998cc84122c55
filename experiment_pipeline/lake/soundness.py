"""Soundness: whether the lake holds what the registry knows, and nothing that it does not know (rules R3, E7).

Batches enter the lake in order, so a lake that was restored from an older copy lacks the newest ones, and one whose
folder is gone lacks all. A lake with more batches than the registry belongs to a newer copy of it, or to another one.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import islice
from typing import Protocol

from experiment_pipeline.domain.batches import LedgerState
from experiment_pipeline.errors import UnsoundLake
from experiment_pipeline.lake.delta import EVENTS, REJECTED, DataFile, Snapshot, TableDefinition
from experiment_pipeline.storage.object_path import StoragePath

BATCHES_NAMED = 20
REMEDY = "Name the data directory and the registry that belong together, or see `lake repair --dry-run`."
REMEDY_OF_OTHER = "Name the data directory and the registry that belong together, or see `registry bind`."
Batches = Sequence[int]


class Flaw(StrEnum):
    """Kind of misfit between registry and lake."""

    OTHER_LAKE = "other_lake"
    LAKE_AHEAD = "lake_ahead"
    BATCHES_MISSING = "batches_missing"
    FILES_MISSING = "files_missing"


class Ledger(Protocol):
    """The registry, as far as it knows its lake."""

    def state(self) -> LedgerState:
        """Return it, all of one moment."""


@dataclass(frozen=True, slots=True)
class LakeState:
    """The lake as its own logs describe it.

    identity: of its table of events; None where there is none
    events, rejected: the newest batch that each table holds; 0 for none
    lost_events, lost_rejected: files that the tables list and that are not there
    """

    identity: str | None = None
    events: int = 0
    rejected: int = 0
    lost_events: tuple[DataFile, ...] = ()
    lost_rejected: tuple[DataFile, ...] = ()

    @property
    def held(self) -> int:
        """The newest batch that both tables hold."""
        return min(self.events, self.rejected)

    @property
    def newest(self) -> int:
        """The newest batch that is in one of the tables."""
        return max(self.events, self.rejected)


@dataclass(frozen=True, slots=True)
class Finding:
    """A misfit of registry and lake: the flaw, the batches that it is about, and a sentence with the remedy."""

    flaw: Flaw
    batches: Batches
    message: str


def state_of(root: StoragePath) -> LakeState:
    """Return what the lake below a folder says of itself, both tables as they are now.

    Raises:
        LakeError: a Delta log cannot be read.
    """
    events, rejected = _table(root, EVENTS), _table(root, REJECTED)
    return LakeState(
        identity=None if events is None else events.identity,
        events=0 if events is None else events.batch,
        rejected=0 if rejected is None else rejected.batch,
        lost_events=() if events is None else tuple(events.missing_files()),
        lost_rejected=() if rejected is None else tuple(rejected.missing_files()),
    )


def compare(ledger: LedgerState, lake: LakeState) -> Finding | None:
    """Return the first flaw of a registry and a lake; None where they fit."""
    known = None if ledger.installation is None else ledger.installation.lake
    is_other = known is not None and lake.identity != known
    if is_other and lake.events:
        message = f"The lake here is not the one that the registry belongs to. {REMEDY_OF_OTHER}"
        return Finding(Flaw.OTHER_LAKE, (), message)
    expected = max(ledger.newest, ledger.planned or 0)
    if lake.newest > expected:
        ahead = range(expected + 1, lake.newest + 1)
        message = f"The lake holds {named(ahead)} that the registry does not know. {REMEDY}"
        return Finding(Flaw.LAKE_AHEAD, ahead, message)
    if lake.held < ledger.newest:
        lacking = range(lake.held + 1, ledger.newest + 1)
        what = "the rejected records of " if lake.events >= ledger.newest else ""
        return Finding(
            Flaw.BATCHES_MISSING, lacking, f"The lake lacks {what}{named(lacking)} that the registry knows. {REMEDY}"
        )
    if is_other:
        return Finding(Flaw.OTHER_LAKE, (), f"The lake that the registry belongs to is not here. {REMEDY}")
    if files := (*lake.lost_events, *lake.lost_rejected):
        lost = batches_of(files, lake.held)
        message = f"{len(files):,} files of the lake are missing, with records of {named(lost)}. {REMEDY}"
        return Finding(Flaw.FILES_MISSING, lost, message)
    return None


def find_flaw(root: StoragePath, ledger: Ledger) -> Finding | None:
    """Return what does not fit between a lake and its registry; None where they fit.

    An ingestion that goes on meanwhile looks like a flaw for a moment, but never twice like the same one.

    Raises:
        LakeError: a Delta log cannot be read.
    """
    return _examine(root, ledger)[1]


def require_sound(root: StoragePath, ledger: Ledger) -> LedgerState:
    """Refuse a lake that does not fit its registry, and return what the registry knows of it.

    Raises:
        UnsoundLake: says what is missing, and the remedy.
        LakeError: a Delta log cannot be read.
    """
    known, finding = _examine(root, ledger)
    if finding is not None:
        raise UnsoundLake(finding.message)
    return known


def named(batches: Batches) -> str:
    """Return batches in words: the first by their numbers, and how many more there are."""
    noun = "batch" if len(batches) == 1 else "batches"
    first = ", ".join(map(str, islice(batches, BATCHES_NAMED)))
    more = len(batches) - BATCHES_NAMED
    return f"{noun} {first} and {more:,} more" if more > 0 else f"{noun} {first}"


def batches_of(files: Sequence[DataFile], newest: int) -> Batches:
    """Return the batches whose rows files may hold: that of the file's name, or any for a merged file."""
    numbers = {file.batch for file in files}
    return range(1, newest + 1) if None in numbers else sorted(number for number in numbers if number is not None)


def _examine(root: StoragePath, ledger: Ledger) -> tuple[LedgerState, Finding | None]:
    before = None
    while True:
        known = ledger.state()  # first: what the registry knows is in the lake already
        finding = compare(known, state_of(root))
        if finding is None or finding == before:
            return known, finding
        before = finding


def _table(root: StoragePath, definition: TableDefinition) -> Snapshot | None:
    return Snapshot.open(root, definition) if Snapshot.exists(root, definition) else None
