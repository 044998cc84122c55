"""`deploy/dagster-postgres.yaml` as its header says: a whole installation with Dagster's storage in PostgreSQL."""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from sqlalchemy import create_engine, make_url, text

from tests.assets.conftest import crowd
from tests.e2e.conftest import System, eventually, started_system
from tests.e2e.test_lifecycle import EXPERIMENT, happening_now, land, results

pytestmark = pytest.mark.e2e
DEPLOYED = Path(__file__).parents[2] / "deploy" / "dagster-postgres.yaml"
RUNS = "query { runsOrError { ... on Runs { results { runId jobName status } } } }"


@pytest.fixture
def system(tmp_path: Path, postgres_url: str) -> Iterator[System]:
    server, database = make_url(postgres_url), f"dagster_{uuid4().hex}"
    engine = create_engine(server.set(drivername="postgresql+psycopg"), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {database}"))
    home = tmp_path / "dagster"
    home.mkdir()
    shutil.copy(DEPLOYED, home / "dagster.yaml")
    url = server.set(drivername="postgresql", database=database).render_as_string(hide_password=False)
    try:
        with started_system(tmp_path, DAGSTER_POSTGRES_URL=url) as started:
            yield started
    finally:
        with engine.connect() as connection:
            connection.execute(text(f"DROP DATABASE {database} WITH (FORCE)"))
        engine.dispose()


def refreshed(system: System) -> bool:
    """Whether `refresh --force` went through; False while a run that a sensor requested holds the experiment."""
    command = [sys.executable, "-m", "experiment_pipeline", "refresh", "checkout", "--force"]
    ended = subprocess.run(command, env=system.environment, capture_output=True, text=True, check=False)
    if "holds experiment" in ended.stderr:
        return False
    assert ended.returncode == 0, ended.stderr
    return True


def test_installation__with_dagster_on_postgresql__ingests_and_refreshes(system: System) -> None:
    assert system.ask("POST", "/experiments/", json=EXPERIMENT).status_code == 201
    assert system.ask("POST", "/experiments/checkout/start/").status_code == 200
    land(system, "first", happening_now(crowd(60, 60)))
    eventually(lambda: system.registry.batches.lake_version().data_version == 1, "the sensor ingests what landed")

    eventually(lambda: refreshed(system), "no run of the sensor holds the experiment, and the command refreshes it")
    assert (found := results(system)) is not None
    assert found["payload"]
    runs = system.graphql(RUNS)["runsOrError"]["results"]
    jobs = {run["jobName"] for run in runs if run["status"] == "SUCCESS"}
    assert {"ingest_events", "refresh_experiment"} <= jobs, "runs of the daemon and of the command line, on one page"

    partition_key = system.registry.experiments.find("prod", "checkout").partition_key
    everything = ("first_exposures", "exposure_buckets", "exposures", "variant_aggregates", "srm", "bayesian_results",
                  "experiment_results")  # fmt: skip
    assert system.ended(system.launch(partition_key, *everything)) == "SUCCESS"
