"""Missing data is a failure: refresh, ingestion and clean-up over a lake that does not fit (rules R3, R5, E7)."""

import shutil
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from experiment_pipeline.errors import UnsoundLake
from experiment_pipeline.resources.dagster_instance import run_here
from experiment_pipeline.warehouse.artifacts import STAMP_KEY, read_stamp
from tests.assets.conftest import Installation, crowd


@pytest.fixture
def lost(installation: Installation) -> Installation:
    """Results of one batch were published; a second one is ingested, and then the lake is the older copy."""
    installation.land("first", crowd(200, 200))
    installation.ingest()
    installation.refresh()
    shutil.copytree(installation.settings.lake_dir, installation.settings.data_dir / "older")
    installation.land("second", crowd(300, 300))
    installation.ingest()
    shutil.rmtree(installation.settings.lake_dir)
    (installation.settings.data_dir / "older").rename(installation.settings.lake_dir)
    return installation


def test_refresh__lake_lacks_a_batch__fails_says_which_and_keeps_the_last_payload(lost: Installation) -> None:
    before = lost.state()
    with pytest.raises(UnsoundLake, match="The lake lacks batch 2 that the registry knows"):
        lost.refresh()
    after = lost.state()
    assert after.last_error_at is not None
    assert (after.payload, after.as_of, after.data_version) == (before.payload, before.as_of, 1)


def test_ingest__lake_lacks_a_batch__refuses_and_the_check_says_it(lost: Installation) -> None:
    lost.land("third", crowd(1, 1))
    result = lost.definitions.resolve_job_def("ingest_events").execute_in_process(
        instance=lost.instance, raise_on_error=False
    )
    assert not result.success
    (check,) = result.get_asset_check_evaluations()
    assert (check.check_name, check.passed) == ("lake_is_sound", False)
    assert "The lake lacks batch 2" in (check.description or "")
    assert lost.registry.batches.lake_version().data_version == 2


def test_clean_up__lake_lacks_a_batch__deletes_nothing(lost: Installation) -> None:
    def files() -> set[Path]:
        return set(lost.settings.data_dir.rglob("*.parquet"))

    before = files()
    with pytest.raises(UnsoundLake, match="The lake lacks batch 2"):
        run_here(lost.definitions, "clean_up", lost.instance)
    with pytest.raises(UnsoundLake, match="The lake lacks batch 2"):
        run_here(lost.definitions, "compact_lake", lost.instance)
    assert files() == before


def test_refresh__artifact_replaced_by_another_installation__is_noticed(installation: Installation) -> None:
    installation.land("first", crowd(200, 200))
    installation.ingest()
    installation.refresh()
    path = installation.settings.artifacts_dir / "first_exposures" / f"{installation.partition()}.parquet"
    stamp = read_stamp(path)
    assert stamp.installation is not None
    pl.read_parquet(path).write_parquet(path, metadata={STAMP_KEY: replace(stamp, installation="another").to_json()})
    result = installation.materialise("variant_aggregates")
    assert not result.success
    assert installation.state().last_error_at is not None
