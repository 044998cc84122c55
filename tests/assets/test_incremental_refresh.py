"""Incremental refreshes as runs: what their assets say of them, the setting that turns them off, a failed audit."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl
import pytest

from experiment_pipeline.definitions import build
from experiment_pipeline.domain.experiments import ExperimentStatus
from experiment_pipeline.storage.files import local_folder
from experiment_pipeline.warehouse.artifacts import ArtifactStore
from tests.assets.conftest import Installation, crowd

pytestmark = pytest.mark.slow


def configured(installation: Installation, **changes: object) -> Installation:
    """The installation with other settings."""
    installation.settings = installation.settings.model_copy(update=changes)
    installation.definitions = build(installation.settings)
    return installation


@pytest.fixture
def refreshed(installation: Installation) -> Installation:
    """Refreshed once with a state, and more events since."""
    configured(installation, incremental_from=0)
    installation.land("first", crowd(100, 100))
    installation.ingest()
    assert installation.refresh().success
    installation.land("second", crowd(110, 112))
    installation.ingest()
    return installation


def metadata(installation: Installation, asset: str) -> dict[str, Any]:
    partitions = [installation.partition()]
    wanted = dg.AssetRecordsFilter(dg.AssetKey(asset), asset_partitions=partitions)
    (newest,) = installation.instance.fetch_materializations(wanted, limit=1).records
    assert newest.asset_materialization is not None
    return {name: value.value for name, value in newest.asset_materialization.metadata.items()}


def test_refresh__with_a_state__says_that_it_was_incremental_and_publishes_the_same__i1(
    refreshed: Installation,
) -> None:
    assert metadata(refreshed, "variant_aggregates")["refresh"] == "full (no state of an earlier refresh)"
    assert refreshed.refresh().success
    found = metadata(refreshed, "variant_aggregates")
    assert found["refresh"] == "incremental"
    assert 0 < found["rows_read"] < 155
    assert found["state_bytes"] > 0
    assert isinstance(found["seconds_saved"], float)
    assert metadata(refreshed, "first_exposures")["refresh"] == "incremental"
    cost = refreshed.registry.refresh_costs.by_asset()[-1]
    assert (cost.asset, cost.incremental, cost.full) == ("variant_aggregates", 1, 1)
    assert cost.state_bytes == found["state_bytes"]
    incremental = refreshed.results()
    assert sum(incremental["srm"]["identities"].values()) == 222
    assert configured(refreshed, incremental_refresh=False).refresh().success
    assert metadata(refreshed, "variant_aggregates")["refresh"] == "full (incremental refresh is off)"
    assert metadata(refreshed, "first_exposures")["refresh"] == "full (incremental refresh is off)"
    assert refreshed.results()["metrics"] == incremental["metrics"]


def test_refresh__over_first_exposures_that_break_their_contract__reads_everything__x5(
    refreshed: Installation,
) -> None:
    path = refreshed.settings.artifacts_dir / "first_exposures" / f"{refreshed.partition()}.parquet"
    stamp = {name: value for name, value in pl.read_parquet_metadata(path).items() if not name.startswith("ARROW")}
    rows = pl.read_parquet(path)
    pl.concat([rows, rows]).sort("identity_hash").write_parquet(path, metadata=stamp)
    assert refreshed.refresh().success
    found = metadata(refreshed, "first_exposures")
    assert found["refresh"] == "full (first exposures of the last refresh break their contract)"
    assert found["identities"] == 222


def test_last_refresh__whose_audit_finds_a_difference__publishes_the_full_one_and_fails__i4(
    refreshed: Installation,
) -> None:
    (path,) = (refreshed.settings.artifacts_dir / "totals" / refreshed.partition()).glob("*.parquet")
    rows = pl.read_parquet(path)
    rows.with_columns(pl.col("0.events") + 1).write_parquet(path, compression="uncompressed", statistics=True)
    refreshed.registry.experiments.transition(
        refreshed.experiment().id, ExperimentStatus.COMPLETED, actor="test", now=datetime.now(UTC)
    )
    job = refreshed.definitions.resolve_job_def("refresh_experiment")
    done = job.execute_in_process(
        instance=refreshed.instance, partition_key=refreshed.partition(), raise_on_error=False
    )
    assert not done.success
    told = "".join(str(event.event_specific_data) for event in done.all_events if event.is_step_failure)
    assert "the incremental refresh differed from the full one, which was published" in told
    assert "differed" not in metadata(refreshed, "variant_aggregates")["audit"]
    assert refreshed.state().last_error_at is not None
    assert sum(refreshed.results()["srm"]["identities"].values()) == 222
    assert not list((refreshed.settings.artifacts_dir / "totals").glob("*/*.parquet"))


def test_totals__of_deleted_experiments__are_artifacts_of_others(refreshed: Installation) -> None:
    store = ArtifactStore(Path(refreshed.settings.artifacts_dir))
    mine = {path for path in map(local_folder, store.of_others([])) if "totals" in path.parts}
    assert {path.suffix for path in mine} == {".json", ".parquet"}
    assert store.of_others([refreshed.partition()]) == []
