"""Arrivals: when the newest events of an environment landed, and what became of the records that landed."""

from datetime import datetime

from sqlalchemy import Connection, exists, func, select

from experiment_pipeline.domain.delivered_records import DeliveredRecords, delivered_records
from experiment_pipeline.domain.exposures import Window
from experiment_pipeline.landing.layout import ENVIRONMENT_FOLDER, EVENTS
from experiment_pipeline.landing.source_objects import SOURCES
from experiment_pipeline.registry.source_tables import source_ranges, sources
from experiment_pipeline.registry.tables import batches, landing_objects

SENDERS = "senders"  # of events that no source brings


def arrivals_began(connection: Connection, environment_key: str) -> datetime | None:
    """Return from when on events of an environment come from everywhere (UTC); None before any has landed.

    That is when the first object of senders or of the last source to begin landed: what it brought is older.
    """
    first = select(func.min(landing_objects.c.batch)).where(landing_objects.c.environment_key == environment_key)
    landed_at = connection.scalar(
        select(func.min(landing_objects.c.landed_at)).where(
            landing_objects.c.environment_key == environment_key,
            landing_objects.c.batch == first.scalar_subquery(),
        )
    )
    of_sources = (
        select(func.min(source_ranges.c.landed_at))
        .join(sources, sources.c.key == source_ranges.c.source)
        .where(sources.c.environment_key == environment_key)
        .group_by(source_ranges.c.source)
    )
    moments = [landed_at, *connection.scalars(of_sources)]
    return max((each for each in moments if each is not None), default=None)


def newest_arrivals(connection: Connection, environment_key: str) -> dict[str, datetime | None]:
    """Return when the newest events of each source, and of senders where there are any, landed (UTC).

    A source whose first pull has brought nothing yet has None. Events of senders are those of the newest batch that has
    any: batches grow with time.
    """
    of_source = f"{EVENTS}/{ENVIRONMENT_FOLDER}{environment_key}/{SOURCES}/"
    senders = (
        select(landing_objects.c.landed_at)
        .join(batches, batches.c.number == landing_objects.c.batch)
        .where(
            landing_objects.c.environment_key == environment_key,
            batches.c.committed_at.is_not(None),
            func.substr(landing_objects.c.name, 1, len(of_source)) != of_source,
        )
        .order_by(landing_objects.c.batch.desc(), landing_objects.c.landed_at.desc())
        .limit(1)
    )
    pulled = (
        select(sources.c.key, func.max(source_ranges.c.landed_at))
        .join(source_ranges, (source_ranges.c.source == sources.c.key) & (source_ranges.c.records > 0), isouter=True)
        .where(sources.c.environment_key == environment_key)
        .group_by(sources.c.key)
    )
    found: dict[str, datetime | None] = {f"the source {key}": at for key, at in connection.execute(pulled)}
    sent_at = connection.scalar(senders)
    return found | ({SENDERS: sent_at} if sent_at is not None else {})


def records_delivered(
    connection: Connection, environment_key: str, window: Window, data_version: int
) -> DeliveredRecords:
    """Return what became of the records of an environment, in the batches with an object that landed in the window.

    Such a batch counts as a whole. Records that are taken in again have the arrival stamp of their object.

    Args:
        connection: to the registry.
        environment_key: of the experiment.
        window: in which objects landed, its end excluded.
        data_version: the newest batch that counts (rule E6).
    """
    landed = exists().where(
        landing_objects.c.batch == batches.c.number,
        landing_objects.c.environment_key == environment_key,
        landing_objects.c.landed_at >= window.started_at,
        landing_objects.c.landed_at < window.as_of,
    )
    of_batches = select(batches.c.by_environment).where(
        batches.c.committed_at.is_not(None), batches.c.number <= data_version, landed
    )
    counts = connection.scalars(of_batches)
    return delivered_records(None if each is None else each.get(environment_key) for each in counts)
