"""First exposures that break their contract are not stored, nothing is published from them, and their check says so.

The real engine computes them; a test changes the statement that it runs, as a mistake in it would.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from experiment_pipeline.domain.refresh import Computation
from experiment_pipeline.resources.dagster_instance import newest_evaluation
from experiment_pipeline.warehouse.duckdb import exposures_refresh
from experiment_pipeline.warehouse.duckdb.first_exposures import first_exposures_statement
from tests.assets.conftest import Installation, copied, crowd, declared
from tests.assets.test_health_checks import refresh_batched

CHECK = dg.AssetCheckKey(dg.AssetKey("first_exposures"), "exposure_contract_kept")
EXPOSED, SELECTED = "from first_exposure\n", "select first_exposure.*"
TWICE = "from (from first_exposure union all from first_exposure) as first_exposure\n"
MISTAKES = {
    "10 rows of an identity that comes twice": (EXPOSED, TWICE),
    "5 rows without identity, time, variant": (SELECTED, f"{SELECTED} replace (nullif(variant, 'b') as variant)"),
    "10 rows exposed outside the window": (
        SELECTED,
        f"{SELECTED} replace (first_exposed_at_ms - 86400000 as first_exposed_at_ms)",
    ),
}
Refresh = Callable[[Installation], dg.ExecuteInProcessResult]


def by_assets(installation: Installation) -> dg.ExecuteInProcessResult:
    job = installation.definitions.resolve_job_def("refresh_experiment")
    return job.execute_in_process(
        instance=installation.instance, partition_key=installation.partition(), raise_on_error=False
    )


def batched(installation: Installation) -> dg.ExecuteInProcessResult:
    return refresh_batched(installation, "checkout")


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("refreshed")
    with declared(folder) as made:
        made.land("first", crowd(5, 5))
        made.ingest()
        assert by_assets(made).success
    return folder


@pytest.fixture
def refreshed(tmp_path: Path, prepared: Path) -> Iterator[Installation]:
    """One experiment whose results are published."""
    with copied(prepared, tmp_path) as copy:
        yield copy


def mistaken(monkeypatch: pytest.MonkeyPatch, right: str, wrong: str) -> None:
    def statement(*arguments: Any) -> tuple[str, dict[str, Any]]:
        sql, parameters = first_exposures_statement(*arguments)
        assert right in sql
        return sql.replace(right, wrong), parameters

    monkeypatch.setattr(exposures_refresh, "first_exposures_statement", statement)


def materialised(result: dg.ExecuteInProcessResult) -> set[str]:
    return {str(event.asset_key) for event in result.all_events if event.is_step_materialization}


@pytest.mark.parametrize(
    ("refresh", "told"),
    [(by_assets, told) for told in MISTAKES] + [(batched, next(iter(MISTAKES)))],
    ids=["twice", "incomplete", "outside", "batched"],
)
def test_refresh__whose_first_exposures_break_their_contract__publishes_nothing_and_the_check_says_it__x5_r3(
    refreshed: Installation, monkeypatch: pytest.MonkeyPatch, refresh: Refresh, told: str
) -> None:
    good = {each: refreshed.state(each) for each in Computation}
    stored = refreshed.settings.artifacts_dir / "first_exposures" / f"{refreshed.partition()}.parquet"
    artifact = stored.read_bytes()
    mistaken(monkeypatch, *MISTAKES[told])
    result = refresh(refreshed)
    assert not result.success
    assert materialised(result) == set()
    assert stored.read_bytes() == artifact
    for each, before in good.items():
        state = refreshed.state(each)
        assert (state.payload, state.as_of) == (before.payload, before.as_of)
        assert state.last_error_at is not None
    outcome = newest_evaluation(refreshed.instance, CHECK, refreshed.partition())
    assert outcome is not None
    assert (outcome.passed, outcome.blocking, outcome.severity) == (False, True, dg.AssetCheckSeverity.ERROR)
    assert told in (outcome.description or "")


def test_refresh__after_one_that_broke_the_contract__publishes_and_the_check_passes(
    refreshed: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        mistaken(patched, EXPOSED, TWICE)
        assert not by_assets(refreshed).success
    assert by_assets(refreshed).success
    outcome = newest_evaluation(refreshed.instance, CHECK, refreshed.partition())
    assert outcome is not None
    assert outcome.passed
    assert refreshed.state().last_error_at is None
