"""What a killed worker and an experiment that always fails do to the others: nothing (rules R3, R4, R7)."""

import os
import re
import signal
from datetime import UTC, datetime, timedelta

import pytest

from experiment_pipeline.domain.drafts import AttachmentDraft, ExperimentDraft, VariantDraft
from experiment_pipeline.domain.experiments import Experiment, ExperimentStatus
from experiment_pipeline.domain.metrics import ExpectedDirection
from experiment_pipeline.domain.refresh import ClaimSource, Computation, ComputationState
from experiment_pipeline.resources.dagster_instance import open_instance
from tests.e2e.conftest import System, eventually

pytestmark = pytest.mark.e2e


def running(system: System, feature: str) -> Experiment:
    """An experiment that has just started."""
    now = datetime.now(UTC)
    draft = ExperimentDraft(
        name=feature,
        hypothesis="",
        feature=feature,
        variants=(VariantDraft("b", 50),),
        metrics=(AttachmentDraft("bought", ExpectedDirection.INCREASE),),
    )
    created = system.registry.experiments.create("prod", draft, actor="test", now=now)
    return system.registry.experiments.transition(created.id, ExperimentStatus.RUNNING, actor="test", now=now)


def state(system: System, experiment: Experiment) -> ComputationState:
    return system.registry.computations.get(experiment.id, Computation.RESULTS)


def published(system: System, experiment: Experiment, after: datetime | None = None) -> bool:
    computed_at = state(system, experiment).computed_at
    return computed_at is not None and (after is None or computed_at > after)


def kill_worker(system: System, run_id: str) -> bool:
    """SIGKILL the process that executes a run, once Dagster's log has named it."""
    with open_instance(system.settings.dagster_home) as instance:
        for entry in instance.all_logs(run_id):
            if named := re.search(r"\(pid: (\d+)\)", entry.message or entry.user_message or ""):
                os.kill(int(named[1]), signal.SIGKILL)
                return True
    return False


def claim(system: System, experiment: Experiment) -> None:
    system.registry.claims.create(
        experiment.id, Computation.RESULTS, ClaimSource.CLI, datetime.now(UTC), minimum_interval=timedelta(0)
    )


def test_killed_worker__is_recorded_and_the_next_refresh_works(system: System) -> None:
    experiment = running(system, "checkout")
    eventually(lambda: published(system, experiment), "the first automatic refresh")
    before = state(system, experiment)
    eventually(lambda: not system.registry.claims.list_waiting(experiment.id), "both computations are published")

    claim(system, experiment)
    run_id = eventually(
        lambda: next((each.served_by for each in system.registry.claims.list_waiting(experiment.id)), None),
        "a run opens",
    )
    eventually(lambda: kill_worker(system, run_id), "the worker is found")
    failed = eventually(
        lambda: found if (found := state(system, experiment)).last_error_at is not None else None, "it is recorded"
    )
    assert (failed.payload, failed.as_of, failed.failures) == (before.payload, before.as_of, 1)
    assert system.ended(run_id) == "FAILURE"

    retried_at = datetime.now(UTC)
    claim(system, experiment)
    eventually(lambda: published(system, experiment, after=retried_at), "the next refresh")
    assert (state(system, experiment).last_error_at, state(system, experiment).failures) == (None, 0)


def test_one_experiment_that_always_fails__among_twenty__delays_no_other(system: System) -> None:
    experiments = [running(system, f"feature_{number}") for number in range(20)]
    bad = experiments[7]
    # A folder where its artifact belongs: every one of its refreshes fails.
    (system.settings.artifacts_dir / "first_exposures" / f"{bad.partition_key}.parquet").mkdir(parents=True)
    for experiment in experiments:
        if experiment is not bad:
            eventually(lambda experiment=experiment: published(system, experiment), f"{experiment.key} is published")  # type: ignore[misc]
    failed = eventually(
        lambda: found if (found := state(system, bad)).last_error_at is not None else None, "its failure is recorded"
    )
    assert failed.payload is None
    assert all(state(system, experiment).last_error_at is None for experiment in experiments if experiment is not bad)
