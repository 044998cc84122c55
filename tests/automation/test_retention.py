"""Retention: a month of runs ends at a steady state, and landing objects go once they are safe in the lake."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.test_utils import freeze_time
from sqlalchemy import update

from experiment_pipeline.automation.retention import prune_history
from experiment_pipeline.definitions import build
from experiment_pipeline.domain.refresh import Computation, Publication
from experiment_pipeline.lake.ingestion import landing_state
from experiment_pipeline.lake.lake import Lake
from experiment_pipeline.registry import tables
from experiment_pipeline.resources import run_history
from experiment_pipeline.resources.dagster_instance import open_instance
from tests.assets.conftest import Installation, crowd, exposure
from tests.lake.ledger import stored

BEGINNING = datetime(2026, 6, 1, tzinfo=UTC)
DAY = timedelta(days=1)
HISTORY_DAYS = 7
SUCCESS, FAILURE = dg.DagsterEventType.RUN_SUCCESS, dg.DagsterEventType.RUN_FAILURE


@pytest.fixture
def recorded(installation: Installation) -> Iterator[Installation]:
    """With an instance on disk, and a run history of a week."""
    installation.settings = installation.settings.model_copy(update={"run_history": HISTORY_DAYS * DAY})
    with open_instance(installation.settings.dagster_home) as instance:
        installation.instance = instance
        yield installation


def record(installation: Installation, job: str, at: datetime, end: dg.DagsterEventType = SUCCESS) -> str:
    """Record a run that ended at a moment, in Dagster's storage."""
    with freeze_time(at):
        run = installation.instance.create_run_for_job(installation.definitions.resolve_job_def(job))
        event = dg.DagsterEvent(event_type_value=end.value, job_name=job)
        installation.instance.report_dagster_event(event, run_id=run.run_id)
    return run.run_id


def look(installation: Installation, run_id: str, at: datetime) -> None:
    """Publish a look as a run does."""
    registry, experiment = installation.registry, installation.experiment()
    run = registry.runs.open(experiment.id, run_id, at, timedelta(minutes=5))
    registry.computations.publish(
        Publication(run, Computation.RESULTS, {}, code_version="1", computed_at=at, grace=timedelta(hours=1))
    )
    registry.runs.release_lease(run)


def prune(installation: Installation, now: datetime) -> int:
    return prune_history(installation.instance, installation.registry, installation.settings, now)


def history_files(installation: Installation) -> list[Path]:
    folder = installation.settings.dagster_home / "history/runs"
    return [path for path in folder.glob("*.db*") if not path.name.startswith(("index.", "runs."))]


def mentions(home: Path, text: str) -> list[str]:
    """Where below Dagster's home a text is: in names, and in rows of databases."""
    found = [path.as_posix() for path in home.rglob(f"*{text}*")]
    for path in home.rglob("*.db"):
        with closing(sqlite3.connect(path)) as connection:
            tables = [name for (name,) in connection.execute("select name from sqlite_master where type = 'table'")]
            for table in tables:
                rows = connection.execute(f"select * from {table}").fetchall()  # noqa: S608 - its own tables' names
                found += [f"{path.name}:{table}" for row in rows if text in repr(row)]
    return found


@pytest.mark.slow
def test_prune_history__a_month_of_constant_traffic__ends_at_a_steady_state(recorded: Installation) -> None:
    after_each_day = []
    for day in range(30):
        morning = BEGINNING + day * DAY
        record(recorded, "ingest_events", morning + timedelta(hours=13))
        published = record(recorded, "refresh_experiment", morning + timedelta(hours=14))
        look(recorded, published, morning + timedelta(hours=14))
        prune(recorded, morning + DAY)
        after_each_day.append((recorded.instance.get_runs_count(), len(history_files(recorded))))
    runs_of_routine, runs_with_a_look = 1, HISTORY_DAYS
    assert set(after_each_day[HISTORY_DAYS:]) == {(runs_of_routine + runs_with_a_look,) * 2}


def test_prune_history__far_behind__catches_up_at_once(recorded: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_history, "PAGE", 2)
    for hour in range(3):
        for job in ("ingest_events", "compact_lake", "refresh_experiment"):
            record(recorded, job, BEGINNING + timedelta(hours=hour))
    published = record(recorded, "refresh_experiment", BEGINNING)
    look(recorded, published, BEGINNING)
    failed = record(recorded, "ingest_events", BEGINNING, FAILURE)
    assert prune(recorded, BEGINNING + 3 * DAY) == 9
    assert {run.run_id for run in recorded.instance.get_runs()} == {published, failed}
    assert prune(recorded, BEGINNING + 3 * DAY) == 0
    assert prune(recorded, BEGINNING + 9 * DAY) == 2
    assert recorded.instance.get_runs_count() == 0
    assert history_files(recorded) == []


def test_prune_history__newest_materialisations__keep_their_runs_and_others_leave_nothing(
    recorded: Installation,
) -> None:
    for name in ("first", "second"):
        recorded.land(name, crowd(5, 5))
        recorded.ingest()
        recorded.refresh()
    before = [run.run_id for run in recorded.instance.get_runs()]
    newest, older = before[:2], before[2:]
    assert prune(recorded, datetime.now(UTC) + 400 * DAY) == 2
    assert [run.run_id for run in recorded.instance.get_runs()] == newest
    assert all(mentions(recorded.settings.dagster_home, run_id) for run_id in newest)
    for run_id in older:
        assert mentions(recorded.settings.dagster_home, run_id) == []


def test_remove_orphaned_history__file_of_a_deleted_run__goes_and_the_others_stay(recorded: Installation) -> None:
    kept = record(recorded, "ingest_events", BEGINNING)
    gone = record(recorded, "ingest_events", BEGINNING)
    recorded.instance.delete_run(gone)  # as Dagster's pages do: its file stays
    assert len({path.name.partition(".")[0] for path in history_files(recorded)}) == 2
    assert run_history.remove_orphaned_history(recorded.instance, DAY) == 0, "a run may just be beginning"
    assert run_history.remove_orphaned_history(recorded.instance, -DAY) == 1
    assert {path.name.partition(".")[0] for path in history_files(recorded)} == {kept}


def let_batches_be_of(installation: Installation, committed_at: datetime) -> None:
    with installation.registry.engine.begin() as connection:
        connection.execute(update(tables.batches).values(committed_at=committed_at))


def landed_files(installation: Installation) -> set[str]:
    return {path.stem.partition("Z-")[2] for path in installation.settings.landing_dir.rglob("*.jsonl")}


def clean_up(installation: Installation, **settings: object) -> dg.ExecuteInProcessResult:
    definitions = build(installation.settings.model_copy(update=settings))
    return definitions.resolve_job_def("clean_up").execute_in_process(
        instance=installation.instance, raise_on_error=False
    )


def test_clean_up__landing_keep__removes_what_has_been_in_the_lake_for_so_long(installation: Installation) -> None:
    installation.land("old", crowd(20, 20))
    installation.ingest()
    let_batches_be_of(installation, datetime.now(UTC) - 2 * DAY)
    installation.land("new", [exposure("someone", "b")])
    installation.ingest()
    installation.land("waits", [exposure("somebody", "b")])
    installation.refresh()
    before = installation.results()
    assert clean_up(installation).success
    assert landed_files(installation) == {"old", "new", "waits"}, "for ever, by default"
    assert clean_up(installation, landing_keep=DAY).success
    assert landed_files(installation) == {"new", "waits"}
    installation.refresh()
    assert installation.results() == before
    installation.ingest()
    assert installation.registry.batches.lake_version().data_version == 3
    assert landing_state(installation.registry.batches, installation.settings.landing_dir).all_is_in


def test_clean_up__keep_of_an_environment__removes_its_objects_and_months_and_needs_of_experiments_stay(
    installation: Installation,
) -> None:
    installation.registry.environments.create("staging", "Staging", actor="test", now=datetime.now(UTC))
    old = {"event": "purchase", "identifier": "a", "timestamp": "2024-05-05T00:00:00Z"}
    installation.land("of prod", [old])
    installation.land("of staging", [old, old | {"timestamp": datetime.now(UTC).isoformat()}], environment="staging")
    installation.ingest()
    let_batches_be_of(installation, datetime.now(UTC) - 40 * DAY)
    installation.registry.retentions.set("staging", 31 * DAY, actor="test", now=datetime.now(UTC))
    assert clean_up(installation).success
    assert landed_files(installation) == {"of prod"}
    months = {(row["environment_key"], row["month"]) for row in stored(Lake(installation.settings.lake_dir))}
    assert months == {("prod", "2024-05"), ("staging", f"{datetime.now(UTC):%Y-%m}")}


def test_clean_up__lake_that_lacks_batches__keeps_the_landing_objects_for_the_repair(
    installation: Installation,
) -> None:
    installation.land("old", crowd(5, 5))
    installation.ingest()
    let_batches_be_of(installation, datetime.now(UTC) - 2 * DAY)
    installation.settings.lake_dir.rename(installation.settings.lake_dir.with_name("elsewhere"))
    assert not clean_up(installation, landing_keep=DAY).success
    assert landed_files(installation) == {"old"}


def test_clean_up__closed_requests_older_than_the_history__go_and_the_looks_stay(installation: Installation) -> None:
    installation.land("first", crowd(5, 5))
    installation.ingest()
    installation.refresh()
    with installation.registry.engine.begin() as connection:
        served_at = datetime.now(UTC) - installation.settings.run_history - DAY
        connection.execute(update(tables.claims).values(served_at=served_at))
    assert clean_up(installation).success
    with installation.registry.engine.connect() as connection:
        assert connection.execute(tables.claims.select()).all() == []
        looked = {row.run_id for row in connection.execute(tables.payloads.select())}
        assert {row.run_id for row in connection.execute(tables.runs.select())} == looked
