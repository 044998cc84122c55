"""Live statistics: those that were published with an experiment's newest results."""

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import Connection, and_, delete, insert, select

from experiment_pipeline.domain.refresh import Computation, RefreshRun, StoredLiveStats
from experiment_pipeline.registry.columns import is_id
from experiment_pipeline.registry.engine import Database, reading
from experiment_pipeline.registry.tables import computations, live_stats


@dataclass(frozen=True, slots=True)
class LiveStats:
    """Store of the live statistics of each experiment."""

    database: Database

    def get(self, experiment_id: int) -> StoredLiveStats | None:
        """Return the live statistics of the newest results; None before results with such were published."""
        of_results = and_(
            computations.c.experiment_id == live_stats.c.experiment_id,
            computations.c.computation == Computation.RESULTS.value,
        )
        statement = (
            select(live_stats, computations.c.is_final)
            .join(computations, of_results)
            .where(is_id(live_stats.c.experiment_id, experiment_id))
        )
        with reading(self.database) as connection:
            row = connection.execute(statement).one_or_none()
        return None if row is None else StoredLiveStats(row.as_of, row.data_version, row.payload, row.is_final)


def store_live_stats(connection: Connection, run: RefreshRun, payload: Mapping[str, object]) -> None:
    """Replace the live statistics of the run's experiment, in the transaction that publishes its results."""
    connection.execute(delete(live_stats).where(live_stats.c.experiment_id == run.experiment_id))
    connection.execute(
        insert(live_stats).values(
            experiment_id=run.experiment_id, as_of=run.as_of, data_version=run.data_version, payload=dict(payload)
        )
    )
