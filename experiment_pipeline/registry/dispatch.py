"""Dispatch: what automation has to know of all experiments at once, and which run a claim was handed to (R2-R4, R6)."""

from collections import defaultdict
from collections.abc import Collection, Mapping
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, and_, delete, insert, null, or_, select, update

from experiment_pipeline.domain.due import Candidate
from experiment_pipeline.domain.experiments import ExperimentStatus
from experiment_pipeline.domain.refresh import ClaimOutcome, ClaimSource, Computation, ComputationState
from experiment_pipeline.registry import batches, computations, experiments
from experiment_pipeline.registry.claims import IS_WAITING
from experiment_pipeline.registry.tables import claims, leases
from experiment_pipeline.registry.tables import computations as computation_rows
from experiment_pipeline.registry.tables import experiments as experiment_rows


def candidates(connection: Connection, now: datetime) -> list[Candidate]:
    """Every experiment that may want a refresh by itself: started and running, or completed and not final yet."""
    not_final = experiment_rows.c.id.in_(
        select(computation_rows.c.experiment_id).where(computation_rows.c.is_final.is_(False))
    )
    wanted = and_(
        experiment_rows.c.started_at <= now,
        or_(
            experiment_rows.c.status == ExperimentStatus.RUNNING.value,
            and_(experiment_rows.c.status == ExperimentStatus.COMPLETED.value, not_final),
        ),
    )
    states: defaultdict[int, list[ComputationState]] = defaultdict(list)
    all_but_payloads = [column for column in computation_rows.c if column is not computation_rows.c.payload]
    for row in connection.execute(
        select(*all_but_payloads, null().label("payload"))  # large, decided by nobody, and read every few seconds
        .join(experiment_rows, experiment_rows.c.id == computation_rows.c.experiment_id)
        .where(wanted, experiment_rows.c.deleted_at.is_(None))
    ).mappings():
        states[row["experiment_id"]].append(computations.decode(row))
    newest = batches.newest_batches(connection)
    waiting = set(connection.scalars(select(claims.c.experiment_id).where(IS_WAITING)))
    return [
        Candidate(
            experiment=experiment,
            states=tuple(states[experiment.id]),
            newest_batch=newest.get(experiment.environment_key, 0),
            waits=experiment.id in waiting,
        )
        for experiment in experiments.select_some(connection, wanted)
    ]


def claim_automatically(connection: Connection, due: Mapping[int, ClaimSource], now: datetime) -> None:
    """Claim what is not final of the experiments that are due, by id; no claim starts the users' throttle."""
    key = computation_rows.c.experiment_id, computation_rows.c.computation
    not_final = connection.execute(select(*key).where(computation_rows.c.is_final.is_(False)).order_by(*key))
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


def hand_over(connection: Connection, claim_ids: Mapping[str, Collection[int]]) -> None:
    """Remember which claims a run was requested for, by the run's key; a claim keeps the first."""
    for run_key, handed in claim_ids.items():
        connection.execute(
            update(claims).where(claims.c.id.in_(handed), claims.c.run_key.is_(None)).values(run_key=run_key)
        )


def give_back(connection: Connection, experiment_id: int, run_key: str | None) -> None:
    """A run that found the experiment held by another leaves its claims for a later one (rule R7)."""
    connection.execute(
        update(claims)
        .where(
            IS_WAITING,
            claims.c.experiment_id == experiment_id,
            claims.c.run_key == run_key,
            claims.c.served_by.is_(None),
        )
        .values(run_key=None)
    )


def refuse(
    connection: Connection,
    experiment_id: int,
    run_id: str,
    run_key: str | None,
    refused: Collection[Computation],
    *,
    now: datetime,
) -> None:
    """Close what a refused run was to serve of these; a refusal is no failure and stamps nothing (rule R3)."""
    connection.execute(
        update(claims)
        .where(
            IS_WAITING,
            claims.c.experiment_id == experiment_id,
            claims.c.computation.in_([computation.value for computation in refused]),
            _is_of_run(run_id, run_key),
        )
        .values(served_by=run_id, served_at=now, outcome=ClaimOutcome.REFUSED.value)
    )


def bury_run(connection: Connection, run_id: str, run_key: str | None, now: datetime) -> list[tuple[int, Computation]]:
    """What a run that died leaves undone becomes a failure, and its experiments are free again (rules R3, R7).

    run_key: of the request that started it; None where nobody requested it. An asset that failed has recorded itself
    already and left no claim open.
    Returns what was recorded, as (experiment id, computation).
    """
    connection.execute(delete(leases).where(leases.c.run_id == run_id))
    mine = _is_of_run(run_id, run_key)
    undone = [
        (row.experiment_id, Computation(row.computation))
        for row in connection.execute(
            select(claims.c.experiment_id, claims.c.computation).where(IS_WAITING, mine).distinct()
        )
    ]
    for experiment_id, computation in undone:
        computations.record_failure(connection, experiment_id, computation, now, run_id)
    connection.execute(update(claims).where(IS_WAITING, mine).values(served_at=now, outcome=ClaimOutcome.FAILED.value))
    return undone


def _is_of_run(run_id: str, run_key: str | None) -> ColumnElement[bool]:
    """Claims that a run has taken on, or that it was requested for and nobody has taken on."""
    taken = claims.c.served_by == run_id
    return taken if run_key is None else or_(taken, and_(claims.c.run_key == run_key, claims.c.served_by.is_(None)))
