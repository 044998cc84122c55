"""Dispatch: what automation has to know of all experiments at once, and its claims (rules R4, R6)."""

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import MappingProxyType

from sqlalchemy import ColumnElement, Connection, and_, exists, insert, null, or_, select

from experiment_pipeline.domain.due import Candidate
from experiment_pipeline.domain.experiments import Experiment, ExperimentStatus
from experiment_pipeline.domain.refresh import ClaimSource, ComputationState
from experiment_pipeline.registry import batches
from experiment_pipeline.registry.claims import IS_WAITING
from experiment_pipeline.registry.computations import decode
from experiment_pipeline.registry.engine import Database, reading, writing
from experiment_pipeline.registry.experiment_rows import select_experiments
from experiment_pipeline.registry.tables import claims, computations, experiments

NOWHERE: Mapping[str, timedelta] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Dispatch:
    """Store of what is due without anybody asking."""

    database: Database

    def candidates(self, now: datetime, settle: Mapping[str, timedelta] = NOWHERE) -> list[Candidate]:
        """Return experiments in each phase that may be refreshed automatically: it runs, or is over and not final.

        Args:
            now: UTC.
            settle: by environment whose events are analysed in a warehouse, see `Candidate`.
        """
        wanted = _may_be_due(now)
        with reading(self.database) as connection:
            states = _states(connection, wanted)
            newest = batches.newest_by_environment(connection)
            rows = connection.execute(select(claims.c.experiment_id, claims.c.phase).where(IS_WAITING).distinct())
            waiting = {(row.experiment_id, row.phase) for row in rows}
            experiments_by_id = {each.id: each for each in select_experiments(connection, wanted)}
        return [
            Candidate(
                experiment=experiment.in_phase(phase),
                states=tuple(states[experiment.id, phase]),
                newest_batch=newest.get(experiment.environment_key, 0),
                waits=(experiment.id, phase) in waiting,
                settle=settle.get(experiment.environment_key),
            )
            for experiment in experiments_by_id.values()
            for phase in _phases_due(experiment, states)
        ]

    def claim_automatically(self, due: Mapping[tuple[int, int], ClaimSource], now: datetime) -> None:
        """Claim what is not final of the phases that are due; no claim starts the users' throttle.

        Args:
            due: what to claim as, by experiment id and phase.
            now: when it is requested, UTC.
        """
        key = computations.c.experiment_id, computations.c.phase, computations.c.computation
        with writing(self.database) as connection:
            not_final = connection.execute(select(*key).where(computations.c.is_final.is_(False)).order_by(*key))
            rows = [
                {
                    "experiment_id": row.experiment_id,
                    "phase": row.phase,
                    "computation": row.computation,
                    "source": due[row.experiment_id, row.phase].value,
                    "requested_at": now,
                }
                for row in not_final
                if (row.experiment_id, row.phase) in due
            ]
            if rows:
                connection.execute(insert(claims), rows)


def _may_be_due(now: datetime) -> ColumnElement[bool]:
    any_phase = computations.alias()
    not_final = exists().where(
        any_phase.c.experiment_id == experiments.c.id,
        any_phase.c.is_final.is_(False),
        or_(
            any_phase.c.phase < experiments.c.phase,  # a restart has ended it
            experiments.c.status == ExperimentStatus.COMPLETED.value,
        ),
    )
    return and_(experiments.c.started_at <= now, or_(experiments.c.status == ExperimentStatus.RUNNING.value, not_final))


def _phases_due(experiment: Experiment, states: Collection[tuple[int, int]]) -> Iterator[int]:
    """Yield the phases of an experiment that may be due: those that have states, but for one that is paused."""
    for phase in range(1, experiment.phase + 1):
        is_paused = phase == experiment.phase and experiment.status is ExperimentStatus.PAUSED
        if (experiment.id, phase) in states and not is_paused:
            yield phase


def _states(connection: Connection, wanted: ColumnElement[bool]) -> Mapping[tuple[int, int], list[ComputationState]]:
    """Return the states of both computations by experiment id and phase, without their payloads.

    Those of ended phases are there until they are final.
    """
    other = computations.alias()
    phase_is_not_final = exists().where(
        other.c.experiment_id == computations.c.experiment_id,
        other.c.phase == computations.c.phase,
        other.c.is_final.is_(False),
    )
    all_but_payloads = [column for column in computations.c if column is not computations.c.payload]
    rows = connection.execute(
        select(*all_but_payloads, null().label("payload"))  # large, decided by nobody, and read every few seconds
        .join(experiments, experiments.c.id == computations.c.experiment_id)
        .where(
            wanted,
            experiments.c.deleted_at.is_(None),
            or_(computations.c.phase == experiments.c.phase, phase_is_not_final),
        )
    ).mappings()
    states: defaultdict[tuple[int, int], list[ComputationState]] = defaultdict(list)
    for row in rows:
        states[row["experiment_id"], row["phase"]].append(decode(row))
    return states
