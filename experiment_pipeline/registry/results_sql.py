"""The SQL of results: the statement that the engine ran for an experiment's newest results, stored with them."""

from dataclasses import dataclass

from sqlalchemy import Connection, delete, insert, select

from experiment_pipeline.domain.refresh import ComputationState, RefreshRun
from experiment_pipeline.registry.engine import Database, reading
from experiment_pipeline.registry.tables import is_of_phase, results_sql


@dataclass(frozen=True, slots=True)
class ResultsSql:
    """Store of the SQL of each experiment's newest results."""

    database: Database

    def get(self, experiment_id: int, results: ComputationState) -> str:
        """Return the SQL of these results; empty where it was not stored, or belongs to others as of another moment."""
        statement = select(results_sql.c.sql).where(
            is_of_phase(results_sql, experiment_id, results.phase),
            results_sql.c.as_of == results.as_of,
            results_sql.c.data_version == results.data_version,
        )
        with reading(self.database) as connection:
            return connection.scalar(statement) or ""


def store_results_sql(connection: Connection, run: RefreshRun, sql: str | None) -> None:
    """Replace the SQL of the run's phase, in the transaction that publishes its results; None: there is none."""
    connection.execute(delete(results_sql).where(is_of_phase(results_sql, run.experiment_id, run.phase)))
    if sql is not None:
        connection.execute(
            insert(results_sql).values(
                experiment_id=run.experiment_id,
                phase=run.phase,
                as_of=run.as_of,
                data_version=run.data_version,
                sql=sql,
            )
        )
