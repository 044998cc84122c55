"""The runs that sensors request, called as the daemon calls them (rules R2-R8)."""

import shutil
from datetime import UTC, datetime, timedelta

import dagster as dg
import pytest
from sqlalchemy import func, select

from experiment_pipeline.assets.partitions import EXPERIMENTS
from experiment_pipeline.automation import sensors
from experiment_pipeline.automation.dispatch import USERS_FIRST
from experiment_pipeline.definitions import build
from experiment_pipeline.domain.experiments import ExperimentStatus
from experiment_pipeline.domain.refresh import ClaimSource, Computation, Publication
from experiment_pipeline.errors import UnsoundLake
from experiment_pipeline.registry import tables
from experiment_pipeline.registry.engine import reading
from tests.assets.conftest import Installation, crowd
from tests.automation.ticks import ask, fresh, partitions_of, requests, start, tick

HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)


def test_landing_objects__nothing_new__skips_and_records_the_listing(installation: Installation) -> None:
    before = datetime.now(UTC)
    outcome = tick(installation, sensors.landing_objects)
    assert not outcome.run_requests
    assert outcome.skip_message == "All that has landed is in the lake."
    scanned_at = installation.registry.batches.scanned_at()
    assert scanned_at is not None
    assert scanned_at >= before


def test_landing_objects__with_files_passed_over__does_not_say_that_all_is_in(installation: Installation) -> None:
    folder = installation.settings.landing_dir / "events/env_key=prod"
    folder.mkdir(parents=True)
    (folder / "a.csv").write_text("")
    assert tick(installation, sensors.landing_objects).skip_message == (
        "Nothing waits to be ingested, but 1 files or folders are passed over: "
        "experiment-pipeline lake status names them."
    )


def test_landing_objects__that_landed__are_requested_once_per_interval(installation: Installation) -> None:
    installation.land("first", crowd(1, 1))
    requested = tick(installation, sensors.landing_objects)
    assert [request.run_key is not None for request in requested.run_requests or []] == [True]
    assert installation.registry.batches.scanned_at() is None, "an object lies there: nothing is known to be in"
    again = tick(installation, sensors.landing_objects, requested.cursor)
    assert not again.run_requests
    assert again.skip_message is not None
    assert again.skip_message.startswith("The last ingestion was requested")
    later = tick(installation, sensors.landing_objects, requested.cursor, ingestion_interval=timedelta(0))
    assert len(later.run_requests or []) == 1


def test_landing_objects__while_an_ingestion_is_under_way__are_left_to_the_next(
    installation: Installation,
) -> None:
    installation.land("first", crowd(1, 1))
    (request,) = tick(installation, sensors.landing_objects).run_requests or []
    assert int(request.tags["dagster/priority"]) > int(USERS_FIRST["dagster/priority"])
    job = installation.definitions.resolve_job_def("ingest_events")
    run = installation.instance.create_run_for_job(job, status=dg.DagsterRunStatus.NOT_STARTED)
    waiting = tick(installation, sensors.landing_objects)
    assert not waiting.run_requests
    assert waiting.skip_message == "An ingestion waits or runs: what lands meanwhile is for the next one."
    installation.instance.report_run_canceled(run)
    assert len(tick(installation, sensors.landing_objects).run_requests or []) == 1


def test_landing_objects__lake_is_gone__requests_one_run_that_fails_and_records_no_listing(
    installation: Installation,
) -> None:
    installation.land("first", crowd(1, 1))
    installation.ingest()
    scanned_at = installation.registry.batches.scanned_at()
    shutil.rmtree(installation.settings.lake_dir)
    keys = {
        request.run_key for _ in range(2) for request in tick(installation, sensors.landing_objects).run_requests or []
    }
    assert len(keys) == 1
    assert installation.registry.batches.scanned_at() == scanned_at


def cursor(checked: timedelta) -> str:
    """The cursor of a tick that has checked the lake so long ago, and requested nothing yet."""
    return str(sensors.LandingCursor.parse(f"0 {(datetime.now(UTC) - checked).timestamp()}"))


def test_landing_objects__lake_is_gone_and_nothing_waits__is_told_within_five_minutes(
    installation: Installation,
) -> None:
    installation.land("first", crowd(1, 1))
    installation.ingest()
    sound = tick(installation, sensors.landing_objects)
    assert sound.skip_message == "All that has landed is in the lake."
    shutil.rmtree(installation.settings.lake_dir)
    idle = tick(installation, sensors.landing_objects, sound.cursor)
    assert (idle.skip_message, idle.cursor) == ("All that has landed is in the lake.", sound.cursor)
    assert not tick(installation, sensors.landing_objects, cursor(5 * MINUTE - timedelta(seconds=30))).run_requests
    (told,) = tick(installation, sensors.landing_objects, cursor(5 * MINUTE)).run_requests or []
    assert (told.run_key or "").startswith("unsound:")


def test_landing_objects__lake_is_gone_and_something_waits__is_told_at_once_and_nothing_is_ingested(
    installation: Installation,
) -> None:
    installation.land("first", crowd(1, 1))
    installation.ingest()
    shutil.rmtree(installation.settings.lake_dir)
    installation.land("second", crowd(1, 1))
    (told,) = tick(installation, sensors.landing_objects, cursor(timedelta(0))).run_requests or []
    assert (told.run_key or "").startswith("unsound:")
    known = installation.registry.batches.state()
    with pytest.raises(UnsoundLake, match="The lake lacks batch 1"):
        installation.ingest()
    assert installation.registry.batches.state() == known


def test_landing_objects__complete_listing_is_awaited__is_not_recorded_of_an_unsound_lake(
    installation: Installation,
) -> None:
    installation.land("first", crowd(1, 1))
    installation.ingest()
    now, experiment = datetime.now(UTC), installation.experiment()
    installation.registry.experiments.transition(experiment.id, ExperimentStatus.COMPLETED, actor="test", now=now)
    installation.settings = installation.settings.model_copy(update={"landing_object_age": timedelta(0)})
    scanned_at = installation.registry.batches.scanned_at()
    shutil.rmtree(installation.settings.lake_dir)
    (told,) = tick(installation, sensors.landing_objects, cursor(timedelta(0))).run_requests or []
    assert (told.run_key or "").startswith("unsound:")
    assert installation.registry.batches.scanned_at() == scanned_at


def test_landing_sensor__cursor_of_a_clock_that_was_ahead__ingests_at_once(installation: Installation) -> None:
    installation.land("first", crowd(1, 1))
    ahead = datetime.now(UTC) + timedelta(days=366)
    assert tick(installation, sensors.landing_objects, str(ahead.timestamp())).run_requests


def test_finality__while_a_collector_may_hold_an_object_stamped_before_the_grace_ended__waits__r6(
    installation: Installation,
) -> None:
    ended_at = datetime.now(UTC)
    installation.registry.experiments.transition(
        installation.experiment().id, ExperimentStatus.COMPLETED, actor="test", now=ended_at
    )
    installation.settings = installation.settings.model_copy(update={"landing_object_age": HOUR})
    installation.definitions = build(installation.settings)
    tick(installation, sensors.landing_objects)
    installation.ingest()
    installation.refresh()
    assert not installation.state().is_final, "a grace of nothing, and an hour in which an object may still be hidden"
    tick(installation, sensors.landing_objects, landing_object_age=timedelta(0))
    installation.refresh()
    assert installation.state().is_final


def test_refresh_requests__of_users__come_first_and_alone(installation: Installation) -> None:
    installation.registry.dispatch.claim_automatically(
        {(installation.experiment("banner").id, 1): ClaimSource.SCHEDULE}, datetime.now(UTC)
    )
    claim_id = ask(installation, installation.experiment())
    first, second = requests(installation)
    assert (first.partition_key, first.job_name) == (installation.experiment().partition_key, "refresh_experiment")
    assert first.tags["dagster/priority"] == "10"
    assert first.run_key is not None
    assert first.run_key.startswith(f"refresh:{claim_id}:")
    assert partitions_of(second) == [installation.experiment("banner").partition_key]
    assert "dagster/priority" not in second.tags


def test_refresh_requests__started_experiment__becomes_a_partition(installation: Installation) -> None:
    (started,) = start(installation, 1)
    requests(installation)
    assert started.partition_key in installation.instance.get_dynamic_partitions(EXPERIMENTS.name or "")


def test_refresh_requests__until_a_run_opens__are_repeated_under_their_key_and_then_no_more(
    installation: Installation,
) -> None:
    fresh(installation)
    ask(installation, installation.experiment())
    (request,), (repeated,) = requests(installation), requests(installation)
    assert repeated.run_key == request.run_key, "Dagster starts a key once"
    installation.registry.runs.open(installation.experiment().id, "run", datetime.now(UTC), HOUR)
    ask(installation, installation.experiment())
    outcome = tick(installation, sensors.refresh_requests)
    assert not outcome.run_requests
    assert outcome.skip_message == "No refresh is requested or due."


def test_refresh_requests__of_more_users_than_runs__share_them(installation: Installation) -> None:
    fresh(installation)
    for experiment in start(installation, 12):
        ask(installation, experiment)
    assert [len(partitions_of(request)) for request in requests(installation)] == [12]


def test_refresh_requests__automatic__are_a_set_number_of_runs_of_twenty_five(installation: Installation) -> None:
    start(installation, 60)
    first = requests(installation, automatic_runs=2)
    assert [len(partitions_of(request)) for request in first] == [25, 25]
    assert {request.job_name for request in first} == {"refresh_experiments"}
    again = requests(installation, automatic_runs=2)
    assert [request.run_key for request in again] == [request.run_key for request in first]


def test_refresh_requests__completed_experiment__has_a_last_refresh_and_another_after_the_grace(
    installation: Installation,
) -> None:
    installation.refresh("banner")
    registry, experiment, ended_at = installation.registry, installation.experiment(), datetime.now(UTC) - 2 * HOUR
    registry.batches.record_scan(ended_at)
    registry.experiments.transition(experiment.id, ExperimentStatus.COMPLETED, actor="test", now=ended_at)
    (last,) = requests(installation, finality_grace=HOUR)
    assert partitions_of(last) == [experiment.partition_key]
    run = registry.runs.open(experiment.id, "last", ended_at, HOUR, as_of=ended_at, data_version=0)
    for computation in Computation:
        registry.computations.publish(
            Publication(run, computation, {}, code_version="1", computed_at=ended_at + MINUTE, grace=HOUR)
        )
    registry.runs.release_lease(run)
    assert requests(installation, finality_grace=HOUR) == [], "nobody has listed the landing zone since"
    registry.batches.record_scan(ended_at + HOUR)
    assert requests(installation, finality_grace=3 * HOUR) == []
    (another,) = requests(installation, finality_grace=HOUR)
    assert partitions_of(another) == [experiment.partition_key]
    assert {claim.source for claim in registry.claims.list_waiting()} == {ClaimSource.COMPLETION}


@pytest.mark.parametrize("leaves", ["deleted", "final"])
def test_refresh_requests__experiment_that_left__keeps_its_history(installation: Installation, leaves: str) -> None:
    fresh(installation)
    registry, experiment, now = installation.registry, installation.experiment(), datetime.now(UTC)
    if leaves == "deleted":
        registry.experiments.transition(experiment.id, ExperimentStatus.PAUSED, actor="test", now=now)
        ask(installation, experiment)
        registry.experiments.delete(experiment.id, actor="test", now=now)
    else:
        registry.experiments.transition(experiment.id, ExperimentStatus.COMPLETED, actor="test", now=now)
        registry.batches.record_scan(datetime.now(UTC))
        installation.refresh()
        assert installation.state().is_final
    installation.land("later", crowd(10, 10))
    installation.ingest()
    assert experiment.partition_key not in [key for each in requests(installation) for key in partitions_of(each)]
    known = installation.instance.get_dynamic_partitions(EXPERIMENTS.name or "")
    assert (experiment.partition_key in known) is (leaves == "final")
    asked = dg.AssetRecordsFilter(dg.AssetKey("exposures"), asset_partitions=[experiment.partition_key])
    assert installation.instance.fetch_materializations(asked, limit=1).records
    with reading(registry.engine) as connection:
        looks = select(func.count()).where(tables.payloads.c.experiment_id == experiment.id)
        assert connection.scalar(looks) == (2 if leaves == "deleted" else 4)
