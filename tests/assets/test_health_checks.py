"""Health checks in Dagster: one status per partition, the same through assets and through a batched run."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.definitions.partitions.context import partition_loading_context
from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionResolvedStatus

from experiment_pipeline.assets.partitions import EXPERIMENTS
from experiment_pipeline.resources.dagster_instance import QUIET
from tests.assets.conftest import Installation, copied, crowd, declared

SPLIT = dg.AssetCheckKey(dg.AssetKey("srm"), "split_as_configured")
BROKEN, SOUND = "checkout", "banner"


def refresh_batched(installation: Installation, *keys: str) -> dg.ExecuteInProcessResult:
    partition_keys = [installation.partition(key) for key in keys]
    return installation.definitions.resolve_job_def("refresh_experiments").execute_in_process(
        instance=installation.instance,
        run_config={"ops": {"refresh_several": {"config": {"partition_keys": partition_keys}}}} | QUIET,
        raise_on_error=False,
    )


def split_statuses(
    installation: Installation, check: dg.AssetCheckKey = SPLIT
) -> dict[AssetCheckExecutionResolvedStatus, set[str]]:
    """The partitions by the status that Dagster shows of the check, of the split or another one."""
    with partition_loading_context(dynamic_partitions_store=installation.instance):
        state = installation.instance.event_log_storage.get_asset_check_state([(check, EXPERIMENTS)])[check]
        return {
            status: set(subset.subset_value.get_partition_keys())
            for status, subset in state.subsets.items()
            if not subset.is_empty
        }


@pytest.fixture(scope="module")
def ingested(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that every test's installation is copied from."""
    folder = tmp_path_factory.mktemp("ingested")
    with declared(folder) as made:
        made.land("first", crowd(400, 150) + crowd(300, 300, feature=SOUND))
        made.ingest()
    return folder


@pytest.fixture
def landed(tmp_path: Path, ingested: Path) -> Iterator[Installation]:
    """One experiment with a broken split, one with a sound one."""
    with copied(ingested, tmp_path) as copy:
        yield copy


@pytest.mark.parametrize(
    "order",
    [(BROKEN, SOUND), pytest.param((SOUND, BROKEN), marks=pytest.mark.slow)],
    ids=["broken-sound", "sound-broken"],
)
@pytest.mark.parametrize("batched", [False, True], ids=["assets", "batched"])
def test_split_check__of_two_experiments_in_any_order__keeps_both_statuses(
    landed: Installation, order: tuple[str, str], batched: bool
) -> None:
    if batched:
        assert refresh_batched(landed, *order).success
    else:
        assert all(landed.refresh(key).success for key in order)
    assert split_statuses(landed) == {
        AssetCheckExecutionResolvedStatus.FAILED: {landed.partition(BROKEN)},
        AssetCheckExecutionResolvedStatus.SUCCEEDED: {landed.partition(SOUND)},
    }


@pytest.mark.parametrize("first_batched", [False, True], ids=["assets_first", "batched_first"])
def test_split_check__that_was_made_anew_the_other_way__shows_the_newest(
    landed: Installation, first_batched: bool
) -> None:
    ways = [landed.refresh, lambda key: refresh_batched(landed, key)]
    first, second = reversed(ways) if first_batched else ways
    first(BROKEN)
    landed.land("mended", crowd(0, 400))
    landed.ingest()
    second(BROKEN)
    assert split_statuses(landed) == {AssetCheckExecutionResolvedStatus.SUCCEEDED: {landed.partition(BROKEN)}}


def reported(result: dg.ExecuteInProcessResult, partition_key: str) -> dict[str, Any]:
    """Return a run's reports on one partition: metadata by asset, and outcomes by check.

    Moments are left out, and of summaries, which list the looks, all but the headings.
    """
    found: dict[str, Any] = {}
    for event in result.all_events:
        if event.is_step_materialization and event.partition == partition_key:
            (materialization,) = (event.step_materialization_data.materialization,)
            found[materialization.asset_key.to_user_string()] = {
                name: re.findall("^#.*$", str(value.value), re.MULTILINE) if name == "summary" else value
                for name, value in materialization.metadata.items()
                if name != "as_of"
            }
    for check in result.get_asset_check_evaluations():
        if check.partition == partition_key:
            assert check.target_materialization_data is not None
            assert check.target_materialization_data.run_id == result.run_id
            told = check.passed, check.severity, check.description, check.blocking, check.metadata
            found[f"{check.asset_key.to_user_string()}:{check.check_name}"] = told
    return found


def test_batched_run__reports__what_the_assets_report(landed: Installation) -> None:
    for key in (BROKEN, SOUND):
        partition_key = landed.partition(key)
        landed.refresh(key)  # the first one of a day has the self-check, which no other repeats
        by_assets = reported(landed.refresh(key), partition_key)
        assert len(by_assets) >= 7
        assert reported(refresh_batched(landed, key), partition_key) == by_assets


def test_batched_run__in_which_one_experiment_fails__still_reports_the_other(landed: Installation) -> None:
    banner = landed.partition(SOUND)
    artifact = landed.settings.artifacts_dir / "exposure_buckets" / f"{landed.partition(BROKEN)}.parquet"
    artifact.mkdir(parents=True)  # nothing can be written there
    result = refresh_batched(landed, SOUND, BROKEN)
    assert not result.success
    assert reported(result, banner).keys() >= {"exposures", "experiment_results", "srm:split_as_configured"}
    assert reported(result, landed.partition(BROKEN)).keys() >= {"first_exposures", "experiment_results"}
