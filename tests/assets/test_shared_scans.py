"""Batched refreshes as runs: several experiments share a scan, and each has what it has alone (rules N8, X5, R7)."""

from datetime import UTC, datetime
from typing import Any

import dagster as dg
import pytest

from experiment_pipeline.domain.refresh import Computation
from experiment_pipeline.resources.refresh_session import Lease, RefreshSession
from tests.assets.conftest import Installation, crowd
from tests.assets.faults import bug, with_faults

pytestmark = pytest.mark.slow
KEYS = ("checkout", "banner")


@pytest.fixture
def ingested(installation: Installation) -> Installation:
    """Two experiments that share their purchases."""
    installation.land("first", crowd(100, 110) + crowd(90, 100, buying=0.3, feature="banner"))
    installation.ingest()
    return installation


def refresh_together(installation: Installation) -> dg.ExecuteInProcessResult:
    partition_keys = [installation.partition(key) for key in KEYS]
    job = installation.definitions.resolve_job_def("refresh_experiments")
    return job.execute_in_process(
        instance=installation.instance,
        run_config={"ops": {"refresh_several": {"config": {"partition_keys": partition_keys}}}},
        raise_on_error=False,
    )


def published(installation: Installation, key: str) -> dict[str, Any]:
    """The payload of the results, but for the number of the look."""
    payload = dict(installation.state(Computation.RESULTS, key).payload or {})
    payload.pop("look")
    return payload


def metadata(installation: Installation, key: str) -> dict[str, Any]:
    wanted = dg.AssetRecordsFilter(dg.AssetKey("variant_aggregates"), asset_partitions=[installation.partition(key)])
    (newest,) = installation.instance.fetch_materializations(wanted, limit=1).records
    assert newest.asset_materialization is not None
    return {name: value.value for name, value in newest.asset_materialization.metadata.items()}


def test_batched_refresh__of_two_experiments__says_what_they_shared_and_publishes_what_single_ones_do__n8_x5(
    ingested: Installation,
) -> None:
    assert refresh_together(ingested).success
    together = {key: published(ingested, key) for key in KEYS}
    for key in KEYS:
        found = metadata(ingested, key)
        assert [found[name] for name in ("shared_by_experiments", "shared_files_read", "rows_read")] == [2, 1, 105]
        assert found["shared_rows_read"] == 105
        assert ingested.refresh(key).success
        assert "shared_by_experiments" not in metadata(ingested, key)
    assert {key: published(ingested, key) for key in KEYS} == together


def test_batched_refresh__with_an_experiment_that_fails__publishes_the_other_one__r7(ingested: Installation) -> None:
    with_faults(ingested).add("variant_aggregates", ingested.partition(), bug)
    assert not refresh_together(ingested).success
    assert ingested.state().payload is None
    assert ingested.state(Computation.EXPOSURES).payload is not None
    assert ingested.state(Computation.RESULTS, "banner").payload is not None
    assert metadata(ingested, "banner")["shared_by_experiments"] == 2


def test_duration__of_an_experiment_in_a_batch__leaves_out_the_time_of_others__r7(ingested: Installation) -> None:
    session = RefreshSession(ingested.registry, ingested.settings)
    experiment, now = ingested.experiment(), datetime.now(UTC)
    run = ingested.registry.runs.open(experiment.id, "run", now, ingested.settings.lease_duration)
    session.leases[experiment.id] = Lease(run, acquired=100.0)
    session.leave_out(experiment, 7.5)
    session.leave_out(ingested.experiment("banner"), 7.5)
    assert session.leases == {experiment.id: Lease(run, acquired=107.5)}
