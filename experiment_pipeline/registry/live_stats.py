"""Live statistics: those that were published with an experiment's newest results."""

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import Connection, and_, delete, insert, select

from experiment_pipeline.domain.refresh import Computation, RefreshRun, StoredLiveStats
from experiment_pipeline.registry.engine import Database, reading
from experiment_pipeline.registry.tables import computations, is_of_phase, live_stats


@dataclass(frozen=True, slots=True)
class LiveStats:
    """Store of the live statistics of each experiment."""

    database: Database

    def get(self, experiment_id: int, phase: int | None = None) -> StoredLiveStats | None:
        """Return the live statistics of the newest results of a phase; None before results with such were published.

        A phase of None is the newest one.
        """
        of_results = and_(
            computations.c.experiment_id == live_stats.c.experiment_id,
            computations.c.phase == live_stats.c.phase,
            computations.c.computation == Computation.RESULTS.value,
        )
        statement = (
            select(live_stats, computations.c.is_final)
            .join(computations, of_results)
            .where(is_of_phase(live_stats, experiment_id, phase))
        )
        with reading(self.database) as connection:
            row = connection.execute(statement).one_or_none()
        return None if row is None else StoredLiveStats(row.as_of, row.data_version, row.payload, row.is_final)


def store_live_stats(connection: Connection, run: RefreshRun, payload: Mapping[str, object]) -> None:
    """Replace the live statistics of the run's phase, in the transaction that publishes its results."""
    connection.execute(delete(live_stats).where(is_of_phase(live_stats, run.experiment_id, run.phase)))
    connection.execute(
        insert(live_stats).values(
            experiment_id=run.experiment_id,
            phase=run.phase,
            as_of=run.as_of,
            data_version=run.data_version,
            payload=dict(payload),
        )
    )
