"""Runs: one at a time holds an experiment, by a lease that expires, at one as-of and one data version (R5, R7)."""

from datetime import datetime, timedelta

from sqlalchemy import Connection, delete, insert, select, update

from experiment_pipeline.domain.experiments import Experiment
from experiment_pipeline.domain.refresh import Computation, RefreshRun
from experiment_pipeline.errors import Leased, Superseded
from experiment_pipeline.registry import batches, claims, experiments
from experiment_pipeline.registry.tables import computations, leases, runs
from experiment_pipeline.times import to_milliseconds


def open_run(
    connection: Connection,
    experiment_id: int,
    run_id: str,
    *,
    now: datetime,
    lease_duration: timedelta,
    as_of: datetime | None = None,
    data_version: int | None = None,
) -> RefreshRun:
    """Take or renew the experiment's lease for a run, and fix or find what the run looks at.

    At the first open of a run id its as-of is `as_of` or else now, never past the end of the experiment, in whole
    milliseconds, and its data version is `data_version` or else the newest committed batch. Every later open returns
    the same ones: a retry, a re-execution, a later asset. The first open takes on every claim that waits.

    Raises NotFound, NotStarted, Final (every computation is) or Leased.
    """
    experiment = experiments.lock(connection, experiment_id)
    if experiment.started_at is None or experiment.started_at > now:
        raise claims.not_started(Computation.RESULTS)
    if _everything_is_final(connection, experiment_id):
        raise claims.final(Computation.RESULTS)
    _take_lease(connection, experiment, run_id, now, now + lease_duration)
    known = _find(connection, experiment_id, run_id)
    if known is not None:
        return known
    run = RefreshRun(
        run_id=run_id,
        experiment_id=experiment_id,
        as_of=to_milliseconds(as_of or min(now, experiment.ended_at or now)),
        data_version=batches.lake_version(connection).data_version if data_version is None else data_version,
    )
    connection.execute(
        insert(runs).values(
            run_id=run_id,
            experiment_id=experiment_id,
            as_of=run.as_of,
            data_version=run.data_version,
            opened_at=now,
        )
    )
    claims.take_waiting(connection, experiment_id, run_id, now)
    return run


def renew_lease(connection: Connection, run: RefreshRun, now: datetime, lease_duration: timedelta) -> None:
    """Hold the experiment for longer. Raises Superseded when another run has taken it."""
    renewed = connection.execute(
        update(leases)
        .where(leases.c.experiment_id == run.experiment_id, leases.c.run_id == run.run_id)
        .values(expires_at=now + lease_duration)
    )
    if renewed.rowcount == 0:
        raise lease_lost(run)


def release_lease(connection: Connection, run: RefreshRun) -> None:
    """Let the next run in. Does nothing when another one has taken the lease already."""
    connection.execute(delete(leases).where(leases.c.experiment_id == run.experiment_id, leases.c.run_id == run.run_id))


def require_lease(connection: Connection, run: RefreshRun) -> None:
    """Raise Superseded unless the run holds its experiment. An expired lease that nobody took is still the run's."""
    if holder(connection, run.experiment_id) != run.run_id:
        raise lease_lost(run)


def holder(connection: Connection, experiment_id: int) -> str | None:
    """The run that has the experiment's lease, expired or not; None where nobody has it."""
    return connection.scalar(select(leases.c.run_id).where(leases.c.experiment_id == experiment_id))


def lease_lost(run: RefreshRun) -> Superseded:
    """The refusal of a run that no longer holds its experiment."""
    return Superseded(f"Run {run.run_id} no longer holds experiment {run.experiment_id}: its lease expired or ended.")


def _take_lease(
    connection: Connection, experiment: Experiment, run_id: str, now: datetime, expires_at: datetime
) -> None:
    """The experiment's row is locked: nobody else decides about this lease meanwhile."""
    mine = leases.c.experiment_id == experiment.id
    held = connection.execute(select(leases.c.run_id, leases.c.expires_at).where(mine)).one_or_none()
    if held is None:
        connection.execute(insert(leases).values(experiment_id=experiment.id, run_id=run_id, expires_at=expires_at))
        return
    if held.run_id != run_id and held.expires_at > now:
        raise Leased(f"Run {held.run_id} holds experiment '{experiment.key}' until {held.expires_at.isoformat()}.")
    connection.execute(update(leases).where(mine).values(run_id=run_id, expires_at=expires_at))


def _find(connection: Connection, experiment_id: int, run_id: str) -> RefreshRun | None:
    row = connection.execute(
        select(runs.c.as_of, runs.c.data_version).where(runs.c.experiment_id == experiment_id, runs.c.run_id == run_id)
    ).one_or_none()
    if row is None:
        return None
    return RefreshRun(run_id=run_id, experiment_id=experiment_id, as_of=row.as_of, data_version=row.data_version)


def _everything_is_final(connection: Connection, experiment_id: int) -> bool:
    rows = connection.scalars(select(computations.c.is_final).where(computations.c.experiment_id == experiment_id))
    return all(rows)
