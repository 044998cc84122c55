"""A registry that is locked, stopped, cut off, read-only or full, under requests of every kind to a real server."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import httpx
import pytest
from sqlalchemy import Connection, create_engine, make_url, text

from experiment_pipeline.domain.api_keys import Scope
from experiment_pipeline.lake.ingestion import ingest
from experiment_pipeline.lake.lake import Lake
from experiment_pipeline.registry.registry import Registry
from experiment_pipeline.schemas.manifests import parse_manifest
from experiment_pipeline.settings import PREFIX, Settings
from tests.cli.conftest import MANIFEST
from tests.conftest import administer
from tests.e2e.conftest import eventually, free_port
from tests.lake.ledger import stored
from tests.postgres_server import Network, PostgresServer, postgres_server, socket_of

pytestmark = pytest.mark.e2e

BASE = "/api/v1/environments/production"
END_OTHER_SESSIONS = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname <> 'postgres'"
KINDS = ("healthz", "read", "results", "rename", "refresh", "events")
ROUND = [kind for kind in KINDS for _ in range(4)] + ["rename"] * 40  # more than the server has threads for
CLIENT_TIMEOUT = 28  # seconds: less than the 30 that runs and commands wait for a lock, so that no request may
NO_LIMITS = httpx.Limits(max_connections=None, max_keepalive_connections=None)

Kind = str
Answers = Counter[tuple[Kind, int]]


@dataclass
class Served:
    """A server over a registry with an experiment, and what it has acknowledged."""

    settings: Settings
    url: str
    token: str
    log: Path
    acknowledged: set[str] = field(default_factory=set)
    client: httpx.Client = field(default_factory=lambda: httpx.Client(timeout=CLIENT_TIMEOUT, limits=NO_LIMITS))

    def ask(self, kind: Kind) -> httpx.Response:
        if kind == "events":
            return self._send()
        method, path, body = {
            "healthz": ("GET", "/healthz", None),
            "readyz": ("GET", "/readyz", None),
            "read": ("GET", f"{BASE}/experiments/", None),
            "results": ("GET", f"{BASE}/experiments/checkout/results/", None),
            "rename": ("PATCH", f"{BASE}/experiments/checkout/", {"name": uuid4().hex}),
            "refresh": ("POST", f"{BASE}/experiments/checkout/results/refresh/", None),
        }[kind]
        key = {"Authorization": f"Api-Key {self.token}"}
        return self.client.request(method, f"{self.url}{path}", json=body, headers=key)

    def _send(self) -> httpx.Response:
        event_id = uuid4().hex
        now = int(datetime.now(UTC).timestamp() * 1_000)
        event = {"event": "e", "identifier": event_id, "event_id": event_id, "timestamp": now}
        body, key = {"events": [event]}, {"X-Environment-Key": "production"}
        answer = self.client.post(f"{self.url}/v1/events", json=body, headers=key)
        if answer.status_code == 202:
            self.acknowledged.add(event_id)
        return answer

    def answers(self) -> Answers:
        """The statuses of many requests at once; every refusal says when to come again."""
        with ThreadPoolExecutor(len(ROUND)) as pool:
            answered = list(zip(ROUND, pool.map(self.ask, ROUND), strict=True))
        for kind, answer in answered:
            if answer.status_code == 503:
                assert answer.headers["content-type"] == "application/problem+json", (kind, answer.text)
                assert int(answer.headers["retry-after"]) >= 1
                assert answer.json()["status"] == 503
        return Counter((kind, answer.status_code) for kind, answer in answered)

    def statuses(self) -> dict[Kind, set[int]]:
        found: dict[Kind, set[int]] = {kind: set() for kind in KINDS}
        for kind, status in self.answers():
            found[kind].add(status)
        return found

    def works(self) -> bool:
        return {kind: self.ask(kind).status_code for kind in (*KINDS, "readyz")} == WELL

    def require_clean_log(self) -> None:
        """No line that is not JSON, no traceback, no 500."""
        text = self.log.read_text()
        lines = [json.loads(line) for line in text.splitlines()]
        assert "Traceback" not in text
        assert [line for line in lines if line.get("status") == 500] == []
        assert [line for line in lines if line["event"] == "request.failed"] == []

    def require_every_event_once(self, registry_url: str) -> None:
        """Everything that was acknowledged is in the lake exactly once; the server has ended."""
        registry = Registry.open(registry_url)
        ingest(Lake(self.settings.lake_dir), registry.batches, self.settings.landing_dir, datetime.now(UTC))
        registry.close()
        in_the_lake = Counter(row["event_id"] for row in stored(Lake(self.settings.lake_dir)))
        assert set(in_the_lake.values()) == {1}
        assert self.acknowledged <= in_the_lake.keys()
        assert len(self.acknowledged) > 4


NOBODY = "nobody"
WELL = {"healthz": 200, "read": 200, "results": 200, "rename": 200, "refresh": 202, "events": 202, "readyz": 200}
LOCKED = {"healthz": {200}, "read": {200}, "results": {200}, "rename": {503}, "refresh": {503}, "events": {202}}
AWAY = LOCKED | {"read": {503}, "results": {503}}


def prepare(url: str) -> str:
    """Declare an experiment; a key's token."""
    registry, now = Registry.open(url), datetime.now(UTC)
    registry.manifests.apply(parse_manifest(MANIFEST), actor="test", now=now)
    _, token = registry.keys.create("production", Scope.ADMIN, "t", actor="test", now=now)
    registry.close()
    return token


@contextmanager
def serving(tmp_path: Path, url: str, token: str = NOBODY) -> Iterator[Served]:
    """A server, from the first answer of `/healthz` to SIGTERM."""
    port, log = free_port(), tmp_path / "server.log"
    environment = os.environ | {
        f"{PREFIX}DATA_DIR": str(tmp_path / "data"),
        f"{PREFIX}REGISTRY_URL": url,
        f"{PREFIX}REFRESH_MIN_INTERVAL": "0",
        f"{PREFIX}HTTP_REGISTRY_WAIT": "3",  # on a busy machine a read may wait so long for a free connection
    }
    command = [sys.executable, "-m", "experiment_pipeline", "serve", "--port", str(port)]
    with log.open("wb") as stderr:
        popen = subprocess.Popen(command, env=environment, stderr=stderr, stdout=stderr)
    served = Served(Settings(data_dir=tmp_path / "data"), f"http://127.0.0.1:{port}", token, log)
    try:
        eventually(lambda: _lives(served.url), "the server answers")
        yield served
    finally:
        served.client.close()
        popen.send_signal(signal.SIGTERM)
        assert popen.wait(timeout=120) in (0, -signal.SIGTERM)
    served.require_clean_log()


def _lives(url: str) -> bool:
    try:
        return httpx.get(f"{url}/healthz").status_code == 200
    except httpx.TransportError:
        return False


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    """A PostgreSQL server that tests may stop."""
    with postgres_server() as started:
        yield started


@dataclass
class Registered:
    """A database of the test's own: its URL, directly and over a network that can be cut."""

    server: PostgresServer
    network: Network
    name: str

    @property
    def direct(self) -> str:
        return make_url(self.server.url).set(database=self.name).render_as_string(hide_password=False)

    @property
    def url(self) -> str:
        return self.network.url_of(self.name)


@pytest.fixture
def registered(server: PostgresServer) -> Iterator[Registered]:
    name = f"outage_{uuid4().hex}"
    administer(server.url, f"CREATE DATABASE {name}")
    network = Network(socket_of(server.url))
    yield Registered(server, network, name)
    network.close()
    administer(server.url, f"DROP DATABASE {name} WITH (FORCE)")


@contextmanager
def transaction(url: str) -> Iterator[Connection]:
    """A transaction of somebody else, which is rolled back."""
    engine = create_engine(make_url(url).set(drivername="postgresql+psycopg"))
    with engine.connect() as connection:
        yield connection
        connection.rollback()
    engine.dispose()


def test_sqlite__locked__reads_and_events_go_on_and_changes_are_503(tmp_path: Path) -> None:
    file = tmp_path / "registry.sqlite"
    url = f"sqlite:///{file}"
    with serving(tmp_path, url, prepare(url)) as served:
        eventually(served.works, "all is well")
        other = sqlite3.connect(file, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        for _ in range(3):
            assert served.statuses() == LOCKED
        assert served.ask("readyz").status_code == 200
        other.close()
        eventually(served.works, "it goes on")
    served.require_every_event_once(url)


@pytest.mark.parametrize("outage", ["stopped", "cut off"])
def test_postgresql__away__everything_is_503_but_health_and_events(
    tmp_path: Path, registered: Registered, outage: str
) -> None:
    begin: Callable[[], None] = registered.server.stop if outage == "stopped" else registered.network.cut
    end: Callable[[], None] = registered.server.start if outage == "stopped" else registered.network.mend
    with serving(tmp_path, registered.url, prepare(registered.direct)) as served:
        eventually(served.works, "all is well")
        begin()
        try:
            for _ in range(3):
                assert served.statuses() == AWAY
            assert served.ask("readyz").status_code == 503
        finally:
            end()
        eventually(served.works, "it goes on")
    served.require_every_event_once(registered.direct)


def test_postgresql__transaction_that_has_a_lock__keeps_out_changes_of_the_same_alone(
    tmp_path: Path, registered: Registered
) -> None:
    with serving(tmp_path, registered.url, prepare(registered.direct)) as served:
        eventually(served.works, "all is well")
        with transaction(registered.direct) as other:
            other.execute(text("UPDATE experiments SET name = 'Theirs'"))
            other.execute(text("UPDATE computations SET refresh_requested_at = NULL"))
            for _ in range(3):
                assert served.statuses() == LOCKED
        eventually(served.works, "it goes on")
        with transaction(registered.direct) as other:
            other.execute(text("LOCK TABLE experiments, api_keys, environments"))
            assert served.statuses() == AWAY
        eventually(served.works, "it goes on")
    served.require_every_event_once(registered.direct)


def test_postgresql__that_became_read_only__reads_go_on_and_changes_are_503(
    tmp_path: Path, registered: Registered
) -> None:
    with serving(tmp_path, registered.url, prepare(registered.direct)) as served:
        eventually(served.works, "all is well")
        setting = f"ALTER DATABASE {registered.name}"
        administer(registered.server.url, f"{setting} SET default_transaction_read_only = on", END_OTHER_SESSIONS)
        assert served.statuses() == LOCKED
        assert served.ask("readyz").status_code == 200
        administer(registered.server.url, f"{setting} RESET default_transaction_read_only")
        eventually(served.works, "it goes on")
    served.require_every_event_once(registered.direct)


def test_server__that_starts_while_the_registry_is_away__recovers_by_itself(
    tmp_path: Path, registered: Registered
) -> None:
    registered.server.stop()
    try:
        with serving(tmp_path, registered.url) as served:
            assert served.ask("readyz").status_code == 503
            assert served.statuses() == AWAY | {"events": {503}}
            registered.server.start()
            eventually(lambda: served.ask("readyz").status_code == 200, "it has made the schema")
            served.token = prepare(registered.direct)
            eventually(served.works, "it goes on")
    finally:
        if not socket_of(registered.server.url).exists():
            registered.server.start()
