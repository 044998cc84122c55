"""Materialising what is final changes nothing, succeeds, and says so in an observation (rules R6, R8)."""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionResolvedStatus
from sqlalchemy import select

from experiment_pipeline.domain.experiments import ExperimentStatus
from experiment_pipeline.domain.refresh import ClaimOutcome, ClaimSource, Computation
from experiment_pipeline.registry import tables
from experiment_pipeline.registry.engine import reading
from tests.assets.conftest import Installation, copied, crowd, declared
from tests.assets.faults import bug, with_faults
from tests.assets.test_health_checks import refresh_batched, split_statuses
from tests.slow_cases import slow_after

FAILS = {Computation.EXPOSURES: "exposure_buckets", Computation.RESULTS: "variant_aggregates"}
PAYLOAD = {Computation.EXPOSURES: "exposures", Computation.RESULTS: "experiment_results"}
ARTIFACTS = {
    Computation.EXPOSURES: ("exposure_buckets",),
    Computation.RESULTS: ("variant_aggregates", "srm", "bayesian_results"),
}
OBSERVED = {
    Computation.EXPOSURES: {"exposure_buckets", "exposures"},
    Computation.RESULTS: {"variant_aggregates"},  # what follows in Dagster's graph is skipped
}
BOTH_WAYS = pytest.mark.parametrize(
    "batched", [pytest.param(False, id="assets", marks=pytest.mark.slow), pytest.param(True, id="batched")]
)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that every test's installation is copied from."""
    folder = tmp_path_factory.mktemp("ended")
    with declared(folder) as made:
        made.land("first", crowd(100, 100))
        made.ingest()
        made.registry.experiments.transition(
            made.experiment().id, ExperimentStatus.COMPLETED, actor="test", now=datetime.now(UTC)
        )
        made.ingest()
    return folder


@pytest.fixture
def ended(tmp_path: Path, prepared: Path) -> Iterator[Installation]:
    """An experiment that has ended, all that landed being in the lake."""
    with copied(prepared, tmp_path) as copy:
        yield copy


def refresh(installation: Installation, *, batched: bool) -> dg.ExecuteInProcessResult:
    if batched:
        return refresh_batched(installation, "checkout")
    return installation.materialise(
        "first_exposures",
        "exposure_buckets",
        "exposures",
        "variant_aggregates",
        "srm",
        "bayesian_results",
        "experiment_results",
    )


def artifacts(installation: Installation, names: Iterable[str]) -> dict[str, bytes]:
    folder, partition = installation.settings.artifacts_dir, f"{installation.partition()}.parquet"
    return {name: (folder / name / partition).read_bytes() for name in names}


def observed(result: dg.ExecuteInProcessResult) -> set[str]:
    """The assets that a run left as they are, saying why."""
    observations = [
        event.asset_observation_data.asset_observation
        for event in result.all_events
        if event.event_type is dg.DagsterEventType.ASSET_OBSERVATION
    ]
    assert all("final" in str(each.metadata["final"].value) for each in observations)
    return {each.asset_key.to_user_string() for each in observations}


def materialised(result: dg.ExecuteInProcessResult) -> set[str]:
    keys = [event.asset_key for event in result.all_events if event.is_step_materialization]
    return {key.to_user_string() for key in keys if key is not None}


@BOTH_WAYS
def test_refresh__of_a_final_experiment__succeeds_and_changes_nothing(ended: Installation, batched: bool) -> None:
    refresh(ended, batched=batched)
    before = [ended.state(computation) for computation in Computation]
    assert all(state.is_final for state in before)
    files = artifacts(ended, ["first_exposures", *sum(ARTIFACTS.values(), ())])
    again = refresh(ended, batched=batched)
    assert again.success
    assert observed(again) == {"first_exposures"}
    assert materialised(again) == set()
    assert [ended.state(computation) for computation in Computation] == before
    assert artifacts(ended, files) == files


def test_subset__of_a_final_experiment__succeeds_and_changes_nothing(ended: Installation) -> None:
    ended.refresh()
    before = ended.state()
    subset = ended.materialise("srm", "bayesian_results", "experiment_results")
    assert subset.success
    assert observed(subset) == {"srm", "bayesian_results", "experiment_results"}
    assert materialised(subset) == set()
    assert ended.state() == before


@pytest.mark.parametrize("how", slow_after(1, ["batched", "assets", "subset"]))
def test_refresh__of_a_final_experiment_whose_split_is_broken__keeps_the_failed_check(
    ended: Installation, how: str
) -> None:
    ended.land("more", crowd(400, 0))
    ended.ingest()
    ended.refresh()
    failed = {AssetCheckExecutionResolvedStatus.FAILED: {ended.partition()}}
    assert split_statuses(ended) == failed
    if how == "subset":
        assert ended.materialise("srm", "bayesian_results", "experiment_results").success
    else:
        assert refresh(ended, batched=how == "batched").success
    assert split_statuses(ended) == failed
    contract = dg.AssetCheckKey(dg.AssetKey("first_exposures"), "exposure_contract_kept")
    assert split_statuses(ended, contract) == {AssetCheckExecutionResolvedStatus.SUCCEEDED: {ended.partition()}}


@BOTH_WAYS
@pytest.mark.parametrize("late", Computation)
def test_refresh__where_one_computation_is_final__succeeds_for_the_other(
    ended: Installation, late: Computation, batched: bool
) -> None:
    (early,) = set(Computation) - {late}
    faults = with_faults(ended)
    faults.add(FAILS[late], ended.partition(), bug)
    assert not refresh(ended, batched=batched).success
    assert [ended.state(each).is_final for each in (early, late)] == [True, False]
    before, files = ended.state(early), artifacts(ended, ARTIFACTS[early])
    now, interval = datetime.now(UTC), ended.settings.refresh_min_interval
    claim = ended.registry.claims.create(ended.experiment().id, late, ClaimSource.SCHEDULE, now, interval)
    again = refresh(ended, batched=batched)
    assert again.success
    assert ended.state(early) == before
    assert artifacts(ended, files) == files
    assert ended.state(late).is_final
    assert PAYLOAD[late] in materialised(again)
    assert PAYLOAD[early] not in materialised(again)
    assert observed(again) == OBSERVED[early]
    with reading(ended.registry.engine) as connection:
        outcome = connection.scalar(select(tables.claims.c.outcome).where(tables.claims.c.id == claim.id))
    assert outcome == ClaimOutcome.PUBLISHED
    assert ended.registry.claims.list_waiting() == []
