"""Outbox of the Delta tables: each publication adds to it in its own transaction, and leaves when it is in every table.

A batch is planned before it is written and closed when it is in every table; whoever finds one open finishes it. What
belongs to it never changes: later publications wait for the next one.
"""

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, delete, exists, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from experiment_pipeline.domain.experiments import Experiment
from experiment_pipeline.domain.refresh import Computation
from experiment_pipeline.domain.table_batches import DueLook, OutboxState, TableBatch
from experiment_pipeline.registry.columns import is_id
from experiment_pipeline.registry.engine import Database, reading, writing
from experiment_pipeline.registry.experiment_rows import select_experiments
from experiment_pipeline.registry.outbox_tables import table_batches, table_outbox
from experiment_pipeline.registry.tables import computations, experiments, payloads

PUBLISHED = ("id", "as_of", "data_version", "computed_at", "code_version", "payload", "findings")
MOMENTS_IN_A_QUERY = 1_000  # more are as many as all of the phase


@dataclass(frozen=True, slots=True)
class PublishedPayload:
    """A payload as it was published; `findings` are those that did not pass, None of an older version's."""

    id: int
    as_of: datetime
    data_version: int
    computed_at: datetime
    code_version: str
    payload: Mapping[str, Any]
    findings: Sequence[Mapping[str, Any]] | None


@dataclass(frozen=True, slots=True)
class TableOutbox:
    """Store of what waits for the Delta tables, and of the batches that it is written in."""

    database: Database

    def state(self) -> OutboxState:
        """Return what waits, and the newest batch."""
        with reading(self.database) as connection:
            newest = _newest(connection)
            waiting = connection.scalar(select(func.count()).select_from(table_outbox)) or 0
            has_published = bool(connection.scalar(select(exists().where(payloads.c.id.is_not(None)))))
        return OutboxState(newest, waiting, has_published)

    def count_looks(self) -> int:
        """Return how many looks were ever published."""
        is_look = payloads.c.computation == Computation.RESULTS.value
        with reading(self.database) as connection:
            return connection.scalar(select(func.count()).select_from(payloads).where(is_look)) or 0

    def plan(self, now: datetime, *, rebuild: bool = False, above: int = 0) -> TableBatch | None:
        """Return the batch to write: the one that is open, or a new one of everything that waits; None for nothing.

        Args:
            now: UTC.
            rebuild: plan one that writes everything anew, in the place of an open one.
            above: a number that the batch's has to be above: the tables may hold batches that the registry has lost.
        """
        with writing(self.database) as connection:
            newest = _newest(connection)
            if newest is not None and newest.written_at is None and not rebuild:
                return newest
            if not rebuild and not connection.scalar(select(exists().where(table_outbox.c.batch.is_(None)))):
                return None
            number = max(0 if newest is None else newest.number, above) + 1
            planned = TableBatch(number, rebuild, now)
            try:
                with connection.begin_nested():
                    connection.execute(insert(table_batches).values(number=number, is_rebuild=rebuild, planned_at=now))
            except IntegrityError:  # another process was faster
                return _newest(connection)
            connection.execute(delete(table_batches).where(table_batches.c.number < number))
            connection.execute(update(table_outbox).values(batch=number))
        return planned

    def close(self, batch: TableBatch, now: datetime) -> bool:
        """Record that a batch is in every table; return whether it was open."""
        is_open = (table_batches.c.number == batch.number) & table_batches.c.written_at.is_(None)
        with writing(self.database) as connection:
            closed = connection.execute(update(table_batches).where(is_open).values(written_at=now)).rowcount > 0
            if closed:
                connection.execute(delete(table_outbox).where(table_outbox.c.batch == batch.number))
        return closed

    def forget_batches(self) -> None:
        """Forget every batch, since there are no tables: the next batch writes everything anew."""
        with writing(self.database) as connection:
            connection.execute(delete(table_batches))
            connection.execute(delete(table_outbox))

    def due_looks(self, batch: TableBatch) -> list[DueLook]:
        """Return the looks that a batch writes, or writes a part of, in the order of their publication."""
        columns = (payloads.c.id, payloads.c.experiment_id, payloads.c.phase, payloads.c.as_of)
        with reading(self.database) as connection:
            phases: dict[tuple[int, int], dict[int, datetime]] = defaultdict(dict)
            for row in connection.execute(select(*columns).where(_is_of(batch))):
                phases[row.experiment_id, row.phase][row.id] = row.as_of
            found = [look for of, due in phases.items() for look in _due_looks(connection, *of, due)]
        return sorted(found, key=lambda look: look.payload_id)

    def published(self, ids: Collection[int]) -> dict[int, PublishedPayload]:
        """Return payloads by their ids, of which a query takes at most some thousands."""
        columns = [payloads.c[name] for name in PUBLISHED]
        found: dict[int, PublishedPayload] = {}
        with reading(self.database) as connection:
            for row in connection.execute(select(*columns).where(payloads.c.id.in_(ids))):
                found[row.id] = PublishedPayload(*row)
        return found

    def experiment(self, experiment_id: int, phase: int) -> Experiment:
        """Return the experiment of a look, deleted or not, as it was in a phase."""
        with reading(self.database) as connection:
            found = select_experiments(connection, is_id(experiments.c.id, experiment_id), with_deleted=True)
        return found[0].in_phase(phase)


def add_to_outbox(connection: Connection, payload_id: int) -> None:
    """Add a payload to what waits, in the transaction that publishes it."""
    connection.execute(insert(table_outbox).values(payload_id=payload_id))


def _newest(connection: Connection) -> TableBatch | None:
    newest = select(table_batches).order_by(table_batches.c.number.desc()).limit(1)
    row = connection.execute(newest).one_or_none()
    return None if row is None else TableBatch(row.number, row.is_rebuild, row.planned_at, row.written_at)


def _is_of(batch: TableBatch) -> ColumnElement[bool]:
    """Return the condition for the payloads of a batch; those of a rebuild are all that do not wait for a later one."""
    waits = select(table_outbox.c.payload_id)
    if batch.is_rebuild:
        return payloads.c.id.not_in(waits.where(table_outbox.c.batch.is_(None)))
    return payloads.c.id.in_(waits.where(table_outbox.c.batch == batch.number))


def _due_looks(
    connection: Connection, experiment_id: int, phase: int, due: Mapping[int, datetime]
) -> Iterator[DueLook]:
    """Yield what a batch writes of one phase's looks.

    The exposures of a look are written with whichever of the two payloads was published last.

    Args:
        connection: of the registry.
        experiment_id: of the looks.
        phase: of the looks.
        due: the payloads of the batch, with what each is as of.
    """
    rows = connection.execute(_numbered(experiment_id, phase, set(due.values()))).all()
    exposures: dict[tuple[datetime, int], list[int]] = defaultdict(list)
    for row in rows:
        if row.computation == Computation.EXPOSURES.value:
            exposures[row.as_of, row.data_version].append(row.id)
    ends = _is_final(connection, experiment_id, phase)
    for row in rows:
        if row.computation == Computation.RESULTS.value:
            pair = _exposures_of(row.id, exposures[row.as_of, row.data_version])
            is_new, is_paired = row.id in due, pair is not None and max(row.id, pair) in due
            is_final = ends and row.number == row.newest
            if is_new or is_paired:
                exposures_id = pair if is_paired else None
                yield DueLook(experiment_id, phase, row.number, row.id, is_final, is_new, exposures_id)


def _numbered(experiment_id: int, phase: int, moments: Collection[datetime]) -> Select[Any]:
    """Return the query of the payloads of a phase as of some moments, each with its number and the newest one."""
    of_phase = (payloads.c.experiment_id == experiment_id) & (payloads.c.phase == phase)
    number = func.row_number().over(partition_by=payloads.c.computation, order_by=payloads.c.id)
    newest = func.count().over(partition_by=payloads.c.computation)
    columns = (payloads.c.id, payloads.c.computation, payloads.c.as_of, payloads.c.data_version)
    numbered = select(*columns, number.label("number"), newest.label("newest")).where(of_phase).subquery()
    query = select(numbered).order_by(numbered.c.id)
    return query if len(moments) > MOMENTS_IN_A_QUERY else query.where(numbered.c.as_of.in_(moments))


def _exposures_of(look: int, same_moment: Sequence[int]) -> int | None:
    """Return the exposures payload of a look: the newest that was published before it, or the first one after it."""
    before = [each for each in same_moment if each < look]
    return before[-1] if before else next(iter(same_moment), None)


def _is_final(connection: Connection, experiment_id: int, phase: int) -> bool:
    return bool(
        connection.scalar(
            select(computations.c.is_final).where(
                computations.c.experiment_id == experiment_id,
                computations.c.phase == phase,
                computations.c.computation == Computation.RESULTS.value,
            )
        )
    )
