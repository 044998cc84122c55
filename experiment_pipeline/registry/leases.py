"""Leases: at most one run at a time has an experiment, until it releases its lease or the lease expires (rule R7)."""

from datetime import datetime, timedelta

from sqlalchemy import Connection, delete, insert, select, update

from experiment_pipeline.domain.experiments import Experiment
from experiment_pipeline.domain.refresh import RefreshRun
from experiment_pipeline.errors import Leased, Superseded
from experiment_pipeline.registry.tables import leases

LONGEST = timedelta(days=1)  # that a lease is believed to last, whatever duration its owner was given


def acquire(connection: Connection, experiment: Experiment, run_id: str, now: datetime, expires_at: datetime) -> None:
    """Acquire or renew the lease of an experiment whose row is locked: no other run decides about it meanwhile.

    A lease that ends more than a day from now, and later than two durations, was given by a clock that was ahead, and
    counts as expired.

    Raises:
        Leased: another run has the lease, and it has not expired.
    """
    mine = leases.c.experiment_id == experiment.id
    lease = connection.execute(select(leases.c.run_id, leases.c.expires_at).where(mine)).one_or_none()
    if lease is None:
        connection.execute(insert(leases).values(experiment_id=experiment.id, run_id=run_id, expires_at=expires_at))
        return
    longest = max(LONGEST, 2 * (expires_at - now))  # another process may have been given another duration
    if lease.run_id != run_id and now < lease.expires_at <= now + longest:
        raise Leased(f"Run {lease.run_id} holds experiment '{experiment.key}' until {lease.expires_at.isoformat()}.")
    connection.execute(update(leases).where(mine).values(run_id=run_id, expires_at=expires_at))


def owner(connection: Connection, experiment_id: int) -> str | None:
    """Return the run that has the experiment's lease, also an expired one; None if no run has it."""
    return connection.scalar(select(leases.c.run_id).where(leases.c.experiment_id == experiment_id))


def require(connection: Connection, run: RefreshRun) -> None:
    """Raise Superseded unless the run has the lease. A run keeps an expired lease until another run acquires it."""
    if owner(connection, run.experiment_id) != run.run_id:
        raise Superseded(
            f"Run {run.run_id} no longer holds experiment {run.experiment_id}: its lease expired or ended."
        )


def release(connection: Connection, run: RefreshRun) -> None:
    """End the run's lease. Does nothing when another run has acquired it already."""
    connection.execute(delete(leases).where(leases.c.experiment_id == run.experiment_id, leases.c.run_id == run.run_id))


def end(connection: Connection, experiment_id: int) -> None:
    """End the experiment's lease, whichever run has it: that run can publish nothing any more."""
    connection.execute(delete(leases).where(leases.c.experiment_id == experiment_id))


def release_all(connection: Connection, run_id: str) -> None:
    """End every lease that a run has."""
    connection.execute(delete(leases).where(leases.c.run_id == run_id))
