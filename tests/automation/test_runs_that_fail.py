"""Runs that fail or are cancelled, and runs that come again (rules R3, R5, R7)."""

from datetime import UTC, datetime
from pathlib import Path

import dagster as dg

from experiment_pipeline.automation import sensors as automation
from experiment_pipeline.definitions import build
from experiment_pipeline.domain.refresh import Computation
from experiment_pipeline.resources.dagster_instance import QUIET, ROOT_RUN_TAG, RUN_KEY_TAG
from experiment_pipeline.settings import Settings
from tests.assets.conftest import Installation, crowd
from tests.assets.faults import bug, with_faults
from tests.automation.ticks import ask, partitions_of, requests, runs, start

PARTITION_TAG = "dagster/partition"
PARENT_RUN_TAG = "dagster/parent_run_id"


def created(installation: Installation, request: dg.RunRequest, again: dg.DagsterRun | None = None) -> dg.DagsterRun:
    """The run that Dagster makes of a request, or the re-execution of one."""
    root = again.run_id if again else None
    tags = {PARTITION_TAG: request.partition_key or "", RUN_KEY_TAG: request.run_key or ""}
    return installation.instance.create_run_for_job(
        installation.definitions.resolve_job_def("refresh_experiment"),
        tags=tags | ({ROOT_RUN_TAG: root, PARENT_RUN_TAG: root} if root else {}),
        root_run_id=root,
        parent_run_id=root,
    )


def sense_failure(installation: Installation, run: dg.DagsterRun) -> object:
    """Evaluate the failure sensor as the daemon does, once for every run that failed; return its answer."""
    (failed,) = installation.instance.all_logs(run.run_id, of_type=dg.DagsterEventType.RUN_FAILURE)
    assert failed.dagster_event is not None
    context = dg.build_run_status_sensor_context(
        sensor_name=automation.failed_runs.name,
        dagster_event=failed.dagster_event,
        dagster_instance=installation.instance,
        dagster_run=run,
        resources={"runs": runs(installation)},
    )
    return automation.failed_runs(context.for_run_failure())


def test_failed_runs__run_that_recorded_nothing__is_recorded_once(installation: Installation) -> None:
    ask(installation, installation.experiment())
    run = created(installation, requests(installation)[0])
    installation.instance.report_run_failed(run, "its worker was killed")
    for _ in range(2):
        sense_failure(installation, run)
    assert installation.state().failures == 1
    assert installation.registry.claims.list_waiting(installation.experiment().id) == []


def test_failed_runs__run_whose_asset_recorded_itself__adds_nothing(installation: Installation) -> None:
    with_faults(installation).add("write_first_exposures", installation.partition(), bug)
    failed = installation.materialise("first_exposures")
    installation.registry.runs.close_dead_run(failed.run_id, None, now=datetime.now(UTC))
    assert installation.state().failures == 1


def cancelled(installation: Installation, request: dg.RunRequest) -> None:
    """Somebody terminates the run while it waits in the queue: no failure, no event that a failure sensor sees."""
    run = created(installation, request)
    assert request.run_key not in [each.run_key for each in requests(installation)]  # Dagster has it
    installation.instance.report_run_canceling(run)
    installation.instance.report_run_canceled(run)


def test_refresh_requests__run_that_was_cancelled__is_recorded_and_holds_nobody_up__r3_r7(
    installation: Installation,
) -> None:
    first = installation.experiment()
    ask(installation, first)
    request = requests(installation)[0]
    cancelled(installation, request)
    (other,) = start(installation, 1)
    ask(installation, other)
    assert [other.partition_key] in map(partitions_of, requests(installation))
    assert installation.state().failures == 1
    assert installation.registry.claims.list_waiting(first.id) == []


def test_failed_runs__while_the_run_is_executed_again__leave_it_alone__r7(installation: Installation) -> None:
    ask(installation, installation.experiment())
    request = requests(installation)[0]
    run = created(installation, request)
    installation.instance.report_run_failed(run, "its worker was killed")
    created(installation, request, again=run)
    sense_failure(installation, run)
    assert installation.state().failures == 0
    assert installation.registry.claims.list_waiting(installation.experiment().id)


def refresh_job(data_dir: str) -> dg.JobDefinition:
    """For Dagster to build again in a re-execution."""
    return build(Settings(data_dir=Path(data_dir))).resolve_job_def("refresh_experiment")


def test_reexecution__of_a_run_that_a_newer_one_has_overtaken__publishes_nothing(installation: Installation) -> None:
    installation.land("first", crowd(100, 100))
    installation.ingest()
    old = installation.refresh()
    installation.land("second", crowd(110, 110))
    installation.ingest()
    installation.refresh()
    before = [installation.state(computation) for computation in Computation]
    arguments = (str(installation.settings.data_dir),)
    job = dg.build_reconstructable_job(__name__, "refresh_job", arguments)
    with dg.execute_job(
        job,
        instance=installation.instance,
        reexecution_options=dg.ReexecutionOptions(parent_run_id=old.run_id),
        tags={PARTITION_TAG: installation.partition()},
        run_config=QUIET,
    ) as again:
        assert not again.success
        refused = [event.event_specific_data for event in again.all_events if event.is_step_failure]
    assert "the published payload is already as of" in str(refused)
    assert [installation.state(computation) for computation in Computation] == before
    assert {installation.state(computation).failures for computation in Computation} == {0}
