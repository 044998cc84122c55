"""Health: the findings of an experiment's newest results, and what else was made of its flag."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, delete, func, insert, select

from experiment_pipeline.domain.experiments import Experiment
from experiment_pipeline.domain.refresh import RefreshRun, StoredHealth
from experiment_pipeline.registry import experiment_rows
from experiment_pipeline.registry.engine import Database, reading
from experiment_pipeline.registry.tables import experiments, health, is_id


@dataclass(frozen=True, slots=True)
class Health:
    """Store of the findings that were published with results."""

    database: Database

    def get(self, experiment_id: int) -> StoredHealth | None:
        """Return the findings of an experiment's newest results; None before results with findings were published."""
        with reading(self.database) as connection:
            row = connection.execute(select(health).where(is_id(health.c.experiment_id, experiment_id))).one_or_none()
        return None if row is None else StoredHealth(row.as_of, row.data_version, row.findings)

    def neighbours(self, experiment: Experiment) -> tuple[datetime | None, datetime | None]:
        """Return when the experiment before this one on the same flag ended, and when the one after it started.

        None where there is no such experiment; deleted ones are none.
        """
        of_flag = (
            experiments.c.environment_key == experiment.environment_key,
            experiments.c.feature == experiment.feature,
            experiments.c.id != experiment.id,
            experiment_rows.ALIVE,
        )
        with reading(self.database) as connection:
            ended = select(func.max(experiments.c.ended_at)).where(
                *of_flag, experiments.c.started_at < experiment.started_at
            )
            started = select(func.min(experiments.c.started_at)).where(
                *of_flag, experiments.c.started_at > experiment.started_at
            )
            return connection.scalar(ended), connection.scalar(started)


def store_findings(connection: Connection, run: RefreshRun, findings: Sequence[Mapping[str, object]]) -> None:
    """Replace the findings of the run's experiment, in the transaction that publishes its results."""
    connection.execute(delete(health).where(health.c.experiment_id == run.experiment_id))
    connection.execute(
        insert(health).values(
            experiment_id=run.experiment_id,
            as_of=run.as_of,
            data_version=run.data_version,
            findings=[dict(finding) for finding in findings],
        )
    )
