"""Runs: each has one as-of and one data version per experiment, and the experiment's lease (rules R5, R7)."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, delete, func, insert, not_, or_, select, update

from experiment_pipeline.domain.experiments import Experiment
from experiment_pipeline.domain.refresh import Computation, RefreshRun
from experiment_pipeline.errors import Superseded
from experiment_pipeline.registry import batches, claims, experiments, leases
from experiment_pipeline.registry.computations import Computations
from experiment_pipeline.registry.engine import Database, reading, writing
from experiment_pipeline.registry.tables import claims as claim_rows
from experiment_pipeline.registry.tables import computations, is_of_phase, payloads, runs
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
        newest_version: int | None = None,
        phase: int | None = None,
    ) -> RefreshRun:
        """Acquire or renew the experiment's lease for a run, and fix or find what the run is as of.

        The first time that a run is opened fixes as-of and data version. Every later time returns the same ones: a
        retry, a re-execution, a later asset. The first time assigns every waiting claim of the phase to the run.

        Args:
            experiment_id: of the experiment.
            run_id: of the run; the same for its retries and re-executions.
            now: UTC.
            lease_duration: how long from now the lease lasts.
            as_of: None for now. Never past the end of the phase, in whole milliseconds.
            data_version: None for the newest one; where one computation is final, for the one that it has read, so that
                the other agrees with it.
            newest_version: that of a warehouse; None for the newest committed batch.
            phase: of the experiment; None for the one that the run has computed before, or else the newest.

        Raises:
            NotFound: no experiment has this id, or it is deleted. What is checked first is raised first.
            NotStarted: the experiment has not started.
            Final: every computation of the phase is final (rule R6).
            Superseded: `as_of` lies ahead: a clock was, when the artifact was computed.
            Leased: another run has the lease.
        """
        with writing(self.database) as connection:
            experiment = experiments.lock(connection, experiment_id)
            known_phase = Runs(connection).phase_of(experiment_id, run_id) if phase is None else phase
            experiment = experiment.in_phase(known_phase or experiment.phase)
            if experiment.started_at is None or experiment.started_at > now:
                raise claims.not_started(Computation.RESULTS)
            if _everything_is_final(connection, experiment):
                raise claims.final(Computation.RESULTS)
            if as_of is not None and is_ahead(as_of, now):
                raise Superseded(f"The upstream artifact is as of {as_of}, which lies ahead. Materialise it again.")
            leases.acquire(connection, experiment, run_id, now, now + lease_duration)
            known = _find(connection, experiment, run_id)
            is_in_window = known is not None and known.as_of <= (experiment.ended_at or known.as_of)
            if known is not None and is_in_window and not is_ahead(known.as_of, now):
                return known
            run = RefreshRun(
                run_id=run_id,
                experiment_id=experiment_id,
                as_of=to_milliseconds(as_of or min(now, experiment.ended_at or now)),
                data_version=_data_version(connection, experiment, newest_version)
                if data_version is None
                else data_version,
                phase=experiment.phase,
            )
            _fix(connection, run, now)
            claims.assign_to_run(connection, run, now)
            return run

    def phase_of(self, experiment_id: int, run_id: str) -> int | None:
        """Return the phase of the experiment that a run has opened, the newest of several; None before it did."""
        opened = select(func.max(runs.c.phase)).where(runs.c.experiment_id == experiment_id, runs.c.run_id == run_id)
        with reading(self.database) as connection:
            phase: int | None = connection.scalar(opened)
        return phase

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
            for experiment_id, phase, computation in undone:
                Computations(connection).record_failure(experiment_id, computation, now, run_id, phase)
            claims.close_dead_run(connection, run_id, run_key, now)
        return [(experiment_id, computation) for experiment_id, _, computation in undone]

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


def _find(connection: Connection, experiment: Experiment, run_id: str) -> RefreshRun | None:
    mine = is_of_phase(runs, experiment.id, experiment.phase) & (runs.c.run_id == run_id)
    row = connection.execute(select(runs.c.as_of, runs.c.data_version).where(mine)).one_or_none()
    return None if row is None else RefreshRun(run_id, experiment.id, row.as_of, row.data_version, experiment.phase)


def _fix(connection: Connection, run: RefreshRun, now: datetime) -> None:
    """Store what a run is as of, in place of what it was by a clock that was ahead."""
    mine = is_of_phase(runs, run.experiment_id, run.phase) & (runs.c.run_id == run.run_id)
    connection.execute(delete(runs).where(mine))
    connection.execute(
        insert(runs).values(
            run_id=run.run_id,
            experiment_id=run.experiment_id,
            phase=run.phase,
            as_of=run.as_of,
            data_version=run.data_version,
            opened_at=now,
        )
    )


def _data_version(connection: Connection, experiment: Experiment, newest: int | None) -> int:
    """Return the newest version, or the one that a final computation has read: the other goes with it.

    A final data version covers all that landed before the grace was over (rule R6): the other is final as of it, too.
    """
    rows = connection.execute(
        select(computations.c.is_final, computations.c.data_version).where(
            is_of_phase(computations, experiment.id, experiment.phase), computations.c.data_version.is_not(None)
        )
    ).all()
    final = [row.data_version for row in rows if row.is_final]
    # A payload that has read a newer one already never goes back (rule R5).
    if final and final[0] == max(row.data_version for row in rows):
        return int(final[0])
    return batches.newest(connection) if newest is None else newest


def _everything_is_final(connection: Connection, experiment: Experiment) -> bool:
    of_phase = is_of_phase(computations, experiment.id, experiment.phase)
    return all(connection.scalars(select(computations.c.is_final).where(of_phase)))


def _undone(connection: Connection, run_id: str, run_key: str | None) -> list[tuple[int, int, Computation]]:
    """Return the computations that waiting claims of a run are of, as (experiment id, phase, computation)."""
    rows = connection.execute(
        select(claim_rows.c.experiment_id, claim_rows.c.phase, claim_rows.c.computation)
        .where(claims.IS_WAITING, claims.is_of_run(run_id, run_key))
        .distinct()
    )
    return [(row.experiment_id, row.phase, Computation(row.computation)) for row in rows]
