"""A run that was killed between its two publications: the other computation is finished, however it is asked for.

What is shown together is of one as-of and one data version before and after (rules R5, R6, R8).
"""

import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from click.testing import CliRunner, Result
from fastapi.testclient import TestClient

from experiment_pipeline.api.app import create_app
from experiment_pipeline.automation.dispatch import due_runs, run_of_one
from experiment_pipeline.cli.main import main
from experiment_pipeline.definitions import build
from experiment_pipeline.domain.api_keys import Scope
from experiment_pipeline.domain.dispatch import DispatchLimits
from experiment_pipeline.domain.experiments import ExperimentStatus
from experiment_pipeline.domain.refresh import Computation
from experiment_pipeline.registry.registry import Registry
from experiment_pipeline.resources.dagster_instance import RUN_KEY_TAG, open_instance
from experiment_pipeline.schemas.manifests import parse_manifest
from experiment_pipeline.settings import PREFIX, read_settings
from tests.assets.conftest import MANIFEST, Installation, crowd
from tests.automation.ticks import partitions_of, requests, runs

ROOT = Path(__file__).parents[2]
SETTINGS = {"FINALITY_GRACE": "0", "LANDING_OBJECT_AGE": "0", "LEASE_DURATION": "0.01", "REFRESH_MIN_INTERVAL": "0"}
pytestmark = pytest.mark.slow


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No grace, no throttle, and leases of dead runs that end at once; for this process and those that it starts."""
    for name, value in SETTINGS.items():
        monkeypatch.setenv(f"{PREFIX}{name}", value)


@pytest.fixture
def here(environment: None, tmp_path: Path) -> Iterator[Installation]:  # noqa: ARG001
    """Two experiments, refreshed once while they ran; then `checkout` ended, and all that had landed is in the lake."""
    settings = read_settings(tmp_path)
    registry = Registry.open(settings.database_url)
    registry.manifests.apply(parse_manifest(MANIFEST), actor="test", now=datetime.now(UTC))
    with open_instance(settings.dagster_home) as instance:
        opened = Installation(settings, registry, build(settings), instance)
        opened.land("first", crowd(100, 100))
        opened.ingest()
        opened.refresh()
        opened.land("second", crowd(150, 150))
        opened.ingest()
        registry.experiments.transition(
            opened.experiment().id, ExperimentStatus.COMPLETED, actor="test", now=datetime.now(UTC)
        )
        opened.ingest()
        yield opened
    registry.close()


def end_between(here: Installation, how: signal.Signals, *command: str) -> int:
    """Run a command that ends once it has published one computation, and return how it ended."""
    arguments = [how.name, "--data-dir", str(here.settings.data_dir), *command]
    return subprocess.run(
        [sys.executable, "-m", "tests.recovery.killed_publication", *arguments],
        cwd=ROOT, check=False, capture_output=True, timeout=600,
    ).returncode  # fmt: skip


def command(here: Installation, *arguments: str) -> Result:
    done = CliRunner().invoke(main, ["--data-dir", str(here.settings.data_dir), *arguments])
    assert done.exit_code == 0, done.output
    return done


def shown(here: Installation) -> tuple[int, int, str, str]:
    """Identities of both payloads as `results --json` shows them, and what each is as of."""
    both: dict[str, Any] = json.loads(command(here, "results", "checkout", "--json").stdout)
    points = both["exposures"]["payload"]["timeseries"]["points"]
    exposed = sum(sum(point["new_identities"].values()) for point in points)
    split = sum(both["results"]["payload"]["srm"]["identities"].values())
    return exposed, split, both["exposures"]["as_of"], both["results"]["as_of"]


def execute(here: Installation, requested: dg.RunRequest) -> None:
    """Execute a run that a sensor requested, as the daemon's process does."""
    job = here.definitions.resolve_job_def(requested.job_name or "refresh_experiment")
    tags = {**requested.tags, RUN_KEY_TAG: requested.run_key or ""}
    config = requested.run_config or None
    done = job.execute_in_process(
        instance=here.instance, partition_key=requested.partition_key, tags=tags, run_config=config
    )
    assert done.success


def by_command(here: Installation) -> None:
    assert "300 identities exposed" in command(here, "refresh", "checkout").stdout


def by_schedule(here: Installation) -> None:
    requests(here)  # finds that the run is dead, which is a failure: the next automatic one waits for the back-off
    later = datetime.now(UTC) + timedelta(hours=1)
    planned = due_runs(runs(here), here.instance, later, DispatchLimits(experiments=1))
    (run,) = (each for each in planned if each.partition_keys == (here.partition(),))
    execute(here, run_of_one(run))


def by_api(here: Installation) -> None:
    token = here.registry.keys.create("prod", Scope.REFRESH, "test", actor="test", now=datetime.now(UTC))[1]
    with TestClient(create_app(here.registry, here.settings)) as client:
        path = "/api/v1/environments/prod/experiments/checkout/results/refresh/"
        asked = client.post(path, headers={"Authorization": f"Api-Key {token}"})
    assert asked.status_code == 202, asked.text
    (requested,) = (each for each in requests(here) if here.partition() in partitions_of(each))
    execute(here, requested)


def by_page(here: Installation) -> None:
    assert here.refresh().success


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
@pytest.mark.parametrize("go_on", [by_command, by_schedule, by_api, by_page])
def test_refresh__ended_between_both_publications__is_finished_on_the_same_data(
    here: Installation, how: signal.Signals, go_on: Callable[[Installation], None]
) -> None:
    before = shown(here)
    assert before[:2] == (200, 200)
    assert end_between(here, how, "refresh", "checkout") != 0
    assert [here.state(each).is_final for each in Computation] == [True, False]
    assert shown(here) == before, "both as of the run before"
    assert "Newer exposures are published without results" in command(here, "results", "checkout").stdout
    final = here.state(Computation.EXPOSURES)
    here.land("late", crowd(200, 200))  # of the same window, and landed after the grace
    here.ingest()
    go_on(here)
    assert here.state(Computation.EXPOSURES) == final
    results = here.state(Computation.RESULTS)
    assert (results.is_final, results.as_of, results.data_version) == (True, final.as_of, final.data_version)
    exposed, split, *_ = shown(here)
    assert (exposed, split) == (300, 300)
    assert "Newer" not in command(here, "results", "checkout").stdout
    assert here.registry.claims.list_waiting(here.experiment().id) == []


def test_refresh__of_which_only_the_exposures_are_not_final__is_asked_for_and_done(here: Installation) -> None:
    here.materialise("first_exposures", "variant_aggregates", "srm", "bayesian_results", "experiment_results")
    assert [here.state(each).is_final for each in Computation] == [False, True]
    by_command(here)
    assert [here.state(each).is_final for each in Computation] == [True, True]


def test_demo__ended_between_both_publications__goes_on(here: Installation, tmp_path: Path) -> None:
    here.settings = read_settings(tmp_path / "demo")
    assert end_between(here, signal.SIGKILL, "demo") == -signal.SIGKILL
    told = command(here, "demo").stdout
    assert (told.count("\nsplit "), told.count(", final")) == (5, 4), "one of the five still runs"
    assert "Newer" not in told
