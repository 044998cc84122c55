"""Claims: requests for a refresh, and what became of them (rule R2).

A claim waits until it has an outcome. The first run that opens takes every waiting claim of its experiment on; one that
comes later waits for the next run, whose data is younger than the request.
"""

from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, Connection, RowMapping, case, exists, insert, or_, select, update

from experiment_pipeline.domain.refresh import Claim, ClaimOutcome, ClaimSource, Computation
from experiment_pipeline.errors import Final, NotFound, NotStarted, RefreshRefused, Throttled
from experiment_pipeline.registry.tables import claims, computations, experiments, is_id

USERS = tuple(source.value for source in ClaimSource if source.is_user)
IS_WAITING = claims.c.outcome.is_(None)
CLAIMS = (
    select(claims, experiments.c.partition_key)
    .join(experiments, experiments.c.id == claims.c.experiment_id)
    .where(experiments.c.deleted_at.is_(None))
)


def claim(
    connection: Connection,
    experiment_id: int,
    computation: Computation,
    source: ClaimSource,
    *,
    now: datetime,
    minimum_interval: timedelta,
) -> Claim:
    """Request a refresh: one conditional UPDATE, which simultaneous requests cannot both win, and the claim.

    Raises NotFound, NotStarted, Final or Throttled, checked in that order.
    """
    can_refresh = exists().where(
        is_id(experiments.c.id, experiment_id), experiments.c.deleted_at.is_(None), experiments.c.started_at <= now
    )
    accept = (
        update(computations)
        .where(_is_row(experiment_id, computation), computations.c.is_final.is_(False), can_refresh)
        .values(refresh_requested_at=now if source.is_user else computations.c.refresh_requested_at)
    )
    if source.is_user:
        last = computations.c.refresh_requested_at
        accept = accept.where(or_(last.is_(None), last <= now - minimum_interval))
    if connection.execute(accept).rowcount == 0:
        raise _refusal(connection, experiment_id, computation, now, minimum_interval if source.is_user else None)
    return insert_claim(connection, experiment_id, computation, source, now)


def claim_last_refresh(connection: Connection, experiment_id: int, now: datetime) -> None:
    """What completing an experiment claims by itself, exempt from the interval (rule R6)."""
    for computation in Computation:
        insert_claim(connection, experiment_id, computation, ClaimSource.COMPLETION, now)


def waiting(connection: Connection, experiment_id: int | None = None) -> list[Claim]:
    """Claims without an outcome: users' first, then by age. Those with `served_by` are in a run's hands."""
    condition = IS_WAITING if experiment_id is None else IS_WAITING & is_id(claims.c.experiment_id, experiment_id)
    users_first = case((claims.c.source.in_(USERS), 0), else_=1)
    rows = connection.execute(CLAIMS.where(condition).order_by(users_first, claims.c.id)).mappings()
    return [_decode(row) for row in rows]


def take_waiting(connection: Connection, experiment_id: int, run_id: str, now: datetime) -> None:
    """A run that just opened serves every waiting claim of its experiment, a dead run's too.

    Where none waits somebody materialised by hand, which is a claim as well (rule R8).
    """
    take = update(claims).where(IS_WAITING, claims.c.experiment_id == experiment_id).values(served_by=run_id)
    if connection.execute(take).rowcount == 0:
        for computation in Computation:
            insert_claim(connection, experiment_id, computation, ClaimSource.UI, now)
        connection.execute(take)


def serve(
    connection: Connection,
    experiment_id: int,
    computation: Computation,
    run_id: str,
    *,
    as_of: datetime,
    data_version: int,
    served_at: datetime,
    finally_served: bool,
) -> None:
    """Close the claims that a published run took on; once a computation is final, all of them."""
    answered = IS_WAITING & (claims.c.experiment_id == experiment_id) & (claims.c.computation == computation.value)
    if not finally_served:
        answered &= claims.c.served_by == run_id
    connection.execute(
        update(claims)
        .where(answered)
        .values(
            served_by=run_id,
            as_of=as_of,
            data_version=data_version,
            served_at=served_at,
            outcome=ClaimOutcome.PUBLISHED.value,
        )
    )


def fail(connection: Connection, experiment_id: int, computation: Computation, run_id: str, now: datetime) -> None:
    """Close the claims that the failed run took on; those that came later wait for the next one."""
    connection.execute(
        update(claims)
        .where(
            IS_WAITING,
            claims.c.experiment_id == experiment_id,
            claims.c.computation == computation.value,
            claims.c.served_by == run_id,
        )
        .values(served_at=now, outcome=ClaimOutcome.FAILED.value)
    )


def refuse_waiting(connection: Connection, experiment_id: int, now: datetime) -> None:
    """Close every waiting claim of an experiment that will not be refreshed again."""
    connection.execute(
        update(claims)
        .where(IS_WAITING, claims.c.experiment_id == experiment_id)
        .values(served_at=now, outcome=ClaimOutcome.REFUSED.value)
    )


def _is_row(experiment_id: int, computation: Computation) -> ColumnElement[bool]:
    return is_id(computations.c.experiment_id, experiment_id) & (computations.c.computation == computation.value)


def insert_claim(
    connection: Connection, experiment_id: int, computation: Computation, source: ClaimSource, now: datetime
) -> Claim:
    """Add a claim that waits, without asking whether it may."""
    values = {
        "experiment_id": experiment_id,
        "computation": computation.value,
        "source": source.value,
        "requested_at": now,
    }
    claim_id = connection.execute(insert(claims).values(values).returning(claims.c.id)).scalar_one()
    return _decode(connection.execute(CLAIMS.where(claims.c.id == claim_id)).mappings().one())


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
    )


def _refusal(
    connection: Connection,
    experiment_id: int,
    computation: Computation,
    now: datetime,
    minimum_interval: timedelta | None,
) -> RefreshRefused | NotFound:
    """Why a claim was not accepted; without a minimum interval it cannot be the throttle."""
    row = connection.execute(
        select(experiments.c.started_at, computations.c.is_final, computations.c.refresh_requested_at)
        .join(computations, computations.c.experiment_id == experiments.c.id)
        .where(
            is_id(experiments.c.id, experiment_id),
            experiments.c.deleted_at.is_(None),
            computations.c.computation == computation.value,
        )
    ).one_or_none()
    if row is None:
        return NotFound(f"No experiment {experiment_id}.")
    if row.started_at is not None and row.started_at <= now:
        if row.is_final:
            return final(computation)
        if row.refresh_requested_at is not None and minimum_interval is not None:
            return Throttled(
                "A refresh was requested recently. Try again later.",
                retry_after=row.refresh_requested_at + minimum_interval - now,
            )
    return not_started(computation)


def not_started(computation: Computation) -> NotStarted:
    """The refusal before an experiment's start."""
    return NotStarted(f"Cannot refresh {computation.value} before the experiment starts.")


def final(computation: Computation) -> Final:
    """The refusal once a computation is final (rule R6)."""
    return Final(f"{computation.value.capitalize()} are final for this completed experiment.")
