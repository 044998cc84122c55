"""The lake's ledger: which landing object belongs to which batch, and which batches are in the lake (rules E6, E7)."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import islice

from sqlalchemy import Connection, case, exists, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from experiment_pipeline.domain.batches import LakeVersion, LandedObject, PlannedBatch
from experiment_pipeline.errors import Conflict
from experiment_pipeline.registry.tables import batches, computations, experiments, landing_objects, landing_scans

LISTING_INTERVAL = timedelta(days=1)  # for file systems whose folders do not tell that they have changed
NAMES_PER_QUERY = 10_000  # SQLite binds at most 32,766 parameters


def known_objects(connection: Connection, names: Iterable[str]) -> set[str]:
    """Those of the names that belong to a batch already."""
    known: set[str] = set()
    remaining = iter(names)
    while chunk := list(islice(remaining, NAMES_PER_QUERY)):
        known.update(connection.scalars(select(landing_objects.c.name).where(landing_objects.c.name.in_(chunk))))
    return known


def plan_batch(connection: Connection, objects: Sequence[LandedObject], now: datetime) -> PlannedBatch:
    """Give the objects the next number. Raises Conflict while a batch is open or when an object has a batch."""
    if not objects:
        raise ValueError("objects: a batch needs at least one")
    # In this order: whoever plans between both queries takes this number, and the insert below collides with it.
    number = (connection.scalar(select(func.max(batches.c.number))) or 0) + 1
    standing = open_batch(connection)
    if standing is not None:
        raise Conflict(f"Batch {standing.number} is not committed yet: finish it first.")
    planned = PlannedBatch(number=number, planned_at=now, objects=tuple(objects))
    rows = [
        {
            "name": landed.name,
            "batch": number,
            "environment_key": landed.environment_key,
            "landed_at": landed.landed_at,
            "bytes": landed.bytes,
        }
        for landed in objects
    ]
    try:
        with connection.begin_nested():
            connection.execute(insert(batches).values(number=number, planned_at=now))
            connection.execute(insert(landing_objects), rows)
    except IntegrityError:
        raise Conflict(f"Batch {number} was planned by somebody else, or one of its objects has a batch.") from None
    return planned


def open_batch(connection: Connection) -> PlannedBatch | None:
    """The batch that was planned and not committed, objects by name; there is at most one."""
    batch = connection.execute(
        select(batches.c.number, batches.c.planned_at).where(batches.c.committed_at.is_(None))
    ).one_or_none()
    if batch is None:
        return None
    rows = connection.execute(
        select(landing_objects).where(landing_objects.c.batch == batch.number).order_by(landing_objects.c.name)
    ).mappings()
    objects = tuple(
        LandedObject(
            name=row["name"], environment_key=row["environment_key"], landed_at=row["landed_at"], bytes=row["bytes"]
        )
        for row in rows
    )
    return PlannedBatch(number=batch.number, planned_at=batch.planned_at, objects=objects)


def commit_batch(
    connection: Connection,
    number: int,
    *,
    accepted: int,
    duplicates: int,
    rejected: Mapping[str, int],
    problems: Mapping[str, str],
    now: datetime,
) -> None:
    """Make the batch part of the lake for every reader. Raises Conflict when it is not open.

    rejected: records by reason; problems: what was wrong with an object as a whole, by its name
    """
    committed = connection.execute(
        update(batches)
        .where(batches.c.number == number, batches.c.committed_at.is_(None))
        .values(committed_at=now, accepted=accepted, duplicates=duplicates, rejected=dict(rejected))
    )
    if committed.rowcount == 0:
        raise Conflict(f"Batch {number} is not open.")
    for name, problem in problems.items():
        connection.execute(
            update(landing_objects)
            .where(landing_objects.c.name == name, landing_objects.c.batch == number)
            .values(problem=problem)
        )


def planned_at(connection: Connection, number: int) -> datetime | None:
    """Return when a batch was planned; None for one that there is not."""
    return connection.scalar(select(batches.c.planned_at).where(batches.c.number == number))


def record_scan(connection: Connection, scanned_at: datetime) -> None:
    """Remember that all that had landed by then is in the lake; an earlier moment changes nothing."""
    known = connection.execute(
        update(landing_scans).values(
            scanned_at=case((landing_scans.c.scanned_at < scanned_at, scanned_at), else_=landing_scans.c.scanned_at)
        )
    )
    if known.rowcount == 0:
        connection.execute(insert(landing_scans).values(id=1, scanned_at=scanned_at))


def scanned_at(connection: Connection) -> datetime | None:
    """The newest moment of which it is known that all that had landed is in the lake."""
    return connection.scalar(select(landing_scans.c.scanned_at))


def awaits_listing(connection: Connection, now: datetime, grace: timedelta) -> bool:
    """Return whether the whole landing zone has to be listed: nobody has for a day, or it would make something final.

    Args:
        now: the moment that a listing would speak of (R6).
        grace: how long after an experiment's end its last objects may land.
    """
    last = scanned_at(connection)
    if last is None or last < now - LISTING_INTERVAL:
        return True
    waits = exists().where(
        experiments.c.id == computations.c.experiment_id,
        computations.c.is_final.is_(False),
        experiments.c.deleted_at.is_(None),
        experiments.c.ended_at <= now - grace,
        experiments.c.ended_at > last - grace,
    )
    return bool(connection.scalar(select(waits)))


def lake_version(connection: Connection) -> LakeVersion:
    """The newest committed batch."""
    number = connection.scalar(select(func.max(batches.c.number)).where(batches.c.committed_at.is_not(None))) or 0
    landed_at = connection.scalar(
        select(func.max(landing_objects.c.landed_at)).where(landing_objects.c.batch == number)
    )
    return LakeVersion(data_version=number, landed_at=landed_at)


def newest_batches(connection: Connection) -> dict[str, int]:
    """The newest committed batch that brought anything, by environment (rule R4)."""
    rows = connection.execute(
        select(landing_objects.c.environment_key, func.max(landing_objects.c.batch).label("batch"))
        .join(batches, batches.c.number == landing_objects.c.batch)
        .where(batches.c.committed_at.is_not(None))
        .group_by(landing_objects.c.environment_key)
    )
    return {row.environment_key: row.batch for row in rows}
