"""Claims: requests for a refresh, and what became of them (rule R2).

A claim waits until it has an outcome. The first run that opens takes every waiting claim of its experiment on; one that
comes later waits for the next run, whose data is younger than the request.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, Connection, RowMapping, and_, case, delete, exists, insert, or_, select, update

from experiment_pipeline.domain.refresh import (
    Claim,
    ClaimOutcome,
    ClaimSource,
    Computation,
    Publication,
    RefreshRun,
)
from experiment_pipeline.errors import Final, NotFound, NotStarted, RefreshRefused, Throttled
from experiment_pipeline.registry import audit
from experiment_pipeline.registry.columns import is_id
from experiment_pipeline.registry.engine import Database, reading, writing
from experiment_pipeline.registry.tables import (
    claims,
    computations,
    experiments,
    has_passed,
    is_computation,
    is_of_phase,
)

USERS = tuple(source.value for source in ClaimSource if source.is_user)
IS_WAITING = claims.c.outcome.is_(None)
CLAIMS = (
    select(claims, experiments.c.partition_key, (claims.c.phase < experiments.c.phase).label("is_of_ended_phase"))
    .join(experiments, experiments.c.id == claims.c.experiment_id)
    .where(experiments.c.deleted_at.is_(None))
)


@dataclass(frozen=True, slots=True)
class Claims:
    """Store of the claims."""

    database: Database

    def create(
        self,
        experiment_id: int,
        computation: Computation,
        source: ClaimSource,
        now: datetime,
        minimum_interval: timedelta,
        *,
        phase: int | None = None,
    ) -> Claim:
        """Request a refresh: add a claim after one conditional UPDATE, which only one of simultaneous requests can win.

        Args:
            experiment_id: of the experiment.
            computation: that is to be computed again.
            source: of the request.
            now: UTC.
            minimum_interval: between the requests of users.
            phase: of the experiment; None for the newest one.

        Raises:
            NotFound: no experiment has this id, or it is deleted. What is checked first is raised first.
            NotStarted: the experiment has not started.
            Final: the computation is final (rule R6).
            Throttled: a user requested it within the minimum interval; has the seconds left.
        """
        with writing(self.database) as connection:
            throttle = minimum_interval if source.is_user else None
            wanted = is_computation(experiment_id, computation, phase)
            accepted = _accept(connection, experiment_id, wanted, now, throttle)
            if accepted is None:
                raise _refusal(connection, wanted, computation, now, throttle)
            return _insert(connection, experiment_id, computation, source, phase=accepted, now=now)

    def force(
        self, experiment_id: int, computation: Computation, now: datetime, *, actor: str, phase: int | None = None
    ) -> Claim:
        """Request a refresh within the minimum interval, for a user who owns the installation; the audit log says who.

        Raises:
            RefreshRefused: the experiment has not started, or the computation is final.
            NotFound: no experiment has this id, or it is deleted.
        """
        with writing(self.database) as connection:
            claim = Claims(connection).create(
                experiment_id, computation, ClaimSource.CLI, now, timedelta(0), phase=phase
            )
            environment = select(experiments.c.environment_key).where(experiments.c.id == experiment_id)
            audit.record(
                connection,
                at=now,
                actor=actor,
                environment_key=connection.execute(environment).scalar_one(),
                subject=f"experiment:{experiment_id}",
                action="force_refresh",
                after={"computation": computation, "claim": claim.id, "phase": claim.phase},
            )
        return claim

    def withdraw(self, claim: Claim, requested_before: datetime | None, now: datetime) -> None:
        """Take back a user's request that waits: it is refused, and the throttle is as it was before.

        Args:
            claim: the request; nothing changes when it was answered meanwhile.
            requested_before: the computation's `refresh_requested_at` before the request.
            now: UTC.
        """
        mine = is_computation(claim.experiment_id, claim.computation, claim.phase)
        unchanged = computations.c.refresh_requested_at == claim.requested_at
        with writing(self.database) as connection:
            waits = select(claims.c.id).where(claims.c.id == claim.id, IS_WAITING)
            if connection.scalar(waits.with_for_update()) is None:
                return
            _close(connection, claims.c.id == claim.id, ClaimOutcome.REFUSED, now)
            connection.execute(
                update(computations).where(mine, unchanged).values(refresh_requested_at=requested_before)
            )

    def list_waiting(self, experiment_id: int | None = None) -> list[Claim]:
        """Return the claims without an outcome, of one experiment or of all: users' first, then by age.

        Those with `served_by` are being served already.
        """
        condition = IS_WAITING if experiment_id is None else IS_WAITING & is_id(claims.c.experiment_id, experiment_id)
        users_first = case((claims.c.source.in_(USERS), 0), else_=1)
        with reading(self.database) as connection:
            rows = connection.execute(CLAIMS.where(condition).order_by(users_first, claims.c.id)).mappings()
            return [_decode(row) for row in rows]

    def assign_run_key(self, claim_ids: Mapping[str, Collection[int]]) -> None:
        """Record the run key of each claim for which a run was requested; a claim keeps its first run key (rule R2)."""
        with writing(self.database) as connection:
            for run_key, assigned in claim_ids.items():
                connection.execute(
                    update(claims).where(claims.c.id.in_(assigned), claims.c.run_key.is_(None)).values(run_key=run_key)
                )

    def unassign(self, experiment_id: int, run_key: str | None) -> None:
        """Free the claims of a run that found the experiment leased by another; a later run serves them (rule R7)."""
        mine = and_(claims.c.experiment_id == experiment_id, claims.c.run_key == run_key, claims.c.served_by.is_(None))
        with writing(self.database) as connection:
            connection.execute(update(claims).where(IS_WAITING, mine).values(run_key=None))

    def close_refused(
        self, experiment_id: int, run_id: str, run_key: str | None, refused: Collection[Computation], now: datetime
    ) -> None:
        """Close the claims of these computations that a refused run should have served.

        A refusal is not a failure: it sets no `last_error_at` (rule R3).
        """
        mine = and_(
            claims.c.experiment_id == experiment_id,
            claims.c.computation.in_([computation.value for computation in refused]),
            is_of_run(run_id, run_key),
        )
        with writing(self.database) as connection:
            _close(connection, mine, ClaimOutcome.REFUSED, now, served_by=run_id)

    def delete_closed(self, before: datetime) -> int:
        """Delete the claims that were closed before a moment, and return how many."""
        is_old = claims.c.outcome.is_not(None) & (claims.c.served_at < before)
        with writing(self.database) as connection:
            return connection.execute(delete(claims).where(is_old)).rowcount


def claim_last_refresh(connection: Connection, experiment_id: int, phase: int, now: datetime) -> None:
    """Claim both computations of a phase that ends, exempt from the interval (rule R6)."""
    for computation in Computation:
        _insert(connection, experiment_id, computation, ClaimSource.COMPLETION, phase=phase, now=now)


def claim_automatically(connection: Connection, experiment_id: int, phase: int, now: datetime) -> None:
    """Claim both computations of a phase whose payloads are to be computed anew, as automation does (rule R4)."""
    for computation in Computation:
        _insert(connection, experiment_id, computation, ClaimSource.SCHEDULE, phase=phase, now=now)


def assign_to_run(connection: Connection, run: RefreshRun, now: datetime) -> None:
    """Assign every waiting claim of a phase to the run that has just begun, also claims of a run that died.

    If no claim waits, somebody materialises by hand, and a claim is added for it (rule R8).
    """
    waiting = IS_WAITING & is_of_phase(claims, run.experiment_id, run.phase)
    assign = update(claims).where(waiting).values(served_by=run.run_id)
    if connection.execute(assign).rowcount == 0:
        for computation in Computation:
            _insert(connection, run.experiment_id, computation, ClaimSource.UI, phase=run.phase, now=now)
        connection.execute(assign)


def close_published(connection: Connection, publication: Publication, *, is_final: bool) -> None:
    """Close the claims that the published run served; once the computation is final, all claims of the computation."""
    run = publication.run
    answered = _is_of(run.experiment_id, run.phase, publication.computation)
    if not is_final:
        answered &= claims.c.served_by == run.run_id
    looked = {"as_of": run.as_of, "data_version": run.data_version, "served_by": run.run_id}
    _close(connection, answered, ClaimOutcome.PUBLISHED, publication.computed_at, **looked)


def close_failed(
    connection: Connection, experiment_id: int, computation: Computation, run_id: str, *, phase: int, now: datetime
) -> None:
    """Close the claims that the failed run served; claims that came later wait for the next run."""
    mine = _is_of(experiment_id, phase, computation) & (claims.c.served_by == run_id)
    _close(connection, mine, ClaimOutcome.FAILED, now)


def close_all(connection: Connection, experiment_id: int, now: datetime) -> None:
    """Close every waiting claim of an experiment that will not be refreshed again."""
    _close(connection, claims.c.experiment_id == experiment_id, ClaimOutcome.REFUSED, now)


def close_dead_run(connection: Connection, run_id: str, run_key: str | None, now: datetime) -> None:
    """Close the claims of a run that died."""
    _close(connection, is_of_run(run_id, run_key), ClaimOutcome.FAILED, now)


def is_of_run(run_id: str, run_key: str | None) -> ColumnElement[bool]:
    """Return the condition for claims that a run serves, or was requested for and no other run serves."""
    taken = claims.c.served_by == run_id
    return taken if run_key is None else or_(taken, and_(claims.c.run_key == run_key, claims.c.served_by.is_(None)))


def not_started(computation: Computation) -> NotStarted:
    """Return the refusal before an experiment's start."""
    return NotStarted(f"Cannot refresh {computation.value} before the experiment starts.")


def final(computation: Computation) -> Final:
    """Return the refusal once a computation is final (rule R6)."""
    return Final(f"{computation.value.capitalize()} are final for this completed experiment.")


def _accept(
    connection: Connection,
    experiment_id: int,
    wanted: ColumnElement[bool],
    now: datetime,
    minimum_interval: timedelta | None,
) -> int | None:
    """Return the phase of an accepted request, and start the throttle; without a minimum interval it has no throttle.

    None where it is not accepted. `wanted` is the condition for the computation's row.
    """
    can_refresh = exists().where(
        is_id(experiments.c.id, experiment_id), experiments.c.deleted_at.is_(None), experiments.c.started_at <= now
    )
    last = computations.c.refresh_requested_at
    accept = update(computations).where(wanted, computations.c.is_final.is_(False), can_refresh)
    if minimum_interval is None:
        accept = accept.values(refresh_requested_at=last)
    else:
        accept = accept.where(has_passed(last, minimum_interval, now)).values(refresh_requested_at=now)
    phase: int | None = connection.execute(accept.returning(computations.c.phase)).scalar_one_or_none()
    return phase


def _refusal(
    connection: Connection,
    wanted: ColumnElement[bool],
    computation: Computation,
    now: datetime,
    minimum_interval: timedelta | None,
) -> RefreshRefused | NotFound:
    """Return why a claim was not accepted; without a minimum interval it cannot be the throttle.

    `wanted` is the condition for the computation's row.
    """
    row = connection.execute(
        select(experiments.c.started_at, computations.c.is_final, computations.c.refresh_requested_at)
        .join(computations, computations.c.experiment_id == experiments.c.id)
        .where(wanted, experiments.c.deleted_at.is_(None))
    ).one_or_none()
    if row is None:
        return NotFound("No such experiment, or it has no such phase.")
    if row.started_at is not None and row.started_at <= now:
        if row.is_final:
            return final(computation)
        if row.refresh_requested_at is not None and minimum_interval is not None:
            return Throttled(
                "A refresh was requested recently. Try again later.",
                retry_after=row.refresh_requested_at + minimum_interval - now,
            )
    return not_started(computation)


def _insert(
    connection: Connection,
    experiment_id: int,
    computation: Computation,
    source: ClaimSource,
    *,
    phase: int,
    now: datetime,
) -> Claim:
    """Add a claim that waits, whether or not it may be requested."""
    values = {
        "experiment_id": experiment_id,
        "phase": phase,
        "computation": computation.value,
        "source": source.value,
        "requested_at": now,
    }
    claim_id = connection.execute(insert(claims).values(values).returning(claims.c.id)).scalar_one()
    return _decode(connection.execute(CLAIMS.where(claims.c.id == claim_id)).mappings().one())


def _close(
    connection: Connection, condition: ColumnElement[bool], outcome: ClaimOutcome, served_at: datetime, **more: object
) -> None:
    values = {**more, "served_at": served_at, "outcome": outcome.value}
    connection.execute(update(claims).where(IS_WAITING, condition).values(values))


def _is_of(experiment_id: int, phase: int, computation: Computation) -> ColumnElement[bool]:
    return is_of_phase(claims, experiment_id, phase) & (claims.c.computation == computation.value)


def _decode(row: RowMapping) -> Claim:
    return Claim(
        id=row["id"],
        experiment_id=row["experiment_id"],
        partition_key=row["partition_key"],
        computation=Computation(row["computation"]),
        source=ClaimSource(row["source"]),
        requested_at=row["requested_at"],
        run_key=row["run_key"],
        served_by=row["served_by"],
        phase=row["phase"],
        is_of_ended_phase=row["is_of_ended_phase"],
    )
