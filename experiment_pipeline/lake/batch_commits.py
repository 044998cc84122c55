"""Batch commits: what a commit of the lake says of its batch, so that a registry can learn it again."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any, Self, TypedDict

from experiment_pipeline.domain.batches import LandedObject, PlannedBatch, RejectedRows
from experiment_pipeline.domain.delivered_records import EnvironmentCounts
from experiment_pipeline.landing.layout import environment_of

DEFAULTS = (None, 1, None)  # of what older commits do not say: the file's time, the reading, what is retried


class BatchCounts(TypedDict):
    """The counts of one batch that the registry keeps."""

    accepted: int
    duplicates: int
    rejected: dict[str, int]
    problems: dict[str, str]
    by_environment: dict[str, EnvironmentCounts] | None


@dataclass(frozen=True, slots=True)
class BatchSummary:
    """The counts of one batch, stored in the commit that made the batch's events visible.

    unknown_fields: records by the name of a field that rule E1 does not know; the first of `unknown_names`
    removed: rows of earlier batches that left with it (rule E6)
    erased: records that were left out: of identities that had been erased
    by_environment: the counts of each environment that the batch has objects of; None in commits of earlier releases
    """

    accepted: int
    duplicates: int
    rejected: dict[str, int]
    problems: dict[str, str]
    unknown_fields: dict[str, int] = field(default_factory=dict)
    unknown_names: int = 0
    removed: int = 0
    by_environment: dict[str, EnvironmentCounts] | None = None
    erased: int = 0

    @property
    def counts(self) -> BatchCounts:
        """Counts that the registry keeps."""
        return BatchCounts(
            accepted=self.accepted,
            duplicates=self.duplicates,
            rejected=self.rejected,
            problems=self.problems,
            by_environment=self.by_environment,
        )


@dataclass(frozen=True, slots=True)
class BatchCommit:
    """A batch as its commit describes it; `batch` has no objects in commits from before they said them."""

    batch: PlannedBatch
    installation: str | None
    summary: BatchSummary

    def to_properties(self) -> dict[str, object]:
        """Return what the commit says, as JSON has it."""
        return {
            "batch": self.batch.number,
            "installation": self.installation,
            "planned_at": self.batch.planned_at.isoformat(),
            "timezone": self.batch.timezone,
            "objects": [to_fields(landed) for landed in self.batch.objects],
            "summary": asdict(self.summary),
        }

    @classmethod
    def from_properties(cls, commit: Mapping[str, Any]) -> Self:
        """Return the batch of a commit, as Delta's history tells it; older commits say less."""
        committed_at = datetime.fromtimestamp(commit["timestamp"] / 1_000, UTC)
        objects = tuple(from_fields(fields) for fields in commit.get("objects", ()))
        planned_at = datetime.fromisoformat(commit["planned_at"]) if "planned_at" in commit else committed_at
        return cls(
            batch=PlannedBatch(commit["batch"], planned_at, objects, commit.get("timezone")),
            installation=commit.get("installation"),
            summary=BatchSummary(**commit["summary"]),
        )


def to_fields(landed: LandedObject) -> list[object]:
    """Return an object's fields as JSON has them; its name says its environment."""
    modified_at = landed.modified_at and landed.modified_at.isoformat()
    retried = landed.retried and [landed.retried.batch, landed.retried.reason]
    return [landed.name, landed.landed_at.isoformat(), landed.bytes, modified_at, landed.reading, retried]


def from_fields(fields: Sequence[Any]) -> LandedObject:
    """Return the object that a commit names; older commits say no more than name, arrival and size."""
    filled: Sequence[Any] = [*fields, *DEFAULTS[len(fields) - 3 :]]
    name, landed_at, size, modified_at, reading, retried = filled
    return LandedObject(
        name=name,
        environment_key=environment_of(name),
        landed_at=datetime.fromisoformat(landed_at),
        bytes=size,
        modified_at=datetime.fromisoformat(modified_at) if modified_at else None,
        reading=reading,
        retried=RejectedRows(*retried) if retried else None,
    )
