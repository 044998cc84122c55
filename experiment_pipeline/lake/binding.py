"""Binding a registry to another lake: only to one that holds the very batches that the registry knows (rule E7).

A registry comes to belong to a wrong lake by a repair in the wrong data directory whose losses were accepted. The right
lake is refused from then on. What tells it is what its commits say of their batches: the landing objects.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from experiment_pipeline.domain.batches import Installation, LandedObject, LedgerState, RejectedRows, StoredBatch
from experiment_pipeline.errors import ConfigurationError, UnsoundLake
from experiment_pipeline.lake.batch_commits import BatchCommit
from experiment_pipeline.lake.delta import EVENTS, REJECTED, Snapshot
from experiment_pipeline.lake.ingestion import exclusive_lock
from experiment_pipeline.lake.soundness import Batches, Ledger, named, state_of
from experiment_pipeline.storage.object_path import StoragePath

REFUSED = "Nothing is bound. Name the data directory and the registry that belong together, or restore a backup."


class BindingLedger(Protocol):
    """The part of the registry that a binding needs besides its state."""

    def batch(self, number: int) -> StoredBatch:
        """Return a batch that is committed or planned."""

    def rebind(self, known: str, found: str, *, actor: str, now: datetime) -> None:
        """Record that the registry belongs to the lake that is found, and no more to the one that is known."""


@dataclass(frozen=True, slots=True)
class Binding:
    """Change that a binding makes, and the batches that it was judged by.

    known, found: the ids of the lake that the registry belongs to, and of the one that is here
    compared:     how many batches are the same by their landing objects
    lacking:      batches that the registry knows and the lake here does not hold
    """

    known: str
    found: str
    compared: int
    lacking: Batches

    @property
    def is_needed(self) -> bool:
        """Whether the registry belongs to another lake."""
        return self.known != self.found


def plan_binding(root: StoragePath, ledger: Ledger, batches: BindingLedger) -> Binding:
    """Return what would be bound; nothing changes.

    Raises:
        UnsoundLake: a batch of the registry is another one in this lake, or nothing tells whether it is the same: its
            events would be taken for those of the registry's batch, and the loss of these would be hidden.
    """
    known, state = ledger.state(), state_of(root)
    if known.installation is None:
        raise UnsoundLake("The registry belongs to no lake yet: its first ingestion, or `lake repair`, binds it.")
    if state.identity is None:
        raise UnsoundLake(f"There is no lake in {root}. Name the data directory of the lake.")
    ours = list(_numbers(known, state.newest))
    commits = _commits(root)
    compared = sum(_is_same(batches.batch(number), commits.get(number), known.installation) for number in ours)
    if ours and not compared and not any(_is_of(commit, known.installation) for commit in commits.values()):
        raise UnsoundLake(f"Nothing tells whether this lake's {named(ours)} are those of the registry. {REFUSED}")
    lacking = range(min(state.held, known.newest) + 1, known.newest + 1)
    return Binding(known.installation.lake, state.identity, compared, lacking)


def bind(
    root: StoragePath, ledger: Ledger, batches: BindingLedger, found: str, *, actor: str, now: datetime
) -> Binding:
    """Bind the registry to the lake of this id, which has to be the one that is here.

    Raises:
        ConfigurationError: another lake is here.
        UnsoundLake: see `plan_binding`.
    """
    with exclusive_lock(root):
        binding = plan_binding(root, ledger, batches)
        if found != binding.found:
            raise ConfigurationError.of("--to", f"The lake here is {binding.found}.")
        if binding.is_needed:
            batches.rebind(binding.known, found, actor=actor, now=now)
        return binding


def _numbers(known: LedgerState, newest: int) -> Iterator[int]:
    """Yield the batches that both know, a planned one too: a commit of its number would end it."""
    yield from range(1, min(known.newest, newest) + 1)
    if known.planned is not None and known.newest < known.planned <= newest:
        yield known.planned


def _commits(root: StoragePath) -> dict[int, BatchCommit]:
    tables = [Snapshot.open(root, table) for table in (REJECTED, EVENTS) if Snapshot.exists(root, table)]
    return {commit.batch.number: commit for table in tables for commit in table.batch_commits()}


def _is_same(stored: StoredBatch, commit: BatchCommit | None, installation: Installation) -> bool:
    """Return whether a batch and a commit have the same objects; False where nobody knows the objects of one any more.

    Raises:
        UnsoundLake: they have others, or the commit is another installation's.
    """
    if commit is None:
        return False
    ours, theirs = ({_key(landed) for landed in batch.objects} for batch in (stored.batch, commit.batch))
    is_known = bool(ours and theirs)
    if (is_known and ours != theirs) or not (is_known or _is_of(commit, installation)):
        raise UnsoundLake(f"Batch {stored.batch.number} of this lake is another one than the registry's. {REFUSED}")
    return is_known


def _is_of(commit: BatchCommit, installation: Installation) -> bool:
    return commit.installation == installation.identity


def _key(landed: LandedObject) -> tuple[str, int, datetime, int, RejectedRows | None]:
    return landed.name, landed.bytes, landed.landed_at, landed.reading, landed.retried
