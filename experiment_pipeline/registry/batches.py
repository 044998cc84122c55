"""The lake's ledger: which landing object belongs to which batch, and which batches are in the lake (rules E6, E7)."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import islice

from sqlalchemy import Connection, case, exists, func, insert, or_, select, update
from sqlalchemy.exc import IntegrityError

from experiment_pipeline.domain.batches import (
    IngestedFile,
    LakeVersion,
    LandedObject,
    LedgerState,
    PlannedBatch,
    RejectedRows,
)
from experiment_pipeline.domain.delivered_records import EnvironmentCounts
from experiment_pipeline.domain.erasures import ErasedIdentities
from experiment_pipeline.errors import Conflict
from experiment_pipeline.registry.engine import Database, reading, writing
from experiment_pipeline.registry.environments import Environments
from experiment_pipeline.registry.erasures import Erasures
from experiment_pipeline.registry.installation import Installations
from experiment_pipeline.registry.tables import (
    batches,
    computations,
    experiments,
    landing_objects,
    landing_scans,
    phases,
)
from experiment_pipeline.times import CLOCK_TOLERANCE, is_ahead

LISTING_INTERVAL = timedelta(days=1)  # for file systems whose folders do not tell that they have changed
NAMES_PER_QUERY = 10_000  # SQLite binds at most 32,766 parameters


@dataclass(frozen=True, slots=True)
class Batches:
    """Store of the batches: the ledger of `lake.ingestion` (`BatchLedger`)."""

    database: Database

    def known_objects(self, names: Iterable[str]) -> set[str]:
        """Return those of the landing objects' names that belong to a batch already."""
        known: set[str] = set()
        remaining = iter(names)
        with reading(self.database) as connection:
            while chunk := list(islice(remaining, NAMES_PER_QUERY)):
                is_file = landing_objects.c.retried_batch.is_(None)
                found = select(landing_objects.c.name).where(landing_objects.c.name.in_(chunk), is_file)
                known.update(connection.scalars(found))
        return known

    def ingested_files(self, names: Sequence[str]) -> dict[str, IngestedFile]:
        """Return those of the landing objects that belong to a batch, as they were when they were read last."""
        objects = landing_objects.c
        columns = (objects.name, objects.bytes, objects.modified_at, objects.batch, objects.reading)
        read = select(*columns, objects.retried_batch).where(objects.name.in_(names)).order_by(objects.reading)
        files: dict[str, IngestedFile] = {}
        with reading(self.database) as connection:
            for row in connection.execute(read):
                if row.retried_batch is None:
                    files[row.name] = IngestedFile(row.bytes, row.modified_at, row.batch, row.reading)
                elif row.name in files:
                    files[row.name] = replace(files[row.name], reading=row.reading)
        return files

    def retried_records(self) -> list[tuple[str, RejectedRows]]:
        """Return which rejected records have been taken in again, by the names of their objects."""
        objects = landing_objects.c
        taken = select(objects.name, objects.retried_batch, objects.retried_reason)
        with reading(self.database) as connection:
            rows = connection.execute(taken.where(objects.retried_batch.is_not(None)))
            return [(row.name, RejectedRows(row.retried_batch, row.retried_reason)) for row in rows]

    def stored_objects(self, names: Sequence[str], before: datetime) -> dict[str, IngestedFile]:
        """Return those of the landing objects that are in the lake as a whole, since before a moment.

        Each is as its file was when it was read last. An object with a problem is not in the lake as a whole: what
        could not be read of it is in no other place.
        """
        objects = landing_objects.c
        columns = (objects.name, objects.bytes, objects.modified_at, objects.batch, objects.reading, objects.problem)
        read = (
            select(*columns, batches.c.committed_at)
            .join(batches, batches.c.number == objects.batch)
            .where(objects.name.in_(names), objects.retried_batch.is_(None))
            .order_by(objects.reading)
        )
        files: dict[str, IngestedFile] = {}
        with reading(self.database) as connection:
            for row in connection.execute(read):
                files.pop(row.name, None)
                if row.problem is None and row.committed_at is not None and row.committed_at < before:
                    files[row.name] = IngestedFile(row.bytes, row.modified_at, row.batch, row.reading)
        return files

    def state(self) -> LedgerState:
        """Return what the registry knows of its lake, all of one moment."""
        with reading(self.database) as connection:
            return LedgerState(
                installation=Installations(connection).get(),
                newest=newest(connection),
                planned=connection.scalar(select(batches.c.number).where(batches.c.committed_at.is_(None))),
            )

    def bind(self, lake: str, now: datetime, *, identity: str | None = None, replaces: str | None = None) -> str:
        """Record which lake the registry belongs to, unless it is recorded already; see `Installations.bind`."""
        return Installations(self.database).bind(lake, now, identity=identity, replaces=replaces)

    def environment_exists(self, key: str) -> bool:
        """Return whether the registry has an environment of this key; events of others are rejected (rule E3)."""
        return Environments(self.database).exists(key)

    def erased_identities(self) -> ErasedIdentities:
        """Return the identities that were erased, whose earlier records a batch leaves out (rule E6)."""
        return Erasures(self.database).identities()

    def plan_batch(self, objects: Sequence[LandedObject], now: datetime, timezone: str | None = None) -> PlannedBatch:
        """Give landing objects the next batch number.

        Args:
            objects: at least one.
            now: UTC.
            timezone: of their timestamps without one; kept, so that an interrupted batch is judged as it was begun.

        Raises:
            Conflict: another batch is open, or one of the objects belongs to a batch already.
            ValueError: there are no objects.
        """
        if not objects:
            raise ValueError("objects: a batch needs at least one")
        with writing(self.database) as connection:
            # In this order: a batch that is planned between both queries has this number, and the insert fails.
            number = (connection.scalar(select(func.max(batches.c.number))) or 0) + 1
            unfinished = Batches(connection).open_batch()
            if unfinished is not None:
                raise Conflict(f"Batch {unfinished.number} is not committed yet: finish it first.")
            planned = PlannedBatch(number=number, planned_at=now, objects=tuple(objects), timezone=timezone)
            try:
                insert_batch(connection, planned)
            except IntegrityError:
                taken = f"Batch {number} was planned by somebody else, or one of its objects has a batch."
                raise Conflict(taken) from None
        return planned

    def open_batch(self) -> PlannedBatch | None:
        """Return the batch that was planned and not committed, its objects by name; there is at most one."""
        unfinished = select(batches).where(batches.c.committed_at.is_(None))
        with reading(self.database) as connection:
            batch = connection.execute(unfinished).one_or_none()
            if batch is None:
                return None
            objects = objects_of(connection, batch.number)
        return PlannedBatch(batch.number, batch.planned_at, objects, batch.timezone)

    def commit_batch(
        self,
        number: int,
        *,
        accepted: int,
        duplicates: int,
        rejected: Mapping[str, int],
        problems: Mapping[str, str],
        by_environment: Mapping[str, EnvironmentCounts] | None = None,
        now: datetime,
    ) -> None:
        """Make a batch part of the lake for every reader.

        Args:
            number: of the open batch.
            accepted: records that are new.
            duplicates: records that were there already.
            rejected: records by reason (rule E3).
            problems: what is wrong with an object as a whole, by its name.
            by_environment: the counts of each environment; None where they are not known.
            now: UTC.

        Raises:
            Conflict: the batch is not open.
        """
        values = {
            "committed_at": now,
            "accepted": accepted,
            "duplicates": duplicates,
            "rejected": dict(rejected),
            "by_environment": None if by_environment is None else dict(by_environment),
        }
        is_open = (batches.c.number == number) & batches.c.committed_at.is_(None)
        with writing(self.database) as connection:
            if connection.execute(update(batches).where(is_open).values(values)).rowcount == 0:
                raise Conflict(f"Batch {number} is not open.")
            for name, problem in problems.items():
                connection.execute(
                    update(landing_objects)
                    .where(landing_objects.c.name == name, landing_objects.c.batch == number)
                    .values(problem=problem)
                )

    def planned_at(self, batch: int) -> datetime | None:
        """Return when a batch was planned; None for one that there is not."""
        with reading(self.database) as connection:
            return connection.scalar(select(batches.c.planned_at).where(batches.c.number == batch))

    def record_scan(self, scanned_at: datetime, now: datetime | None = None) -> None:
        """Record that all that had landed by then is in the lake (rule R6); an earlier moment changes nothing.

        Args:
            scanned_at: that moment, UTC.
            now: the present moment: a record that lies ahead of it was made by a wrong clock, and is replaced.
        """
        known = landing_scans.c.scanned_at
        is_older = known < scanned_at if now is None else or_(known < scanned_at, known > now + CLOCK_TOLERANCE)
        later = case((is_older, scanned_at), else_=known)
        with writing(self.database) as connection:
            if connection.execute(update(landing_scans).values(scanned_at=later)).rowcount == 0:
                connection.execute(insert(landing_scans).values(id=1, scanned_at=scanned_at))

    def scanned_at(self) -> datetime | None:
        """Return the newest moment of which it is known that all that had landed is in the lake; None for none."""
        with reading(self.database) as connection:
            return connection.scalar(select(landing_scans.c.scanned_at))

    def awaits_listing(self, now: datetime, grace: timedelta) -> bool:
        """Return whether the whole landing zone has to be listed: after a day, or where it makes something final (R6).

        Args:
            now: the moment that a listing would speak of, UTC.
            grace: how long after an experiment's end its last objects may land.
        """
        with reading(self.database) as connection:
            last = Batches(connection).scanned_at()
            if last is None or last < now - LISTING_INTERVAL or is_ahead(last, now):
                return True
            waits = exists().where(
                experiments.c.id == computations.c.experiment_id,
                phases.c.experiment_id == computations.c.experiment_id,
                phases.c.number == computations.c.phase,
                computations.c.is_final.is_(False),
                experiments.c.deleted_at.is_(None),
                phases.c.ended_at <= now - grace,
                phases.c.ended_at > last - grace,
            )
            return bool(connection.scalar(select(waits)))

    def newest_by(self, moment: datetime) -> int:
        """Return the newest batch that was in the lake by a moment; 0 where none was."""
        committed = select(func.max(batches.c.number)).where(batches.c.committed_at <= moment)
        with reading(self.database) as connection:
            return connection.scalar(committed) or 0

    def lake_version(self) -> LakeVersion:
        """Return the newest committed batch (rule E6)."""
        with reading(self.database) as connection:
            number = newest(connection)
            landed_at = connection.scalar(
                select(func.max(landing_objects.c.landed_at)).where(landing_objects.c.batch == number)
            )
        return LakeVersion(data_version=number, landed_at=landed_at)


def newest(connection: Connection) -> int:
    """Return the number of the newest committed batch; 0 for none."""
    return connection.scalar(select(func.max(batches.c.number)).where(batches.c.committed_at.is_not(None))) or 0


def newest_by_environment(connection: Connection) -> dict[str, int]:
    """Return the newest committed batch that brought anything, by environment (rule R4)."""
    rows = connection.execute(
        select(landing_objects.c.environment_key, func.max(landing_objects.c.batch).label("batch"))
        .join(batches, batches.c.number == landing_objects.c.batch)
        .where(batches.c.committed_at.is_not(None))
        .group_by(landing_objects.c.environment_key)
    )
    return {row.environment_key: row.batch for row in rows}


def insert_batch(connection: Connection, planned: PlannedBatch) -> None:
    """Add a batch and its objects; raises IntegrityError when the number or an object is taken."""
    rows = [
        {
            "name": landed.name,
            "batch": planned.number,
            "environment_key": landed.environment_key,
            "landed_at": landed.landed_at,
            "bytes": landed.bytes,
            "modified_at": landed.modified_at,
            "reading": landed.reading,
            "retried_batch": landed.retried and landed.retried.batch,
            "retried_reason": landed.retried and landed.retried.reason,
        }
        for landed in planned.objects
    ]
    values = {"number": planned.number, "planned_at": planned.planned_at, "timezone": planned.timezone}
    with connection.begin_nested():
        connection.execute(insert(batches).values(values))
        if rows:
            connection.execute(insert(landing_objects), rows)


def objects_of(connection: Connection, number: int) -> tuple[LandedObject, ...]:
    """Return the objects of a batch, by name."""
    rows = connection.execute(
        select(landing_objects)
        .where(landing_objects.c.batch == number)
        .order_by(landing_objects.c.name, landing_objects.c.reading)
    ).mappings()
    fields = ("name", "environment_key", "landed_at", "bytes", "modified_at", "reading")
    return tuple(
        LandedObject(
            **{name: row[name] for name in fields},
            retried=None if row["retried_batch"] is None else RejectedRows(row["retried_batch"], row["retried_reason"]),
        )
        for row in rows
    )
