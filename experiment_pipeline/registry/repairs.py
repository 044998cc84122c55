"""Repairs of the lake, as the ledger keeps them: old batches, accepted losses, batches that the lake alone knew."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby

from sqlalchemy import ColumnElement, Connection, select, update
from sqlalchemy.exc import IntegrityError

from experiment_pipeline.domain.batches import LandedObject, PlannedBatch, StoredBatch
from experiment_pipeline.domain.delivered_records import EnvironmentCounts
from experiment_pipeline.domain.events import Reason
from experiment_pipeline.errors import Conflict
from experiment_pipeline.registry import audit
from experiment_pipeline.registry.batches import insert_batch, objects_of
from experiment_pipeline.registry.engine import Database, reading, writing
from experiment_pipeline.registry.installation import Installations
from experiment_pipeline.registry.tables import batches, environments, landing_objects

OBJECTS_AUDITED = 50  # names of lost objects in one line of the audit log
_OBJECT = select(landing_objects.c.name, landing_objects.c.reading)


def _is_of(number: int) -> ColumnElement[bool]:
    return landing_objects.c.batch == number


@dataclass(frozen=True, slots=True)
class Repairs:
    """Store of what a repair of the lake reads and writes (`lake.repair.RepairLedger`)."""

    database: Database

    def batch(self, number: int) -> StoredBatch:
        """Return a batch, with the environments that existed when it was ingested.

        Raises:
            Conflict: there is no batch of this number.
        """
        with reading(self.database) as connection:
            row = connection.execute(select(batches).where(batches.c.number == number)).one_or_none()
            if row is None:
                raise Conflict(f"The registry knows no batch {number}.")
            existed = select(environments.c.key)
            if Reason.UNKNOWN_ENVIRONMENT in (row.rejected or {}):
                existed = existed.where(environments.c.created_at <= row.planned_at)
            objects = objects_of(connection, number)
            lost = set(
                connection.execute(_OBJECT.where(_is_of(number), landing_objects.c.loss_accepted_at.is_not(None)))
            )
            return StoredBatch(
                batch=PlannedBatch(number, row.planned_at, objects, row.timezone),
                environments=frozenset(connection.scalars(existed)),
                loss_accepted=row.loss_accepted_at is not None,
                lost=frozenset(landed for landed in objects if (landed.name, landed.reading) in lost),
                events=None if row.accepted is None or row.duplicates is None else row.accepted + row.duplicates,
            )

    def accept_loss(self, number: int, gone: Sequence[LandedObject], *, actor: str, now: datetime) -> None:
        """Record that objects of a batch are gone for good; the same objects a second time change nothing.

        Args:
            number: of the batch.
            gone: its objects that are not there; none where the batch's objects are not known.
            actor: for the audit log (rule L5).
            now: UTC.
        """
        with writing(self.database) as connection:
            is_open = (batches.c.number == number) & batches.c.loss_accepted_at.is_(None)
            is_first = connection.execute(update(batches).where(is_open).values(loss_accepted_at=now)).rowcount > 0
            new = [landed for landed in gone if self._mark_lost(connection, number, landed, now)]
            if not (is_first or new):
                return
            by_environment = sorted(new, key=lambda landed: landed.environment_key)
            groups = [(key, list(those)) for key, those in groupby(by_environment, lambda each: each.environment_key)]
            for key, those in groups or [("", [])]:
                names = [landed.name for landed in those[:OBJECTS_AUDITED]]
                audit.record(
                    connection,
                    at=now,
                    actor=actor,
                    environment_key=key,
                    subject=f"batch:{number}",
                    action="accept_loss",
                    before={"objects": len(those), "first": names},
                )

    def _mark_lost(self, connection: Connection, number: int, landed: LandedObject, now: datetime) -> bool:
        """Record the loss of one object, and return whether it is a new one."""
        is_it = _is_of(number) & (landing_objects.c.name == landed.name) & (landing_objects.c.reading == landed.reading)
        open_ = is_it & landing_objects.c.loss_accepted_at.is_(None)
        return connection.execute(update(landing_objects).where(open_).values(loss_accepted_at=now)).rowcount > 0

    def rebind(self, known: str, found: str, *, actor: str, now: datetime) -> None:
        """Record that the registry belongs to another lake than before.

        Args:
            known: the id of the lake that it belongs to.
            found: the id of the lake that it belongs to from now on.
            actor: for the audit log (rule L5).
            now: UTC.

        Raises:
            Conflict: it belongs to another lake than the known one.
        """
        with writing(self.database) as connection:
            Installations(connection).bind(found, now, replaces=known)
            audit.record(
                connection,
                at=now,
                actor=actor,
                environment_key="",
                subject="registry",
                action="bind",
                before={"lake": known},
                after={"lake": found},
            )

    def adopt(
        self,
        batch: PlannedBatch,
        *,
        committed_at: datetime | None,
        accepted: int | None = None,
        duplicates: int | None = None,
        rejected: Mapping[str, int] | None = None,
        problems: Mapping[str, str] | None = None,
        by_environment: Mapping[str, EnvironmentCounts] | None = None,
    ) -> None:
        """Add a batch that the lake holds and the registry does not know.

        Args:
            batch: as the lake's commit says it; without objects where that is not known any more.
            committed_at: UTC; None for a batch that has yet to be finished.
            accepted, duplicates, rejected, problems, by_environment: see `Batches.commit_batch`; None where they
                are not known.

        Raises:
            Conflict: another batch has this number, or one of the objects.
        """
        values = {
            "committed_at": committed_at,
            "accepted": accepted,
            "duplicates": duplicates,
            "rejected": None if rejected is None else dict(rejected),
            "by_environment": None if by_environment is None else dict(by_environment),
        }
        number = batch.number
        with writing(self.database) as connection:
            try:
                insert_batch(connection, batch)
            except IntegrityError:
                raise Conflict(f"The registry has a batch {number}, or an object of it, already.") from None
            connection.execute(update(batches).where(batches.c.number == number).values(values))
            for name, problem in (problems or {}).items():
                is_named = (landing_objects.c.name == name) & (landing_objects.c.batch == number)
                connection.execute(update(landing_objects).where(is_named).values(problem=problem))
