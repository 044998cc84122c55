"""Runs: each has one as-of and one data version per experiment, and the experiment's lease (rules R5, R7)."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, delete, insert, not_, or_, select, update

from experiment_pipeline.domain.refresh import Computation, RefreshRun
from experiment_pipeline.errors import Superseded
from experiment_pipeline.registry import batches, claims, experiments, leases
from experiment_pipeline.registry.computations import Computations
from experiment_pipeline.registry.engine import Database, writing
from experiment_pipeline.registry.tables import claims as claim_rows
from experiment_pipeline.registry.tables import computations, payloads, runs
from experiment_pipeline.registry.tables import leases as lease_rows
from experiment_pipeline.times import is_ahead, to_milliseconds


@dataclass(frozen=True, slots=True)
class Runs:
    """Store of the runs."""

    database: Database

    def open(
        self,
        experiment_id: int,
        run_id: str,
        now: datetime,
        lease_duration: timedelta,
        *,
        as_of: datetime | None = None,
        data_version: int | None = None,
    ) -> RefreshRun:
        """Acquire or renew the experiment's lease for a run, and fix or find what the run is as of.

        The first time that a run is opened fixes as-of and data version. Every later time returns the same ones: a
        retry, a re-execution, a later asset. The first time assigns every waiting claim to the run.

        Args:
            experiment_id: of the experiment.
            run_id: of the run; the same for its retries and re-executions.
            now: UTC.
            lease_duration: how long from now the lease lasts.
            as_of: None for now. Never past the end of the experiment, in whole milliseconds.
            data_version: None for the newest committed batch; where one computation is final, for the one that it has
                read, so that the other agrees with it.

        Raises:
            NotFound: no experiment has this id, or it is deleted. What is checked first is raised first.
            NotStarted: the experiment has not started.
            Final: every computation is final (rule R6).
            Superseded: `as_of` lies ahead: a clock was, when the artifact was computed.
            Leased: another run has the lease.
        """
        with writing(self.database) as connection:
            experiment = experiments.lock(connection, experiment_id)
            if experiment.started_at is None or experiment.started_at > now:
                raise claims.not_started(Computation.RESULTS)
            if _everything_is_final(connection, experiment_id):
                raise claims.final(Computation.RESULTS)
            if as_of is not None and is_ahead(as_of, now):
                raise Superseded(f"The upstream artifact is as of {as_of}, which lies ahead. Materialise it again.")
            leases.acquire(connection, experiment, run_id, now, now + lease_duration)
            known = _find(connection, experiment_id, run_id)
            if known is not None and not is_ahead(known.as_of, now):
                return known
            run = RefreshRun(
                run_id=run_id,
                experiment_id=experiment_id,
                as_of=to_milliseconds(as_of or min(now, experiment.ended_at or now)),
                data_version=_data_version(connection, experiment_id) if data_version is None else data_version,
            )
            _fix(connection, run, now)
            claims.assign_to_run(connection, experiment_id, run_id, now)
            return run

    def release_lease(self, run: RefreshRun) -> None:
        """Let the next run acquire the experiment. Does nothing when another one has acquired it already."""
        with writing(self.database) as connection:
            leases.release(connection, run)

    def close_dead_run(self, run_id: str, run_key: str | None, now: datetime) -> list[tuple[int, Computation]]:
        """Record a failure for what a dead run leaves undone, close its claims and release its leases (R3, R7).

        An asset that failed has recorded itself already and left no claim open.

        Args:
            run_id: of the run.
            run_key: of the request that started it; None where nobody requested it.
            now: the moment of the failure, UTC.

        Returns:
            What was recorded, as (experiment id, computation).
        """
        with writing(self.database) as connection:
            leases.release_all(connection, run_id)
            undone = _undone(connection, run_id, run_key)
            for experiment_id, computation in undone:
                Computations(connection).record_failure(experiment_id, computation, now, run_id)
            claims.close_dead_run(connection, run_id, run_key, now)
        return undone

    def forget_unfinished(self) -> None:
        """Free every waiting claim of its run, and end every lease: in a restored registry, whose runs are nowhere."""
        with writing(self.database) as connection:
            connection.execute(update(claim_rows).where(claims.IS_WAITING).values(run_key=None, served_by=None))
            connection.execute(delete(lease_rows))

    def delete_without_look(self, before: datetime) -> int:
        """Delete the runs opened before a moment that published no look, have no lease and serve no waiting claim.

        Returns:
            How many rows were deleted: one per run and experiment.
        """
        is_needed = or_(
            runs.c.run_id.in_(select(payloads.c.run_id)),
            runs.c.run_id.in_(select(lease_rows.c.run_id)),
            runs.c.run_id.in_(
                select(claim_rows.c.served_by).where(claims.IS_WAITING, claim_rows.c.served_by.is_not(None))
            ),
        )
        with writing(self.database) as connection:
            return connection.execute(delete(runs).where(runs.c.opened_at < before, not_(is_needed))).rowcount


def _find(connection: Connection, experiment_id: int, run_id: str) -> RefreshRun | None:
    row = connection.execute(
        select(runs.c.as_of, runs.c.data_version).where(runs.c.experiment_id == experiment_id, runs.c.run_id == run_id)
    ).one_or_none()
    if row is None:
        return None
    return RefreshRun(run_id=run_id, experiment_id=experiment_id, as_of=row.as_of, data_version=row.data_version)


def _fix(connection: Connection, run: RefreshRun, now: datetime) -> None:
    """Store what a run is as of, in place of what it was by a clock that was ahead."""
    connection.execute(delete(runs).where(runs.c.experiment_id == run.experiment_id, runs.c.run_id == run.run_id))
    connection.execute(
        insert(runs).values(
            run_id=run.run_id,
            experiment_id=run.experiment_id,
            as_of=run.as_of,
            data_version=run.data_version,
            opened_at=now,
        )
    )


def _data_version(connection: Connection, experiment_id: int) -> int:
    """Return the newest committed batch, or the one that a final computation has read: the other goes with it.

    A final data version covers all that landed before the grace was over (rule R6): the other is final as of it, too.
    """
    rows = connection.execute(
        select(computations.c.is_final, computations.c.data_version).where(
            computations.c.experiment_id == experiment_id, computations.c.data_version.is_not(None)
        )
    ).all()
    final = [row.data_version for row in rows if row.is_final]
    # A payload that has read a newer one already never goes back (rule R5).
    if final and final[0] == max(row.data_version for row in rows):
        return int(final[0])
    return batches.newest(connection)


def _everything_is_final(connection: Connection, experiment_id: int) -> bool:
    rows = connection.scalars(select(computations.c.is_final).where(computations.c.experiment_id == experiment_id))
    return all(rows)


def _undone(connection: Connection, run_id: str, run_key: str | None) -> list[tuple[int, Computation]]:
    """Return the computations that waiting claims of a run are of, as (experiment id, computation)."""
    rows = connection.execute(
        select(claim_rows.c.experiment_id, claim_rows.c.computation)
        .where(claims.IS_WAITING, claims.is_of_run(run_id, run_key))
        .distinct()
    )
    return [(row.experiment_id, Computation(row.computation)) for row in rows]
