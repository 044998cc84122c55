"""The tables of looks in Dagster: a sensor requests their run when something waits, and pages say how much does."""

from datetime import UTC, datetime, timedelta

import dagster as dg
import polars as pl
import pytest

from experiment_pipeline.automation import schedules, sensors
from experiment_pipeline.automation.retention import prune_history
from experiment_pipeline.resources.dagster_instance import run_here
from experiment_pipeline.results.published_tables import LOOKS, PUBLISHED_TABLES
from tests.assets.conftest import Installation, crowd
from tests.automation.ticks import tick

KEYS = {dg.AssetKey(["tables", table.name]) for table in PUBLISHED_TABLES}


def requested(installation: Installation) -> str | None:
    """The key of the run that a tick requests; None for none."""
    requests = tick(installation, sensors.look_tables).run_requests or []
    return requests[0].run_key if requests else None


def written(done: dg.ExecuteInProcessResult) -> dict[dg.AssetKey, dict[str, object]]:
    return {
        event.asset_key: {name: each.value for name, each in event.materialization.metadata.items()}
        for event in done.get_asset_materialization_events()
        if event.asset_key is not None
    }


def test_look_tables__after_a_refresh__are_requested_written_and_say_how_many_wait(installation: Installation) -> None:
    assert requested(installation) is None
    installation.land("first", crowd(100, 100))
    installation.ingest()
    installation.refresh()
    first = requested(installation)
    assert first is not None
    assert requested(installation) == first, "a run of the same key is not started twice"
    done = written(run_here(installation.definitions, "write_tables", installation.instance))
    assert set(done) == KEYS
    assert done[dg.AssetKey(["tables", "looks"])] == {
        "dagster/row_count": 1, "rows_written": 1, "looks_written": 1, "batch": 1, "publications_waiting": 0,
        "is_rebuild": True,
    }  # fmt: skip
    (look,) = pl.read_delta(str(installation.settings.tables_dir / "looks")).to_dicts()
    assert (look["experiment"], look["identities"], look["data_version"]) == ("checkout", 200, 1)
    results = pl.read_delta(str(installation.settings.tables_dir / "results"))
    assert sorted(results["metric"]) == ["bought", "spent"]
    installation.refresh()
    assert requested(installation) is None, "less than a minute has passed"
    again = written(run_here(installation.definitions, "write_tables", installation.instance))
    assert again[dg.AssetKey(["tables", "results"])]["publications_waiting"] == 2


@pytest.mark.slow
def test_look_tables__one_that_is_asked_for_by_its_name__is_reported_alone(installation: Installation) -> None:
    installation.land("first", crowd(100, 100))
    installation.ingest()
    installation.refresh()
    job = installation.definitions.resolve_job_def("write_tables")
    done = job.execute_in_process(instance=installation.instance, asset_selection=[dg.AssetKey(["tables", LOOKS.name])])
    assert set(written(done)) == {dg.AssetKey(["tables", LOOKS.name])}
    for table in PUBLISHED_TABLES:
        assert len(pl.read_delta(str(installation.settings.tables_dir / table.name))) >= (table.name != "health")


@pytest.mark.slow
def test_look_tables__are_compacted_and_vacuumed_with_the_lake(installation: Installation) -> None:
    installation.land("first", crowd(100, 100))
    installation.ingest()
    installation.refresh()
    run_here(installation.definitions, "write_tables", installation.instance)
    left = installation.settings.tables_dir / "looks" / "look-killed.parquet"
    left.write_bytes(b"")
    for job in (schedules.hourly_compaction.job_name, schedules.daily_clean_up.job_name):
        assert run_here(installation.definitions, job, installation.instance).success
    assert left.exists(), "a writer may still be at work"
    assert len(pl.read_delta(str(installation.settings.tables_dir / "looks"))) == 1
    later = datetime.now(UTC) + timedelta(days=365)
    prune_history(installation.instance, installation.registry, installation.settings, later)
    for key in KEYS:
        assert installation.instance.fetch_materializations(key, limit=1).records, "the newest run stays"
