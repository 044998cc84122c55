"""Dispatch: what automation has to know of all experiments at once, and its claims (rules R4, R6)."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, and_, insert, null, or_, select

from experiment_pipeline.domain.due import Candidate
from experiment_pipeline.domain.experiments import ExperimentStatus
from experiment_pipeline.domain.refresh import ClaimSource, ComputationState
from experiment_pipeline.registry import batches
from experiment_pipeline.registry.claims import IS_WAITING
from experiment_pipeline.registry.computations import decode
from experiment_pipeline.registry.engine import Database, reading, writing
from experiment_pipeline.registry.experiment_rows import select_experiments
from experiment_pipeline.registry.tables import claims, computations, experiments


@dataclass(frozen=True, slots=True)
class Dispatch:
    """Store of what is due without anybody asking."""

    database: Database

    def candidates(self, now: datetime) -> list[Candidate]:
        """Return every experiment that may be refreshed automatically: running, or completed and not final yet."""
        wanted = _may_be_due(now)
        with reading(self.database) as connection:
            states = _states(connection, wanted)
            newest = batches.newest_by_environment(connection)
            waiting = set(connection.scalars(select(claims.c.experiment_id).where(IS_WAITING)))
            return [
                Candidate(
                    experiment=experiment,
                    states=tuple(states[experiment.id]),
                    newest_batch=newest.get(experiment.environment_key, 0),
                    waits=experiment.id in waiting,
                )
                for experiment in select_experiments(connection, wanted)
            ]

    def claim_automatically(self, due: Mapping[int, ClaimSource], now: datetime) -> None:
        """Claim what is not final of the experiments that are due; no claim starts the users' throttle.

        Args:
            due: what to claim as, by experiment id.
            now: when it is requested, UTC.
        """
        key = computations.c.experiment_id, computations.c.computation
        with writing(self.database) as connection:
            not_final = connection.execute(select(*key).where(computations.c.is_final.is_(False)).order_by(*key))
            rows = [
                {
                    "experiment_id": row.experiment_id,
                    "computation": row.computation,
                    "source": due[row.experiment_id].value,
                    "requested_at": now,
                }
                for row in not_final
                if row.experiment_id in due
            ]
            if rows:
                connection.execute(insert(claims), rows)


def _may_be_due(now: datetime) -> ColumnElement[bool]:
    not_final = experiments.c.id.in_(select(computations.c.experiment_id).where(computations.c.is_final.is_(False)))
    return and_(
        experiments.c.started_at <= now,
        or_(
            experiments.c.status == ExperimentStatus.RUNNING.value,
            and_(experiments.c.status == ExperimentStatus.COMPLETED.value, not_final),
        ),
    )


def _states(connection: Connection, wanted: ColumnElement[bool]) -> Mapping[int, list[ComputationState]]:
    """Return the states of both computations by experiment id, without their payloads."""
    all_but_payloads = [column for column in computations.c if column is not computations.c.payload]
    rows = connection.execute(
        select(*all_but_payloads, null().label("payload"))  # large, decided by nobody, and read every few seconds
        .join(experiments, experiments.c.id == computations.c.experiment_id)
        .where(wanted, experiments.c.deleted_at.is_(None))
    ).mappings()
    states: defaultdict[int, list[ComputationState]] = defaultdict(list)
    for row in rows:
        states[row["experiment_id"]].append(decode(row))
    return states
