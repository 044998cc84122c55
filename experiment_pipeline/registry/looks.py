"""Looks: the payloads that were published of an experiment, and whether any of them has counted somebody."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, and_, func, select

from experiment_pipeline.domain.looks import Look
from experiment_pipeline.domain.refresh import Computation
from experiment_pipeline.errors import NotFound
from experiment_pipeline.registry.columns import is_id
from experiment_pipeline.registry.engine import Database, reading
from experiment_pipeline.registry.tables import payloads


@dataclass(frozen=True, slots=True)
class Looks:
    """Store of the published results payloads of each experiment, numbered from 1 (rule R9)."""

    database: Database

    def newest(self, experiment_id: int) -> Look | None:
        """Return the newest look; None before results were published."""
        return next(iter(self.list(experiment_id, limit=1)), None)

    def get(self, experiment_id: int, number: int) -> Look:
        """Return one look.

        Raises:
            NotFound: there is none of this number.
        """
        statement = _numbered(experiment_id)
        statement = statement.where(statement.selected_columns.number == number)
        with reading(self.database) as connection:
            count = _count(connection, experiment_id)
            if not 0 < number <= count:
                there = f"there are 1 to {count}" if count else "nothing was published yet"
                raise NotFound(f"No look {number}: {there}.")
            return _look(connection.execute(statement).one())

    def list(self, experiment_id: int, *, limit: int | None = None, offset: int = 0) -> Sequence[Look]:
        """Return the looks, newest first.

        Args:
            experiment_id: of the experiment.
            limit: at most so many; None for all.
            offset: leave out so many of the newest.
        """
        statement = _numbered(experiment_id).order_by(payloads.c.id.desc()).limit(limit).offset(offset)
        with reading(self.database) as connection:
            return [_look(row) for row in connection.execute(statement)]

    def between(self, experiment_id: int, first: int, last: int) -> Sequence[Look]:
        """Return the looks whose numbers lie between two others, in their order."""
        statement = _numbered(experiment_id).order_by(payloads.c.id)
        number = statement.selected_columns.number
        with reading(self.database) as connection:
            rows = connection.execute(statement.where(number > first, number < last))
            return [_look(row) for row in rows]

    def count(self, experiment_id: int) -> int:
        """Return how many looks there are."""
        with reading(self.database) as connection:
            return _count(connection, experiment_id)


def have_counted(connection: Connection, experiment_id: int) -> bool:
    """Return whether a look was published that counts an identity: from then on its start and its key stay (L1, L6)."""
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


def _is_look(experiment_id: int) -> ColumnElement[bool]:
    of_experiment = is_id(payloads.c.experiment_id, experiment_id)
    return and_(of_experiment, payloads.c.computation == Computation.RESULTS.value)


def _numbered(experiment_id: int) -> Select[Any]:
    """Return the query of all looks of an experiment with their numbers."""
    number = func.row_number().over(order_by=payloads.c.id).label("number")
    numbers = select(payloads.c.id, number).where(_is_look(experiment_id)).subquery()
    columns = (payloads.c[name] for name in ("as_of", "data_version", "computed_at", "code_version", "payload"))
    return select(numbers.c.number, *columns).join(numbers, numbers.c.id == payloads.c.id)


def _count(connection: Connection, experiment_id: int) -> int:
    return connection.scalar(select(func.count()).select_from(payloads).where(_is_look(experiment_id))) or 0


def _look(row: Any) -> Look:
    return Look(row.number, row.as_of, row.data_version, row.computed_at, row.code_version, row.payload)
