"""Each asset can be selected alone, under the same guard; only what was selected is stored and published (rule R8)."""

from pathlib import Path

import dagster as dg
import pytest

from experiment_pipeline.domain.refresh import Computation
from tests.assets.conftest import Installation, crowd
from tests.assets.test_final import materialised

ASSETS = (
    "first_exposures",
    "exposure_buckets",
    "exposures",
    "variant_aggregates",
    "srm",
    "bayesian_results",
    "experiment_results",
)
PUBLISHES = {"exposures": Computation.EXPOSURES, "experiment_results": Computation.RESULTS}


@pytest.fixture
def refreshed(installation: Installation) -> Installation:
    """Computed once, and more has landed since."""
    installation.land("first", crowd(100, 100))
    installation.ingest()
    installation.refresh()
    installation.land("more", crowd(150, 150))
    installation.ingest()
    return installation


def files(installation: Installation) -> dict[str, bytes]:
    folder, partition = installation.settings.artifacts_dir, installation.partition()
    return {path.relative_to(folder).parts[0]: _content(path) for path in folder.glob(f"*/{partition}.parquet")}


def _content(path: Path) -> bytes:
    return path.read_bytes()


def test_asset__selected_alone__is_materialised_and_nothing_else_changes(refreshed: Installation) -> None:
    for asset in ASSETS:
        states = {computation: refreshed.state(computation) for computation in Computation}
        before = files(refreshed)
        selected = refreshed.materialise(asset)
        assert selected.success
        assert materialised(selected) == {asset}
        for computation, state in states.items():
            published = refreshed.state(computation)
            assert (published.as_of != state.as_of) is (PUBLISHES.get(asset) is computation), asset
            assert published.failures == 0
        after = files(refreshed)
        assert {name for name, content in after.items() if content != before[name]} == {asset} - PUBLISHES.keys()
    payload = refreshed.state().payload
    assert payload is not None
    assert payload["metrics"][0]["variants"]["b"]["n"] == 150


def test_check__selected_without_its_asset__is_evaluated_and_nothing_is_stored(refreshed: Installation) -> None:
    before, states = files(refreshed), [refreshed.state(computation) for computation in Computation]
    key = dg.AssetCheckKey(dg.AssetKey("srm"), "split_as_configured")
    job = refreshed.definitions.resolve_job_def("refresh_experiment")
    result = job.get_subset(asset_selection=set(), asset_check_selection={key}).execute_in_process(
        instance=refreshed.instance, partition_key=refreshed.partition()
    )
    (evaluation,) = result.get_asset_check_evaluations()
    assert (evaluation.asset_check_key, evaluation.passed) == (key, True)
    assert materialised(result) == set()
    assert files(refreshed) == before
    assert [refreshed.state(computation) for computation in Computation] == states
