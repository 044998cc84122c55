"""Dispatch: the claims of experiments that are due, and the runs to request for claims that wait."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta

import dagster as dg

from experiment_pipeline.assets.partitions import EXPERIMENTS
from experiment_pipeline.automation.batched_refresh import refresh_experiments
from experiment_pipeline.automation.jobs import refresh_experiment
from experiment_pipeline.domain.dispatch import DispatchLimits, PlannedRun, plan_runs
from experiment_pipeline.domain.due import automatic_claim
from experiment_pipeline.domain.refresh import Claim
from experiment_pipeline.resources.dagster_instance import (
    add_partitions,
    config_of,
    ended,
    remove_partitions,
    runs_by_key,
)
from experiment_pipeline.resources.own_runs import close_killed_run, killed_runs
from experiment_pipeline.resources.refresh_session import PHASE_TAG, RefreshSession, root_run_id

OWN_RUN_ABOVE = timedelta(seconds=5)  # of the last run; such an experiment shares its run with no other
INGESTION_FIRST = {"dagster/priority": "20"}  # one at a time, and refreshes without new events are worth little
USERS_FIRST = {"dagster/priority": "10"}
TABLES_IN_TURN = USERS_FIRST  # one at a time, the longest waiting first: users who ask all the time do not keep it back


def due_runs(
    runs: RefreshSession, instance: dg.DagsterInstance, now: datetime, limits: DispatchLimits
) -> list[PlannedRun]:
    """Claim every experiment that is due, and return the runs to request for the claims that wait.

    The registry remembers which claims each run was requested for.
    """
    registry, settings = runs.registry, runs.settings
    remove_partitions(instance, EXPERIMENTS, registry.experiments.partition_keys)
    in_place = registry.warehouses.in_place(settings.default_warehouse)
    candidates = registry.dispatch.candidates(now, dict.fromkeys(in_place, settings.warehouse_settle))
    scanned_at = registry.batches.scanned_at()
    add_partitions(instance, EXPERIMENTS, [candidate.experiment.partition_key for candidate in candidates])
    due = {
        (candidate.experiment.id, candidate.experiment.phase): source
        for candidate in candidates
        if (source := automatic_claim(candidate, now=now, grace=settings.finality_grace, scanned_at=scanned_at))
    }
    if due:
        registry.dispatch.claim_automatically(due, now)
    large = {
        candidate.experiment.id
        for candidate in candidates
        if any((state.last_duration_seconds or 0) > OWN_RUN_ABOVE.total_seconds() for state in candidate.states)
    }
    planned = waiting_runs(runs, instance, now, limits, large=large)
    add_partitions(instance, EXPERIMENTS, [partition_key for run in planned for partition_key in run.partition_keys])
    return planned


def waiting_runs(
    runs: RefreshSession,
    instance: dg.DagsterInstance,
    now: datetime,
    limits: DispatchLimits,
    *,
    large: Collection[int] = (),
    partition_keys: Collection[str] | None = None,
) -> list[PlannedRun]:
    """Return the runs to request for the claims that wait; the registry remembers which claims each was requested for.

    Args:
        runs: the registry, with the settings.
        instance: Dagster's, which knows the runs that were created.
        now: the present moment.
        limits: the most to request.
        large: ids of experiments whose runs take long.
        partition_keys: of the experiments that runs can be requested for, in their newest phase; None for every one.
    """
    claims = runs.registry.claims
    waiting = claims.list_waiting()
    created = runs_by_key(instance, {claim.run_key for claim in waiting if claim.run_key})
    if _close_dead_runs(runs, instance, created, waiting, now):
        waiting = claims.list_waiting()
    if partition_keys is not None:
        waiting = [each for each in waiting if each.partition_key in partition_keys and not each.is_of_ended_phase]
    planned = plan_runs(waiting, large, now=now, limits=limits, created=created)
    if planned:
        claims.assign_run_key({run.run_key: run.claim_ids for run in planned})
    return planned


def _close_dead_runs(
    runs: RefreshSession,
    instance: dg.DagsterInstance,
    created: Mapping[str, dg.DagsterRun],
    waiting: Sequence[Claim],
    now: datetime,
) -> bool:
    """Close the claims of runs that ended without publishing: cancelled, or killed without a failure event (R3, R7).

    A command's own process that was killed is told by its file alone: no daemon has started it.

    Returns:
        Whether there were any.
    """
    keys: dict[str, str | None] = {claim.served_by: claim.run_key for claim in waiting if claim.served_by}
    keys |= {root_run_id(run): key for key, run in created.items()}
    home = runs.settings.dagster_home
    dead, killed = ended(instance, keys), killed_runs(home)
    for run_id in {*dead, *killed}:
        runs.registry.runs.close_dead_run(run_id, keys.get(run_id), now)
    for run_id in killed:
        close_killed_run(home, instance, run_id)
    return bool(dead or killed)


def run_of_one(run: PlannedRun) -> dg.RunRequest:
    """Return the request of a run over one experiment, as a partition of the assets."""
    ((partition_key, phase),) = run.phases.items()
    tags = {**_tags(run), PHASE_TAG: str(phase)}
    return dg.RunRequest(run_key=run.run_key, partition_key=partition_key, tags=tags, job_name=refresh_experiment.name)


def run_of_several(run: PlannedRun) -> dg.RunRequest:
    """Return the request of a batched run over several experiments, or over one whose ended phase it computes."""
    return dg.RunRequest(
        run_key=run.run_key, run_config=config_of(run.phases), tags=_tags(run), job_name=refresh_experiments.name
    )


def _tags(run: PlannedRun) -> dict[str, str]:
    return USERS_FIRST if run.by_user else {}
