"""Transient errors are tried again within a run, and nothing else is (rules R3, R5, R7)."""

import errno
import sqlite3
import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import duckdb
import psycopg
import pytest
from dagster._core.errors import DagsterExecutionInterruptedError
from sqlalchemy import exc

from experiment_pipeline.domain.refresh import Claim, Computation
from experiment_pipeline.errors import ArtifactMissing, Conflict, Final, RegistryBusy, SourceUnreachable
from experiment_pipeline.lake.compaction import compact
from experiment_pipeline.registry import wait_limits
from experiment_pipeline.resources import retries
from experiment_pipeline.resources.dagster_instance import QUIET
from experiment_pipeline.resources.retries import is_transient
from experiment_pipeline.resources.warehouse import LakeResource
from experiment_pipeline.warehouse.duckdb import event_scan, shared_scan
from experiment_pipeline.warehouse.duckdb.arrow_columns import Batches, batches
from tests.assets.conftest import Installation, copied, crowd, declared, purchase
from tests.assets.faults import Faults, bug, vacuumed, with_faults

FIRST, BUCKETS, IDENTITIES = "write_first_exposures", "exposure_buckets", "variant_identities"


def sqlite_error(code: int) -> exc.DBAPIError:
    error = sqlite3.OperationalError("of SQLite")
    error.sqlite_errorcode = code
    return exc.OperationalError("select", {}, error)


def postgres_error(sqlstate: str | None) -> exc.DBAPIError:
    error = psycopg.OperationalError("of PostgreSQL")
    error.sqlstate = sqlstate
    return exc.OperationalError("select", {}, error)


@pytest.mark.parametrize(
    "error",
    [
        vacuumed(),
        duckdb.HTTPException("of object storage"),
        FileNotFoundError(errno.ENOENT, "vacuumed"),
        OSError("of object storage, through deltalake"),
        OSError(errno.EIO, "a network share"),
        ConnectionResetError(errno.ECONNRESET, "a peer"),
        TimeoutError("a peer"),
        sqlite_error(sqlite3.SQLITE_BUSY),
        sqlite_error(sqlite3.SQLITE_BUSY_SNAPSHOT),
        postgres_error(None),
        postgres_error("57P01"),  # an administrator restarts the server
        postgres_error("40P01"),  # deadlock
        postgres_error("53300"),  # too many connections
        postgres_error("57014"),  # statement timeout: another transaction has a lock, or the server is overloaded
        RegistryBusy("the same, from a store"),
        SourceUnreachable("a database that rows are pulled from"),
        exc.DBAPIError("select", {}, Exception(), connection_invalidated=True),
        exc.TimeoutError("of the pool"),
    ],
)
def test_is_transient__what_a_moment_may_mend(error: Exception) -> None:
    assert is_transient(error)


@pytest.mark.parametrize(
    "error",
    [
        bug(),
        duckdb.OutOfMemoryException("it needs as much the next time"),
        duckdb.InvalidInputException("torn"),
        duckdb.BinderException("no such column"),
        PermissionError(errno.EACCES, "not ours"),
        IsADirectoryError(errno.EISDIR, "a folder"),
        OSError(errno.ENOSPC, "full"),
        sqlite_error(sqlite3.SQLITE_ERROR),  # no such table
        sqlite_error(sqlite3.SQLITE_CORRUPT),
        postgres_error("28P01"),  # wrong password
        exc.IntegrityError("insert", {}, psycopg.IntegrityError("twice")),
        Final("final"),
        Conflict("taken"),
        ArtifactMissing("not there"),
    ],
)
def test_is_transient__bugs_bad_data_and_refusals__are_not(error: Exception) -> None:
    assert not is_transient(error)


@pytest.fixture(scope="module")
def ingested(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that every test's installation is copied from."""
    folder = tmp_path_factory.mktemp("ingested")
    with declared(folder) as made:
        made.land("first", crowd(100, 100) + crowd(100, 100, feature="banner"))
        made.ingest()
    return folder


@pytest.fixture
def installation(tmp_path: Path, ingested: Path) -> Iterator[Installation]:
    """Two experiments with a small crowd each."""
    with copied(ingested, tmp_path) as copy:
        yield copy


@pytest.fixture
def faults(installation: Installation, monkeypatch: pytest.MonkeyPatch) -> Faults:
    """A failing engine over a small crowd, and a policy without waiting."""
    monkeypatch.setattr(retries, "POLICY", retries.POLICY._replace(delay=0, backoff=None, jitter=None))
    return with_faults(installation)


def refresh(installation: Installation, *, batched: bool) -> dg.ExecuteInProcessResult:
    """One experiment by the asset graph, or both by the batched job."""
    instance, checkout = installation.instance, installation.partition()
    if not batched:
        job = installation.definitions.resolve_job_def("refresh_experiment")
        return job.execute_in_process(instance=instance, partition_key=checkout, run_config=QUIET, raise_on_error=False)
    config = {"ops": {"refresh_several": {"config": {"partition_keys": [checkout, installation.partition("banner")]}}}}
    job = installation.definitions.resolve_job_def("refresh_experiments")
    return job.execute_in_process(instance=instance, run_config=config | QUIET, raise_on_error=False)


BOTH_WAYS = pytest.mark.parametrize(
    "batched", [pytest.param(False, id="graph", marks=pytest.mark.slow), pytest.param(True, id="batched")]
)


@BOTH_WAYS
@pytest.mark.parametrize(
    "method",
    [
        FIRST,
        pytest.param(BUCKETS, marks=pytest.mark.slow),
        pytest.param(IDENTITIES, marks=pytest.mark.slow),
        "variant_aggregates",
    ],
)
def test_transient_error__that_passes__leaves_no_failure(
    installation: Installation, faults: Faults, method: str, batched: bool
) -> None:
    checkout = installation.partition()
    faults.add(method, checkout, vacuumed, vacuumed)
    assert refresh(installation, batched=batched).success
    assert faults.calls.count((method, checkout)) == 3
    exposures, results = (installation.state(computation) for computation in Computation)
    assert exposures.payload is not None
    assert results.payload is not None
    assert (exposures.as_of, exposures.data_version) == (results.as_of, results.data_version)
    for state in (exposures, results):
        assert (state.last_error_at, state.failures) == (None, 0)
    assert installation.registry.claims.list_waiting() == []


@BOTH_WAYS
def test_files__that_a_vacuum_removes_while_they_are_read__are_listed_and_read_anew(
    installation: Installation, faults: Faults, monkeypatch: pytest.MonkeyPatch, batched: bool
) -> None:
    installation.land("second", [purchase("control-0", 1), purchase("b-0", 1)])
    installation.ingest()
    lake = (installation.definitions.resources or {})["lake"]
    assert isinstance(lake, LakeResource)
    failed: list[Exception] = []

    def vacuum_and_read(rows: duckdb.DuckDBPyRelation) -> Batches:
        if "at_us" in rows.columns and not failed:  # events, whose files are listed and not yet read
            assert compact(lake.open(), datetime.now(UTC))
            assert len(lake.open().vacuum(timedelta(0))) == 2
        try:
            yield from batches(rows)
        except Exception as error:
            failed.append(error)
            raise

    for module in (event_scan, shared_scan):
        monkeypatch.setattr(module, "batches", vacuum_and_read)
    assert refresh(installation, batched=batched).success
    assert [type(error) for error in failed] == [duckdb.IOException]
    calls = 1 if batched else 2  # a shared scan that fails is followed by one of each experiment alone
    assert faults.calls.count(("variant_aggregates", installation.partition())) == calls
    assert [installation.state(computation).failures for computation in Computation] == [0, 0]
    payload = installation.state().payload
    assert payload is not None
    assert payload["metrics"][1]["variants"]["b"]["sum"] == pytest.approx(501)


@BOTH_WAYS
def test_transient_error__that_stays__is_one_failure_of_the_last_attempt(
    installation: Installation, faults: Faults, batched: bool
) -> None:
    checkout = installation.partition()
    faults.add(FIRST, checkout, *[vacuumed] * 9)
    result = refresh(installation, batched=batched)
    assert not result.success
    assert faults.calls.count((FIRST, checkout)) == 3
    assert [installation.state(computation).failures for computation in Computation] == [1, 1]
    assert installation.registry.claims.list_waiting() == []
    assert batched == (installation.state(key="banner").payload is not None)


@BOTH_WAYS
def test_bug__is_not_tried_again_and_is_one_failure(installation: Installation, faults: Faults, batched: bool) -> None:
    checkout = installation.partition()
    faults.add(FIRST, checkout, bug)
    assert not refresh(installation, batched=batched).success
    assert faults.calls.count((FIRST, checkout)) == 1
    assert installation.state().failures == 1


@BOTH_WAYS
def test_refusal__is_not_tried_again(installation: Installation, faults: Faults, batched: bool) -> None:
    now = datetime.now(UTC)
    experiment = installation.experiment()
    installation.registry.runs.open(experiment.id, "another", now, installation.settings.lease_duration)
    result = refresh(installation, batched=batched)
    assert not [event for event in result.all_events if event.is_step_up_for_retry]
    assert installation.state().failures == 0
    assert (FIRST, experiment.partition_key) not in faults.calls


def test_cancelled_run__is_not_tried_again(installation: Installation, faults: Faults) -> None:
    checkout = installation.partition()
    faults.add(FIRST, checkout, DagsterExecutionInterruptedError)
    with suppress(DagsterExecutionInterruptedError):
        assert not refresh(installation, batched=False).success
    assert faults.calls.count((FIRST, checkout)) == 1
    assert installation.state().payload is None


def test_retry__of_a_step__keeps_lease_as_of_and_data_version(installation: Installation, faults: Faults) -> None:
    checkout = installation.partition()
    seen: list[list[Claim]] = []

    def look_and_fail() -> Exception:
        installation.land(f"later-{len(seen)}", crowd(1, 1))
        seen.append(installation.registry.claims.list_waiting())
        installation.ingest()
        return vacuumed()

    faults.add(FIRST, checkout, look_and_fail, look_and_fail)
    result = refresh(installation, batched=False)
    assert result.success
    assert [event.step_key for event in result.all_events if event.is_step_up_for_retry] == ["first_exposures"] * 2
    assert seen[0] == seen[1]
    assert {claim.served_by for claim in seen[0]} == {result.run_id}
    assert installation.state().data_version == 1


@BOTH_WAYS
def test_exposures_that_fail__do_not_stop_results(installation: Installation, faults: Faults, batched: bool) -> None:
    faults.add(BUCKETS, installation.partition(), bug)
    assert not refresh(installation, batched=batched).success
    exposures, results = (installation.state(computation) for computation in Computation)
    assert (exposures.failures, exposures.payload) == (1, None)
    assert results.failures == 0
    assert results.payload is not None


def test_batched_run__experiment_that_failed__is_let_go_before_the_next_one(
    installation: Installation, faults: Faults
) -> None:
    free: list[bool] = []

    def look() -> Exception:
        now, duration = datetime.now(UTC), installation.settings.lease_duration
        free.append(bool(installation.registry.runs.open(installation.experiment().id, "another", now, duration)))
        return bug()

    faults.add(FIRST, installation.partition(), bug)
    faults.add(FIRST, installation.partition("banner"), look)
    refresh(installation, batched=True)
    assert free == [True]


@BOTH_WAYS
def test_registry_that_cannot_be_written__while_a_failure_is_recorded__hides_no_error_and_is_made_up_for(
    installation: Installation, faults: Faults, monkeypatch: pytest.MonkeyPatch, batched: bool
) -> None:
    monkeypatch.setattr(wait_limits, "BUSY_SECONDS", 0)
    path = installation.settings.data_dir / "registry.sqlite"
    writer = sqlite3.connect(path, isolation_level=None, check_same_thread=False)

    def lock_and_fail() -> Exception:
        writer.execute("begin immediate")
        return bug()

    faults.add(FIRST, installation.partition(), lock_and_fail)
    result = refresh(installation, batched=batched)
    assert batched or "a bug" in str([event.event_specific_data for event in result.all_events if event.is_failure])
    writer.rollback()
    writer.close()
    assert installation.state().failures == 0
    undone = installation.registry.runs.close_dead_run(result.run_id, None, datetime.now(UTC))
    assert {experiment_id for experiment_id, _ in undone} == {installation.experiment().id}
    assert installation.state().failures == 1


def test_record_failure__called_again_for_want_of_an_answer__counts_once(installation: Installation) -> None:
    experiment, now = installation.experiment(), datetime.now(UTC)
    for _ in range(2):
        installation.registry.computations.record_failure(experiment.id, Computation.RESULTS, now, "run")
    assert installation.state().failures == 1


def test_retry_transient__gives_up_after_the_policy_and_waits_in_between(monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[float] = []
    monkeypatch.setattr(time, "sleep", waited.append)
    calls: list[Any] = []

    def attempt() -> None:
        calls.append(1)
        raise vacuumed()

    with pytest.raises(duckdb.IOException):
        retries.retry_transient(attempt)
    assert len(calls) == 1 + retries.POLICY.max_retries
    assert 0 <= waited[0] <= 2 <= waited[1] <= 4
