"""Looks: the payloads that were published of an experiment, and whether any of them has counted somebody."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, and_, func, select

from experiment_pipeline.domain.looks import Look
from experiment_pipeline.domain.refresh import Computation
from experiment_pipeline.errors import NotFound
from experiment_pipeline.registry.engine import Database, reading
from experiment_pipeline.registry.tables import is_of_phase, payloads

LOOK = ("as_of", "data_version", "computed_at", "code_version", "payload", "phase")  # fields, and columns


@dataclass(frozen=True, slots=True)
class Looks:
    """Store of the published results payloads of each experiment, numbered from 1 in each phase (rules R9, X9).

    A phase of None is the newest one.
    """

    database: Database

    def newest(self, experiment_id: int, phase: int | None = None) -> Look | None:
        """Return the newest look; None before results were published."""
        return next(iter(self.list(experiment_id, phase, limit=1)), None)

    def get(self, experiment_id: int, number: int, phase: int | None = None) -> Look:
        """Return one look.

        Raises:
            NotFound: there is none of this number.
        """
        statement = _numbered(experiment_id, phase)
        statement = statement.where(statement.selected_columns.number == number)
        with reading(self.database) as connection:
            count = _count(connection, experiment_id, phase)
            if not 0 < number <= count:
                there = f"there are 1 to {count}" if count else "nothing was published yet"
                raise NotFound(f"No look {number}: {there}.")
            return _look(connection.execute(statement).one())

    def list(
        self, experiment_id: int, phase: int | None = None, *, limit: int | None = None, offset: int = 0
    ) -> Sequence[Look]:
        """Return the looks, newest first.

        Args:
            experiment_id: of the experiment.
            phase: of the experiment.
            limit: at most so many; None for all.
            offset: leave out so many of the newest.
        """
        statement = _numbered(experiment_id, phase).order_by(payloads.c.id.desc()).limit(limit).offset(offset)
        with reading(self.database) as connection:
            return [_look(row) for row in connection.execute(statement)]

    def between(self, experiment_id: int, first: int, last: int, phase: int | None = None) -> Sequence[Look]:
        """Return the looks whose numbers lie between two others, in their order."""
        statement = _numbered(experiment_id, phase).order_by(payloads.c.id)
        number = statement.selected_columns.number
        with reading(self.database) as connection:
            rows = connection.execute(statement.where(number > first, number < last))
            return [_look(row) for row in rows]

    def count(self, experiment_id: int, phase: int | None = None) -> int:
        """Return how many looks there are."""
        with reading(self.database) as connection:
            return _count(connection, experiment_id, phase)


def have_counted(connection: Connection, experiment_id: int) -> bool:
    """Return whether a look of any phase was published that counts an identity.

    From then on its start and its key stay (rules L1, L6).
    """
    statement = (
        select(payloads.c.computation, payloads.c.payload)
        .where(payloads.c.experiment_id == experiment_id)
        .order_by(payloads.c.id.desc())  # of all looks the newest counts most
        .execution_options(yield_per=10)
    )
    with connection.execute(statement) as looks:
        return any(_counts(Computation(look.computation), look.payload) for look in looks)


def _counts(computation: Computation, payload: Mapping[str, Any]) -> bool:
    if computation is Computation.EXPOSURES:
        return bool(payload["excluded_identities"] or payload["timeseries"]["points"])
    return any(payload["srm"]["identities"].values())


def _is_look(experiment_id: int, phase: int | None) -> ColumnElement[bool]:
    return and_(is_of_phase(payloads, experiment_id, phase), payloads.c.computation == Computation.RESULTS.value)


def _numbered(experiment_id: int, phase: int | None) -> Select[Any]:
    """Return the query of all looks of an experiment's phase with their numbers."""
    number = func.row_number().over(order_by=payloads.c.id).label("number")
    numbers = select(payloads.c.id, number).where(_is_look(experiment_id, phase)).subquery()
    columns = (payloads.c[name] for name in LOOK)
    return select(numbers.c.number, *columns).join(numbers, numbers.c.id == payloads.c.id)


def _count(connection: Connection, experiment_id: int, phase: int | None) -> int:
    return connection.scalar(select(func.count()).select_from(payloads).where(_is_look(experiment_id, phase))) or 0


def _look(row: Any) -> Look:
    return Look(row.number, *(getattr(row, name) for name in LOOK))
