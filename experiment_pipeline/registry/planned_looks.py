"""Planned looks: what was compared with a boundary, and how it came out; written with the payload that is the look."""

from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import Connection, insert, select

from experiment_pipeline.domain.planned_looks import PlannedLook, PlannedLookOf
from experiment_pipeline.domain.refresh import RefreshRun
from experiment_pipeline.registry.engine import Database, reading
from experiment_pipeline.registry.tables import is_of_phase, planned_looks


@dataclass(frozen=True, slots=True)
class StoredPlannedLooks:
    """Store of the planned looks of experiments (rule C7). It only reads: a publication writes them."""

    database: Database

    def list(self, experiment_id: int, phase: int | None = None) -> tuple[PlannedLookOf, ...]:
        """Return the planned looks of a phase, in the order in which they were stored; None for the newest phase."""
        of_phase = is_of_phase(planned_looks, experiment_id, phase)
        statement = select(planned_looks).where(of_phase).order_by(planned_looks.c.id)
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


def store_planned_looks(connection: Connection, run: RefreshRun, new: Iterable[PlannedLookOf]) -> None:
    """Store planned looks of the run's phase in the transaction that publishes their payload; they never change."""
    rows = [
        {
            "experiment_id": run.experiment_id,
            "phase": run.phase,
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
