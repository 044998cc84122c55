"""Health: the findings of an experiment's newest results, and what else was made of its flag."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, delete, exists, func, insert, select, update

from experiment_pipeline.domain.experiments import Experiment
from experiment_pipeline.domain.exposures import Window
from experiment_pipeline.domain.late_events import FinalResults, LateEvents
from experiment_pipeline.domain.refresh import Computation, RefreshRun, StoredHealth
from experiment_pipeline.health.late_events import CHECK as LATE
from experiment_pipeline.health.late_events import judge_late_events, late_events_of
from experiment_pipeline.registry import experiment_rows
from experiment_pipeline.registry.columns import is_id
from experiment_pipeline.registry.engine import Database, reading, writing
from experiment_pipeline.registry.metrics import decode
from experiment_pipeline.registry.tables import (
    attachments,
    computations,
    experiments,
    health,
    landing_objects,
    metrics,
)


@dataclass(frozen=True, slots=True)
class Health:
    """Store of the findings that were published with results."""

    database: Database

    def get(self, experiment_id: int) -> StoredHealth | None:
        """Return the findings of an experiment's newest results; None before results with findings were published."""
        with reading(self.database) as connection:
            row = connection.execute(select(health).where(is_id(health.c.experiment_id, experiment_id))).one_or_none()
        return None if row is None else StoredHealth(row.as_of, row.data_version, row.findings)

    def final_results(self) -> list[FinalResults]:
        """Return the final results of experiments whose environment has batches that are not counted as late (R6)."""
        landed = exists().where(
            landing_objects.c.environment_key == experiments.c.environment_key,
            landing_objects.c.batch > health.c.late_counted_to,
        )
        columns = ("id", "key", "partition_key", "environment_key", "feature", "started_at")
        statement = (
            select(*(experiments.c[name] for name in columns), computations.c.as_of, health.c.late_counted_to)
            .join(computations, computations.c.experiment_id == experiments.c.id)
            .join(health, health.c.experiment_id == experiments.c.id)
            .where(
                experiment_rows.ALIVE,
                computations.c.computation == Computation.RESULTS.value,
                computations.c.is_final,
                landed,
            )
            .order_by(experiments.c.id)
        )
        with reading(self.database) as connection:
            rows = connection.execute(statement).all()
        return [
            FinalResults(
                row.id,
                row.key,
                row.partition_key,
                row.environment_key,
                row.feature,
                Window(row.started_at, row.as_of),
                row.late_counted_to,
            )
            for row in rows
        ]

    def metric_events(self, experiment_ids: Collection[int]) -> dict[int, set[str]]:
        """Return the names of the events that each experiment's metrics measure."""
        statement = (
            select(attachments.c.experiment_id, metrics)
            .join(metrics, metrics.c.id == attachments.c.metric_id)
            .where(attachments.c.experiment_id.in_(experiment_ids))
        )
        events: dict[int, set[str]] = defaultdict(set)
        with reading(self.database) as connection:
            for row in connection.execute(statement).mappings():
                events[row["experiment_id"]].update(decode(row).event_names)
        return events

    def add_late_events(self, counted: FinalResults, counted_to: int, late: LateEvents) -> bool:
        """Add late events to the finding about them, and note up to which batch they are counted.

        Args:
            counted: as it was when they were counted.
            counted_to: the newest batch that was looked at.
            late: events of the batches between.

        Returns:
            Whether that was done; not where somebody else has counted meanwhile.
        """
        is_it = is_id(health.c.experiment_id, counted.experiment_id) & (health.c.late_counted_to == counted.counted_to)
        with writing(self.database) as connection:
            findings = connection.scalar(select(health.c.findings).where(is_it).with_for_update())
            if findings is None:
                return False
            values = {"late_counted_to": counted_to} | ({"findings": _with_late(findings, late)} if late else {})
            connection.execute(update(health).where(is_it).values(values))
            return True

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


def _with_late(findings: Sequence[Mapping[str, Any]], late: LateEvents) -> list[Mapping[str, Any]]:
    """Return stored findings with the one about late events judged anew, in its place."""
    before = next((each for each in findings if each["check"] == LATE.name), None)
    total = late if before is None else late_events_of(before["evidence"]) + late
    finding = {"check": LATE.name, **judge_late_events(total).to_json()}
    return [finding if each is before else each for each in findings] + ([finding] if before is None else [])


def store_findings(connection: Connection, run: RefreshRun, findings: Sequence[Mapping[str, object]]) -> None:
    """Replace the findings of the run's experiment, in the transaction that publishes its results."""
    connection.execute(delete(health).where(health.c.experiment_id == run.experiment_id))
    connection.execute(
        insert(health).values(
            experiment_id=run.experiment_id,
            as_of=run.as_of,
            data_version=run.data_version,
            findings=[dict(finding) for finding in findings],
            late_counted_to=run.data_version,
        )
    )
