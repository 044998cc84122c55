"""The whole installation as `experiment-pipeline dev` starts it: webserver, daemon and API, over a folder of a test."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import httpx
import pytest

from experiment_pipeline.registry.registry import Registry
from experiment_pipeline.schemas.manifests import parse_manifest
from experiment_pipeline.settings import PREFIX, Settings

T = TypeVar("T")
DEADLINE = 300  # seconds; nothing here takes a tenth of it on an idle machine
LOCATION = "experiment_pipeline.definitions"


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def eventually(ask: Callable[[], T | None], what: str, deadline: float = DEADLINE) -> T:
    """The first answer that is neither None nor False; fails with `what` when there is none in time."""
    until = time.monotonic() + deadline
    while time.monotonic() < until:
        answer = ask()
        if answer is not None and answer is not False:
            return answer
        time.sleep(0.25)
    raise AssertionError(f"not within {deadline} s: {what}")


@dataclass
class System:
    """A running installation."""

    settings: Settings
    registry: Registry
    dagster: str
    api: str
    token: str = ""
    environment: dict[str, str] = field(default_factory=dict)

    def ask(self, method: str, path: str, **arguments: Any) -> httpx.Response:
        """One request to the API, below the environment `prod`."""
        headers = {"Authorization": f"Api-Key {self.token}"}
        url = f"{self.api}/api/v1/environments/prod{path}"
        return httpx.request(method, url, headers=headers, timeout=30, **arguments)

    def graphql(self, query: str, **variables: Any) -> dict[str, Any]:
        """One query to Dagster's webserver."""
        answer = httpx.post(f"{self.dagster}/graphql", json={"query": query, "variables": variables}, timeout=30)
        answer.raise_for_status()
        data: dict[str, Any] = answer.json()["data"]
        return data

    def launch(self, partition_key: str, *assets: str) -> str:
        """Materialise assets of a partition as the UI does; the run's id."""
        selection = [{"path": [asset]} for asset in assets]
        launched = self.graphql(
            """
            mutation ($params: ExecutionParams!) {
              launchPipelineExecution(executionParams: $params) {
                __typename
                ... on LaunchRunSuccess { run { runId } }
                ... on PythonError { message }
              }
            }
            """,
            params={
                "selector": {
                    "repositoryLocationName": LOCATION,
                    "repositoryName": "__repository__",
                    "pipelineName": "__ASSET_JOB",
                    "assetSelection": selection,
                },
                "mode": "default",
                "executionMetadata": {"tags": [{"key": "dagster/partition", "value": partition_key}]},
            },
        )["launchPipelineExecution"]
        assert launched["__typename"] == "LaunchRunSuccess", launched
        return str(launched["run"]["runId"])

    def status(self, run_id: str) -> str:
        """Return the status of a Dagster run."""
        run = self.graphql("query ($id: ID!) { runOrError(runId: $id) { ... on Run { status } } }", id=run_id)
        return str(run["runOrError"]["status"])

    def ended(self, run_id: str) -> str:
        """How a Dagster run ended, once it has."""
        done = {"SUCCESS", "FAILURE", "CANCELED"}
        return eventually(lambda: status if (status := self.status(run_id)) in done else None, f"run {run_id} ends")


MANIFEST = """
environments: {prod: {}}
metrics:
  bought: {aggregation: occurrence, definition: {version: 1, event: purchase}}
"""


@pytest.fixture
def system(tmp_path: Path) -> Iterator[System]:
    """Started and ready; a finality grace of nothing, no pause between ingestions."""
    with started_system(tmp_path) as started:
        yield started


@contextmanager
def started_system(data_dir: Path, **variables: str) -> Iterator[System]:
    """An installation in a folder, started with these environment variables too, until the block ends."""
    environment = os.environ | {
        f"{PREFIX}DATA_DIR": str(data_dir),
        f"{PREFIX}FINALITY_GRACE": "0",
        f"{PREFIX}INGESTION_INTERVAL": "0",
        "DAGSTER_DISABLE_TELEMETRY": "yes",
        **variables,
    }
    settings = Settings(data_dir=data_dir)
    registry = Registry.open(settings.database_url)
    registry.manifests.apply(parse_manifest(MANIFEST), actor="test", now=datetime.now(UTC))
    token = subprocess.run(
        [sys.executable, "-m", "experiment_pipeline", "keys", "create", "--environment", "prod", "--scope", "admin"],
        env=environment, capture_output=True, text=True, check=True,
    ).stdout.split()[-1]  # fmt: skip
    port, api_port = free_port(), free_port()
    command = [sys.executable, "-m", "experiment_pipeline", "dev", "--port", str(port), "--api-port", str(api_port)]
    log = (data_dir / "dev.log").open("wb")
    process = subprocess.Popen(command, env=environment, stdout=log, stderr=subprocess.STDOUT)
    started = System(settings, registry, f"http://127.0.0.1:{port}", f"http://127.0.0.1:{api_port}", token, environment)
    try:
        for url in (f"{started.dagster}/server_info", f"{started.api}/readyz"):
            eventually(lambda url=url: answers(url), f"{url} answers")  # type: ignore[misc]
        yield started
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(timeout=60)
        log.close()
        registry.close()
        if os.environ.get("SHOW_DEV_LOG"):
            print((data_dir / "dev.log").read_text()[-20_000:])


def answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=5).status_code == 200
    except httpx.TransportError:
        return False
