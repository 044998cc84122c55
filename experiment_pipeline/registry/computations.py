"""Computations: what the API serves of an experiment, how it is published, and its history (rules R1, R3, R5, R6)."""

from collections.abc import Mapping
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, Connection, RowMapping, exists, insert, or_, select, update

from experiment_pipeline.domain.due import is_final
from experiment_pipeline.domain.experiments import Experiment
from experiment_pipeline.domain.refresh import Computation, ComputationState, RefreshRun
from experiment_pipeline.errors import NotFound, Superseded
from experiment_pipeline.registry import batches as ledger
from experiment_pipeline.registry import claims, experiments, runs
from experiment_pipeline.registry.tables import batches, computations, is_id, landing_objects, payloads


def state(connection: Connection, experiment_id: int, computation: Computation) -> ComputationState:
    """What stands now. Raises NotFound."""
    row = connection.execute(select(computations).where(_is_row(experiment_id, computation))).mappings().one_or_none()
    if row is None:
        raise NotFound(f"No experiment {experiment_id}.")
    return decode(row)


def find(
    connection: Connection, environment_key: str, id_or_key: int | str, computation: Computation
) -> ComputationState:
    """What stands now of one environment's experiment, by id or by key: one query. Raises NotFound."""
    named = select(experiments.ID).where(experiments.is_named(environment_key, id_or_key))
    condition = computations.c.experiment_id.in_(named) & (computations.c.computation == computation.value)
    row = connection.execute(select(computations).where(condition)).mappings().one_or_none()
    if row is None:
        raise NotFound(experiments.unknown(environment_key, id_or_key))
    return decode(row)


def decode(row: RowMapping) -> ComputationState:
    """One row in the domain's words."""
    return ComputationState(
        computation=Computation(row["computation"]),
        as_of=row["as_of"],
        data_version=row["data_version"],
        computed_at=row["computed_at"],
        payload=row["payload"],
        is_final=row["is_final"],
        last_error_at=row["last_error_at"],
        failures=row["failures"],
        refresh_requested_at=row["refresh_requested_at"],
        last_duration_seconds=row["last_duration_seconds"],
    )


def publish(
    connection: Connection,
    run: RefreshRun,
    computation: Computation,
    payload: Mapping[str, object],
    *,
    code_version: str,
    computed_at: datetime,
    grace: timedelta,
    duration: timedelta | None = None,
) -> ComputationState:
    """Replace what stands, add it to the history and close the claims it answers: one transaction (rule R5).

    Raises NotFound (deleted), Superseded (the lease is lost, or what stands is newer) or Final; then nothing changed.
    """
    experiment = experiments.lock(connection, run.experiment_id)
    runs.require_lease(connection, run)
    before = state(connection, run.experiment_id, computation)
    if before.is_final:
        raise claims.final(computation)
    _refuse_to_go_back(before, run)
    final_from = None if experiment.ended_at is None else experiment.ended_at + grace
    now_final = is_final(
        ended_at=experiment.ended_at,
        as_of=run.as_of,
        computed_at=computed_at,
        final_from=final_from,
        covers_landed=final_from is not None and _covers_landed(connection, experiment, run.data_version, final_from),
    )
    connection.execute(
        update(computations)
        .where(_is_row(run.experiment_id, computation))
        .values(
            as_of=run.as_of,
            data_version=run.data_version,
            computed_at=computed_at,
            payload=payload,
            is_final=now_final,
            last_error_at=None,
            failures=0,
            last_duration_seconds=None if duration is None else duration.total_seconds(),
        )
    )
    connection.execute(
        insert(payloads).values(
            experiment_id=run.experiment_id,
            computation=computation.value,
            as_of=run.as_of,
            data_version=run.data_version,
            computed_at=computed_at,
            code_version=code_version,
            run_id=run.run_id,
            payload=payload,
        )
    )
    claims.serve(
        connection,
        run.experiment_id,
        computation,
        run.run_id,
        as_of=run.as_of,
        data_version=run.data_version,
        served_at=computed_at,
        finally_served=now_final,
    )
    return state(connection, run.experiment_id, computation)


def record_failure(
    connection: Connection, experiment_id: int, computation: Computation, now: datetime, run_id: str
) -> None:
    """Rule R3: stamp the failure; what was published stays. A final row never changes.

    Whoever was not answered may call again: a failure of the same moment counts once. A run that has lost its lease to
    another fails nobody but itself.
    """
    if runs.holder(connection, experiment_id) not in {None, run_id}:
        return
    is_news = or_(computations.c.last_error_at.is_(None), computations.c.last_error_at != now)
    failed = connection.execute(
        update(computations)
        .where(_is_row(experiment_id, computation), computations.c.is_final.is_(False), is_news)
        .values(last_error_at=now, failures=computations.c.failures + 1)
    )
    if failed.rowcount:
        claims.fail(connection, experiment_id, computation, run_id, now)


def _is_row(experiment_id: int, computation: Computation) -> ColumnElement[bool]:
    return is_id(computations.c.experiment_id, experiment_id) & (computations.c.computation == computation.value)


def _refuse_to_go_back(before: ComputationState, run: RefreshRun) -> None:
    """An old run never overwrites a newer payload (rule R5)."""
    if before.as_of is not None and run.as_of < before.as_of:
        raise Superseded(f"Run {run.run_id} looks at {run.as_of}; what stands looks at {before.as_of} already.")
    if before.data_version is not None and run.data_version < before.data_version:
        raise Superseded(
            f"Run {run.run_id} reads data version {run.data_version}; what stands has read {before.data_version}."
        )


def _covers_landed(connection: Connection, experiment: Experiment, data_version: int, before: datetime) -> bool:
    """Whether every object of the environment that landed before the moment is in the data version (rule R6).

    Only a landing zone that was listed since then can be known to hold nothing else.
    """
    scanned_at = ledger.scanned_at(connection)
    if scanned_at is None or scanned_at < before:
        return False
    missing = exists().where(
        landing_objects.c.environment_key == experiment.environment_key,
        landing_objects.c.landed_at < before,
        landing_objects.c.batch == batches.c.number,
        or_(batches.c.number > data_version, batches.c.committed_at.is_(None)),
    )
    return not connection.scalar(select(missing))
