"""Planned looks: what was compared with a boundary, and how it came out; written with the payload that is the look."""

from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import Connection, insert, select

from experiment_pipeline.domain.planned_looks import PlannedLook, PlannedLookOf
from experiment_pipeline.registry.columns import is_id
from experiment_pipeline.registry.engine import Database, reading
from experiment_pipeline.registry.tables import planned_looks


@dataclass(frozen=True, slots=True)
class StoredPlannedLooks:
    """Store of the planned looks of experiments (rule C7). It only reads: a publication writes them."""

    database: Database

    def list(self, experiment_id: int) -> tuple[PlannedLookOf, ...]:
        """Return an experiment's planned looks, in the order in which they were stored."""
        statement = (
            select(planned_looks)
            .where(is_id(planned_looks.c.experiment_id, experiment_id))
            .order_by(planned_looks.c.id)
        )
        with reading(self.database) as connection:
            rows = connection.execute(statement).mappings().all()
        return tuple(
            PlannedLookOf(
                row["metric_id"],
                row["treatment"],
                PlannedLook(
                    number=row["number"],
                    as_of=row["as_of"],
                    information_fraction=row["information_fraction"],
                    boundary=row["boundary"],
                    z=row["z"],
                    crossed=row["crossed"],
                ),
            )
            for row in rows
        )


def store_planned_looks(connection: Connection, experiment_id: int, new: Iterable[PlannedLookOf]) -> None:
    """Store planned looks in the transaction that publishes their payload; they are never changed."""
    rows = [
        {
            "experiment_id": experiment_id,
            "metric_id": each.metric_id,
            "treatment": each.treatment,
            "number": each.look.number,
            "as_of": each.look.as_of,
            "information_fraction": each.look.information_fraction,
            "boundary": each.look.boundary,
            "z": each.look.z,
            "crossed": each.look.crossed,
        }
        for each in new
    ]
    if rows:
        connection.execute(insert(planned_looks), rows)
