"""Machines that share an object storage and PostgreSQL alone, each with processes and a data directory of its own."""

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from experiment_pipeline.lake.lake import Lake
from experiment_pipeline.settings import PREFIX, Settings
from experiment_pipeline.storage.object_path import ObjectPath
from experiment_pipeline.storage.places import places_of
from tests.assets.conftest import crowd
from tests.conftest import MakeDatabase
from tests.e2e.conftest import System, answers, eventually, free_port, started_system
from tests.e2e.test_lifecycle import EXPERIMENT, happening_now, results, variants
from tests.lake.ledger import stored

pytestmark = pytest.mark.e2e


@contextmanager
def served(data_dir: Path) -> Iterator[str]:
    """Give the URL of an API with its collector, over a data directory of its own."""
    port = free_port()
    command = [sys.executable, "-m", "experiment_pipeline", "--data-dir", str(data_dir), "serve", "--port", str(port)]
    process = subprocess.Popen(command, env=os.environ, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        eventually(lambda: answers(f"http://127.0.0.1:{port}/readyz"), "the API answers")
        yield f"http://127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait()


def send(url: str, records: list[dict[str, Any]]) -> None:
    answer = httpx.post(f"{url}/v1/events", json={"events": records}, headers={"X-Environment-Key": "prod"}, timeout=30)
    assert answer.status_code == 202, answer.text
    assert answer.json()["accepted"] == len(records)


def refreshed(system: System, identities: int, *, batch: int) -> dict[str, Any]:
    """Ask the API for a refresh once a batch is ingested, and return the results that another machine computed."""
    eventually(lambda: system.registry.batches.lake_version().data_version == batch, f"batch {batch} is ingested")
    assert system.ask("POST", "/experiments/checkout/results/refresh/").status_code == 202

    def fresh() -> dict[str, Any] | None:
        found = results(system)
        return found if found and found["payload"] and variants(found)["b"]["n"] == identities else None

    return eventually(fresh, f"results of {identities} identities")


def test_api_and_workers_of_different_machines__refresh_an_experiment_from_its_events_to_its_results(
    tmp_path: Path, object_storage: str, make_database: MakeDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"{PREFIX}STORAGE", object_storage)
    monkeypatch.setenv(f"{PREFIX}REGISTRY_URL", make_database("machines"))
    monkeypatch.setenv(f"{PREFIX}REFRESH_MIN_INTERVAL", "0")
    monkeypatch.setenv(f"{PREFIX}INCREMENTAL_FROM", "0")
    first, second, front = (tmp_path / name for name in ("first", "second", "front"))
    first.mkdir()
    second.mkdir()
    sent = happening_now(crowd(60, 60))
    with served(front) as url:
        with started_system(first) as system:
            system.api = url
            assert system.ask("POST", "/experiments/", json=EXPERIMENT).status_code == 201
            assert system.ask("POST", "/experiments/checkout/start/").status_code == 200
            begun = happening_now(sent)
            send(url, begun)
            refreshed(system, 60, batch=1)
        more = happening_now([record | {"identifier": f"late-{record['identifier']}"} for record in sent])
        send(url, more)
        with started_system(second) as system:
            system.api = url
            last = refreshed(system, 120, batch=2)
    assert variants(last)["control"]["n"] == 120

    places = places_of(Settings(data_dir=second))
    events = stored(Lake(places.lake))
    assert Counter(row["identifier"] for row in events) == Counter(row["identifier"] for row in [*begun, *more])
    for folder in (first, second, front):
        for name in ("landing", "lake", "tables", "artifacts", "registry.sqlite", "spool"):
            assert not (folder / name).exists(), f"{folder.name} has {name}"
    assert isinstance(places.artifacts, ObjectPath)
    kinds = {str(each.path.relative_to(places.artifacts)).partition("/")[0] for each in places.artifacts.below()}
    assert {"first_exposures", "variant_aggregates"} <= kinds
    shown = subprocess.run(
        [sys.executable, "-m", "experiment_pipeline", "lake", "status", "--json", "--data-dir", str(tmp_path / "new")],
        env=os.environ, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert '"flaw": null' in shown.stdout
