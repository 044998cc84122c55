"""A whole installation in a folder, driven by its real commands, and what it has to hold once a fault is over."""

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx

from experiment_pipeline.domain.refresh import Computation
from experiment_pipeline.lake.lake import Lake
from experiment_pipeline.registry.registry import Registry
from experiment_pipeline.resources.dagster_instance import LOCATION, open_instance
from experiment_pipeline.schemas.manifests import parse_manifest
from experiment_pipeline.settings import PREFIX, Settings
from tests.e2e.conftest import eventually, free_port
from tests.lake.ledger import stored

STARTED_AT, HOUR = datetime(2026, 3, 1, tzinfo=UTC), timedelta(hours=1)
LONG_AGO = datetime(2025, 1, 1, tzinfo=UTC)  # in the future of no clock that is set here
EXPERIMENT = "checkout"
MANIFEST = """
environments: {prod: {}}
metrics:
  bought: {aggregation: occurrence, definition: {version: 1, event: purchase}}
  spent: {aggregation: sum, definition: {version: 1, event: purchase}}
experiments:
  checkout:
    hypothesis: It sells more.
    feature: checkout
    status: completed
    started_at: 2026-03-01T00:00:00Z
    ended_at: 2026-03-08T00:00:00Z
    variants: [{key: b, percentage_allocation: 50}]
    metrics:
      - {metric: bought, expected_direction: increase}
      - {metric: spent, expected_direction: increase}
"""
PER_ARM = 60  # identities of one crowd


@dataclass(frozen=True)
class Outcome:
    """How a command ended, and what it said."""

    code: int
    said: str

    @property
    def worked(self) -> bool:
        return self.code == 0

    def require_told(self, *reasons: str) -> None:
        """Assert that it failed with one line, which names one of these reasons, and no traceback."""
        assert self.code == 1, self.said
        assert "Traceback" not in self.said, self.said
        last = self.said.strip().splitlines()[-1]
        assert last.startswith("Error: "), self.said
        assert any(reason in last for reason in reasons), self.said


@dataclass
class Site:
    """One installation. Every store has a folder of its own below `root`, so that each can have a fault of its own."""

    root: Path
    wrap: Callable[[list[str]], list[str]] = lambda command: command
    environment: dict[str, str] = field(default_factory=dict)
    sent: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.settings = Settings(data_dir=self.root)
        with self.registry() as registry:
            registry.manifests.apply(parse_manifest(MANIFEST), actor="test", now=datetime.now(UTC))

    @contextmanager
    def registry(self) -> Iterator[Registry]:
        opened = Registry.open(f"sqlite:///{self.registry_dir / 'registry.sqlite'}")
        try:
            yield opened
        finally:
            opened.close()

    @property
    def registry_dir(self) -> Path:
        return self.root / "registry"

    @property
    def variables(self) -> dict[str, str]:
        """The environment of every process."""
        return {
            **os.environ,
            f"{PREFIX}DATA_DIR": str(self.root),
            f"{PREFIX}REGISTRY_URL": f"sqlite:///{self.registry_dir / 'registry.sqlite'}",
            f"{PREFIX}REFRESH_MIN_INTERVAL": "0",
            f"{PREFIX}FINALITY_GRACE": "P100000D",  # nothing becomes final meanwhile
            f"{PREFIX}INGESTION_INTERVAL": "0",
            f"{PREFIX}LANDING_OBJECT_AGE": "0",
            f"{PREFIX}DUCKDB_THREADS": "1",
            "DAGSTER_DISABLE_TELEMETRY": "yes",
            **self.environment,
        }

    def start(self, *arguments: str, log: Path | None = None) -> "subprocess.Popen[bytes]":
        command = self.wrap([sys.executable, "-m", "experiment_pipeline", *arguments])
        with (log or Path(os.devnull)).open("ab") as out:
            return subprocess.Popen(command, env=self.variables, stdout=out, stderr=subprocess.STDOUT)

    def run(self, *arguments: str, **settings: str) -> Outcome:
        """Run one command to its end."""
        ended = subprocess.run(
            self.wrap([sys.executable, "-m", "experiment_pipeline", *arguments]),
            env=self.variables | {f"{PREFIX}{name.upper()}": value for name, value in settings.items()},
            capture_output=True,
            text=True,
            check=False,
        )
        return Outcome(ended.returncode, ended.stdout + ended.stderr)

    def land(self, name: str) -> Path:
        """Land one more object of events, as another program would: a crowd of which a half buys; return its path."""
        folder = self.settings.landing_dir / "events/env_key=prod/2026/03/01/00"
        folder.mkdir(parents=True, exist_ok=True)
        records = crowd(name)
        self.sent |= {str(record["event_id"]) for record in records}
        landed = folder / f"20260302T000000Z-{name}.jsonl"
        landed.write_text("".join(json.dumps(each) + "\n" for each in records))
        return landed

    def require_exactly_once(self) -> None:
        """Assert that the lake holds every event that was sent once, and nothing waits."""
        rows = Counter(str(row["event_id"]) for row in stored(Lake(self.settings.lake_dir)))
        assert self.sent
        assert rows == Counter(self.sent)
        with self.registry() as registry:
            assert registry.batches.open_batch() is None

    def require_results_of_what_was_sent(self) -> None:
        """Refresh, and assert that the payload is the one that another, sound installation computes."""
        refreshed = self.run("refresh", EXPERIMENT)
        assert refreshed.worked, refreshed.said
        found = self.results()
        assert found is not None
        arms = {name: sum(1 for key in self.sent if key.startswith(f"exposure-{name}-")) for name in ("control", "b")}
        bought = {name: sum(1 for key in self.sent if key.startswith(f"purchase-{name}-")) for name in arms}
        spent = {name: 10.0 * count for name, count in bought.items()}
        sums = {
            (name, aggregate["n"], aggregate["sum"])
            for metric in found["metrics"]
            for name, aggregate in metric["variants"].items()
        }
        assert sums == {(name, arms[name], float(each[name])) for name in arms for each in (bought, spent)}

    def results(self) -> Mapping[str, Any] | None:
        """Return the published payload of the experiment's results."""
        with self.registry() as registry:
            experiment = registry.experiments.find("prod", EXPERIMENT)
            return registry.computations.get(experiment.id, Computation.RESULTS).payload

    def failures(self) -> int:
        """Return how many refreshes of the experiment's results have failed since the last that worked."""
        with self.registry() as registry:
            experiment = registry.experiments.find("prod", EXPERIMENT)
            return registry.computations.get(experiment.id, Computation.RESULTS).failures

    def lake_events(self) -> int:
        """Return how many events the lake has."""
        lake = Lake(self.settings.lake_dir)
        return 0 if lake.is_empty else len(stored(lake))

    @contextmanager
    def daemon(self, log: Path | None = None) -> Iterator["subprocess.Popen[bytes]"]:
        """Dagster's daemon, as `dev` starts it; it ends with SIGINT."""
        home = self.settings.dagster_home
        with open_instance(home):
            pass
        command = [sys.executable, "-m", "dagster._daemon", "run", "-m", LOCATION, "--log-level", "warning"]
        with (log or Path(os.devnull)).open("ab") as out:
            variables = self.variables | {"DAGSTER_HOME": str(home)}
            popen = subprocess.Popen(self.wrap(command), env=variables, stdout=out, stderr=subprocess.STDOUT)
        try:
            yield popen
        finally:
            popen.send_signal(signal.SIGINT)
            popen.wait(timeout=300)

    @contextmanager
    def server(self, command: str = "collect", log: Path | None = None, ready: int = 200) -> Iterator["Server"]:
        """A collector, or the API with one, once `/readyz` answers so; it ends with SIGTERM."""
        port = free_port()
        popen = self.start(command, "--port", str(port), log=log)
        server = Server(f"http://127.0.0.1:{port}", popen, self)
        try:
            eventually(lambda: server.status("/readyz") == ready, f"{command} is up")
            yield server
        finally:
            if popen.poll() is None:
                popen.terminate()
            popen.wait(timeout=120)


@dataclass
class Server:
    """A running collector."""

    url: str
    popen: "subprocess.Popen[bytes]"
    site: Site

    def status(self, path: str) -> int | None:
        """Return the status of one request; None where there is no answer."""
        try:
            return httpx.get(f"{self.url}{path}", timeout=30).status_code
        except httpx.TransportError:
            return None

    def send(self, key: str, timestamp: datetime = LONG_AGO) -> httpx.Response:
        """Send one event; once it is accepted it has to be in the lake."""
        dated = timestamp.isoformat()
        answered = httpx.post(
            f"{self.url}/v1/events",
            json={"events": [{"event": "e", "identifier": key, "event_id": key, "timestamp": dated}]},
            headers={"X-Environment-Key": "prod"},
            timeout=30,
        )
        if answered.status_code == 202 and answered.json()["accepted"] == 1:
            self.site.sent.add(key)
        else:
            assert timestamp != LONG_AGO or answered.status_code == 503, answered.text
        return answered


def crowd(name: str) -> list[dict[str, Any]]:
    """Return the events of `PER_ARM` identities per arm, of whom a half buys for 10."""
    records: list[dict[str, Any]] = []
    for arm in ("control", "b"):
        for number in range(PER_ARM):
            identifier, at, later = f"{arm}-{name}-{number}", STARTED_AT + HOUR, STARTED_AT + 2 * HOUR
            shown = {"event": "$flag_exposure", "feature_name": EXPERIMENT, "value": arm, "timestamp": at.isoformat()}
            records.append({"event_id": f"exposure-{identifier}", "identifier": identifier, **shown})
            if number % 2:
                bought = {"event": "purchase", "value": 10, "timestamp": later.isoformat()}
                records.append({"event_id": f"purchase-{identifier}", "identifier": identifier, **bought})
    return records
