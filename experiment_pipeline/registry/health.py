"""Health: the findings of an experiment's newest results, and what else was made of its flag."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Table, delete, exists, func, insert, select, update

from experiment_pipeline.domain.delivered_records import DeliveredRecords
from experiment_pipeline.domain.experiments import Experiment
from experiment_pipeline.domain.exposures import Window
from experiment_pipeline.domain.late_events import FinalResults, LateEvents
from experiment_pipeline.domain.refresh import Computation, RefreshRun, StoredHealth
from experiment_pipeline.health.finding import Finding
from experiment_pipeline.health.freshness import CHECK as ARRIVALS
from experiment_pipeline.health.freshness import judge_freshness
from experiment_pipeline.health.health_check import HealthCheck
from experiment_pipeline.health.late_events import CHECK as LATE
from experiment_pipeline.health.late_events import judge_late_events, late_events_of
from experiment_pipeline.health.notifications import CHECK as NOTIFICATIONS
from experiment_pipeline.health.notifications import judge_notifications
from experiment_pipeline.health.thresholds import Thresholds
from experiment_pipeline.registry import experiment_rows
from experiment_pipeline.registry.arrivals import arrivals_began, newest_arrivals, records_delivered
from experiment_pipeline.registry.engine import Database, reading, writing
from experiment_pipeline.registry.metrics import decode
from experiment_pipeline.registry.notifications import Notifications, write_notifications
from experiment_pipeline.registry.tables import (
    attachments,
    computations,
    experiments,
    health,
    is_of_phase,
    landing_objects,
    metrics,
    phases,
)
from experiment_pipeline.results.occurrences import of_late_events


@dataclass(frozen=True, slots=True)
class Health:
    """Store of the findings that were published with results."""

    database: Database

    def get(self, experiment_id: int, phase: int | None = None) -> StoredHealth | None:
        """Return the findings of the newest results of a phase; None before results with findings were published.

        A phase of None is the newest one.
        """
        with reading(self.database) as connection:
            row = connection.execute(select(health).where(is_of_phase(health, experiment_id, phase))).one_or_none()
        return None if row is None else StoredHealth(row.as_of, row.data_version, row.findings)

    def newest(self, experiment_ids: Collection[int]) -> dict[int, StoredHealth]:
        """Return the findings of the newest results of the newest phases, by experiment: one query."""
        statement = (
            select(health)
            .join(experiments, experiments.c.id == health.c.experiment_id)
            .where(health.c.experiment_id.in_(experiment_ids), health.c.phase == experiments.c.phase)
        )
        with reading(self.database) as connection:
            rows = connection.execute(statement).all()
        return {row.experiment_id: StoredHealth(row.as_of, row.data_version, row.findings) for row in rows}

    def arrivals(self, environment_key: str) -> dict[str, datetime | None]:
        """Return when the newest events of senders and of each source landed (UTC); None for none of a source yet."""
        with reading(self.database) as connection:
            return newest_arrivals(connection, environment_key)

    def arrivals_began(self, environment_key: str) -> datetime | None:
        """Return from when on events of an environment come from everywhere (UTC); None before any has landed."""
        with reading(self.database) as connection:
            return arrivals_began(connection, environment_key)

    def delivered_records(self, environment_key: str, window: Window, data_version: int) -> DeliveredRecords:
        """Return what became of the records of an environment that landed in the window, up to a data version."""
        with reading(self.database) as connection:
            return records_delivered(connection, environment_key, window, data_version)

    def live(self, experiment: Experiment, now: datetime, thresholds: Thresholds) -> StoredHealth | None:
        """Return the findings of the newest results of the experiment's phase, what changes with time judged as of now.

        Args:
            experiment: in the phase that is asked for.
            now: UTC.
            thresholds: of the installation.

        Returns:
            The stored findings, with whether notifications arrive, and events while the experiment runs; None before
            there are any.
        """
        stored = self.get(experiment.id, experiment.phase)
        if stored is None:
            return None
        undelivered = Notifications(self.database).undelivered(experiment.id)
        arriving = judge_notifications(undelivered, now)
        if undelivered or NOTIFICATIONS.name in stored.evidence():
            stored = replace(stored, findings=_with(stored.findings, NOTIFICATIONS, arriving))
        evidence = stored.evidence().get(ARRIVALS.name)
        if experiment.ended_at is not None or evidence is None or "engine" in evidence:  # of one that is not made
            return stored
        fresh = judge_freshness(self.arrivals(experiment.environment_key), now, thresholds.event_age)
        return replace(stored, findings=_with(stored.findings, ARRIVALS, fresh))

    def final_results(self) -> list[FinalResults]:
        """Return the final results of experiments whose environment has batches that are not counted as late (R6)."""
        landed = exists().where(
            landing_objects.c.environment_key == experiments.c.environment_key,
            landing_objects.c.batch > health.c.late_counted_to,
        )
        columns = ("id", "key", "partition_key", "environment_key", "feature")
        statement = (
            select(
                *(experiments.c[name] for name in columns),
                (phases.c.number == experiments.c.phase).label("is_newest"),
                phases.c.number,
                phases.c.started_at,
                computations.c.as_of,
                health.c.late_counted_to,
            )
            .join(phases, phases.c.experiment_id == experiments.c.id)
            .join(computations, _of_same_phase(computations))
            .join(health, _of_same_phase(health))
            .where(
                experiment_rows.ALIVE,
                computations.c.computation == Computation.RESULTS.value,
                computations.c.is_final,
                landed,
            )
            .order_by(experiments.c.id, phases.c.number)
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
                row.number,
                row.is_newest,
            )
            for row in rows
        ]

    def metric_events(self, results: Sequence[FinalResults]) -> list[set[str]]:
        """Return the names of the events that the metrics of each phase measure, in the order of the results."""
        statement = (
            select(attachments.c.experiment_id, attachments.c.added_in_phase, metrics)
            .join(metrics, metrics.c.id == attachments.c.metric_id)
            .where(attachments.c.experiment_id.in_({each.experiment_id for each in results}))
        )
        found: dict[int, list[tuple[int, set[str]]]] = defaultdict(list)
        with reading(self.database) as connection:
            for row in connection.execute(statement).mappings():
                found[row["experiment_id"]].append((row["added_in_phase"], set(decode(row).event_names)))
        return [
            {name for added, names in found[each.experiment_id] if added <= each.phase for name in names}
            for each in results
        ]

    def add_late_events(self, counted: FinalResults, counted_to: int, late: LateEvents) -> bool:
        """Add late events to the finding about them, and note up to which batch they are counted.

        Args:
            counted: as it was when they were counted.
            counted_to: the newest batch that was looked at.
            late: events of the batches between.

        Returns:
            Whether that was done; not where somebody else has counted meanwhile.
        """
        of_phase = is_of_phase(health, counted.experiment_id, counted.phase)
        is_it = of_phase & (health.c.late_counted_to == counted.counted_to)
        with writing(self.database) as connection:
            findings = connection.scalar(select(health.c.findings).where(is_it).with_for_update())
            if findings is None:
                return False
            values: dict[str, Any] = {"late_counted_to": counted_to}
            if late:
                values["findings"] = _with_late(findings, late)
            if late.last_landed_at is not None:
                (judged,) = (each for each in values["findings"] if each["check"] == LATE.name)
                told = [of_late_events(judged["detail"])]
                write_notifications(connection, counted.experiment_id, counted.phase, told, now=late.last_landed_at)
            connection.execute(update(health).where(is_it).values(values))
            return True

    def neighbours(self, experiment: Experiment) -> tuple[datetime | None, datetime | None]:
        """Return when the experiment before this one on the same flag ended, and when the one after it started.

        The phases before and after are as other experiments are. None where there is neither; deleted ones are none.
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
            ends, starts = [connection.scalar(ended)], [connection.scalar(started)]
        ends += [phase.ended_at for phase in experiment.earlier_phases]
        if not experiment.is_in_newest_phase:
            starts.append(experiment.ended_at)
        known_ends, known_starts = ([each for each in moments if each is not None] for moments in (ends, starts))
        return max(known_ends, default=None), min(known_starts, default=None)


def _of_same_phase(table: Table) -> ColumnElement[bool]:
    return (table.c.experiment_id == phases.c.experiment_id) & (table.c.phase == phases.c.number)


def _with_late(findings: Sequence[Mapping[str, Any]], late: LateEvents) -> list[Mapping[str, Any]]:
    """Return stored findings with the one about late events judged anew, in its place."""
    before = next((each for each in findings if each["check"] == LATE.name), None)
    total = late if before is None else late_events_of(before["evidence"]) + late
    return _with(findings, LATE, judge_late_events(total))


def _with(findings: Sequence[Mapping[str, Any]], check: HealthCheck, finding: Finding) -> list[Mapping[str, Any]]:
    """Return stored findings with a new one of a check, in the place of the old one."""
    stored = {"check": check.name, **finding.to_json()}
    kept = [stored if each["check"] == check.name else each for each in findings]
    return kept if stored in kept else [*kept, stored]


def store_findings(connection: Connection, run: RefreshRun, findings: Sequence[Mapping[str, object]]) -> None:
    """Replace the findings of the run's phase, in the transaction that publishes its results."""
    connection.execute(delete(health).where(is_of_phase(health, run.experiment_id, run.phase)))
    connection.execute(
        insert(health).values(
            experiment_id=run.experiment_id,
            phase=run.phase,
            as_of=run.as_of,
            data_version=run.data_version,
            findings=[dict(finding) for finding in findings],
            late_counted_to=run.data_version,
        )
    )
