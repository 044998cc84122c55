"""The event collector as a process: the official SDK, kills under load, and bodies made to exhaust it."""

import gzip
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
from flagsmith.analytics import EventProcessor, EventProcessorConfig

from experiment_pipeline.lake.ingestion import ingest
from experiment_pipeline.lake.lake import Lake
from experiment_pipeline.landing.json_lines import LineReader
from experiment_pipeline.landing.landing_zone import landed_objects
from experiment_pipeline.settings import PREFIX, Settings
from tests.assets.conftest import Installation, installation  # noqa: F401 - a fixture
from tests.e2e.conftest import eventually, free_port
from tests.lake.ledger import stored

KILLS = 20
SENDERS = 4
BATCH = 20
MIB = 1 << 20


@dataclass
class Process:
    """`experiment-pipeline collect` over a data directory."""

    url: str
    popen: "subprocess.Popen[bytes]"

    def rss(self) -> int:
        """Bytes of memory that the process holds."""
        pages = int(Path(f"/proc/{self.popen.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")

    def send(self, content: bytes, **headers: str) -> httpx.Response:
        named = {"X-Environment-Key": "prod", "Content-Type": "application/json"} | headers
        return httpx.post(f"{self.url}/v1/events", content=content, headers=named, timeout=60)

    def get(self, path: str) -> httpx.Response:
        return httpx.get(f"{self.url}{path}", timeout=60)


@contextmanager
def collector(data_dir: Path, **settings: str) -> Iterator[Process]:
    port = free_port()
    command = [sys.executable, "-m", "experiment_pipeline", "collect", "--port", str(port)]
    environment = os.environ | {f"{PREFIX}DATA_DIR": str(data_dir)} | settings
    started = Process(f"http://127.0.0.1:{port}", subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL))
    try:
        eventually(lambda: _is_ready(started.url), "the collector is ready")
        yield started
    finally:
        if started.popen.poll() is None:
            started.popen.send_signal(signal.SIGTERM)
        started.popen.wait(timeout=30)


def _is_ready(url: str) -> bool:
    try:
        return httpx.get(f"{url}/readyz").status_code == 200
    except httpx.TransportError:
        return False


@pytest.mark.e2e
def test_flagsmith_sdk__its_events__come_out_in_the_results(installation: Installation) -> None:  # noqa: F811
    with collector(installation.settings.data_dir) as server:
        sdk = EventProcessor(EventProcessorConfig(events_api_url=server.url, max_buffer_items=100), "prod")
        for arm, size, buyers in (("control", 200, 60), ("b", 200, 120)):
            for number in range(size):
                identifier = f"{arm}-{number}"
                sdk.track_exposure_event(
                    feature_name="checkout", identifier=identifier, value=arm, traits={"n": number}
                )
                if number < buyers:
                    sdk.track_event(event="purchase", identifier=identifier, value=10)
        sdk.stop()
        assert 'events_accepted_total 580.0' in eventually(
            lambda: text if "events_accepted_total 580.0" in (text := _metrics(server)) else None, "580 events"
        )  # fmt: skip
    installation.ingest()
    assert installation.refresh().success
    payload = installation.state().payload
    assert payload is not None
    sums = {
        (variant, aggregate["n"], aggregate["sum"])
        for metric in payload["metrics"]
        for variant, aggregate in metric["variants"].items()
    }
    assert sums == {("control", 200, 60.0), ("b", 200, 120.0), ("control", 200, 600.0), ("b", 200, 1200.0)}


def _metrics(server: Process) -> str:
    return httpx.get(f"{server.url}/metrics").text


@dataclass
class Load:
    """Senders that send until they are stopped, each batch again until it is acknowledged or given up."""

    acknowledged: set[str] = field(default_factory=set)
    stopped: threading.Event = field(default_factory=threading.Event)

    def run(self, url: str, name: str) -> None:
        with httpx.Client() as client:
            for number in range(100_000):
                if self.stopped.is_set():
                    return
                keys = [f"{name}-{number}-{each}" for each in range(BATCH)]
                now = int(time.time() * 1000)
                events = [{"event": "e", "identifier": key, "event_id": key, "timestamp": now} for key in keys]
                try:
                    answered = client.post(
                        f"{url}/v1/events", json={"events": events}, headers={"X-Environment-Key": "prod"}
                    )
                except httpx.TransportError:
                    return  # killed: nobody knows of this batch
                assert answered.status_code == 202, answered.text
                self.acknowledged.update(keys)


@pytest.mark.slow
def test_killed_twenty_times_under_load__what_was_acknowledged_is_in_the_lake_once(
    installation: Installation,  # noqa: F811
) -> None:
    settings, moments, load = installation.settings, random.Random(20_260_302), Load()
    for kill in range(KILLS):
        with collector(settings.data_dir, EXPERIMENT_PIPELINE_LANDING_OBJECT_AGE="0.1") as server:
            with ThreadPoolExecutor(SENDERS) as pool:
                sending = [pool.submit(load.run, server.url, f"{kill}-{sender}") for sender in range(SENDERS)]
                time.sleep(moments.uniform(0.2, 0.8))
                server.popen.kill()
                load.stopped.set()
                for each in sending:
                    each.result(timeout=30)
            load.stopped.clear()
    with collector(settings.data_dir):
        pass  # recovers, and publishes what it holds when it ends
    lines = Counter(line for line in _lines(settings))
    assert set(lines.values()) == {1}
    ingest(Lake(settings.lake_dir), installation.registry.batches, settings.landing_dir, datetime.now(UTC))
    in_the_lake = Counter(row["event_id"] for row in stored(Lake(settings.lake_dir)))
    assert set(in_the_lake.values()) == {1}
    assert len(load.acknowledged) > KILLS * BATCH
    assert load.acknowledged <= in_the_lake.keys()
    assert stored(Lake(settings.lake_dir), "rejected") == []


def _lines(settings: Settings) -> Iterator[str]:
    for each in landed_objects(settings.landing_dir):
        reader = LineReader(settings.landing_dir / each.name)
        for frame in reader.lines():
            yield from frame["text"]
        assert reader.problem is None


@pytest.mark.e2e
def test_bodies_made_to_exhaust_it__are_refused_and_memory_stays(installation: Installation) -> None:  # noqa: F811
    bomb = gzip.compress(b" " * (512 * MIB), 9)
    many = json.dumps({"events": [{}] * 10_001}).encode()
    with collector(installation.settings.data_dir) as server:
        assert server.send(json.dumps({"events": [{"event": "e"}] * 10_000}).encode()).status_code == 202
        before = server.rss()
        for _ in range(5):
            assert server.send(bomb, **{"Content-Encoding": "gzip"}).status_code == 413
            assert server.send(b" " * (11 * MIB)).status_code == 413
            assert server.send(many).status_code == 413
            assert server.send(many, **{"Content-Type": "text/plain"}).status_code == 415
            assert server.send(many, **{"X-Environment-Key": ""}).status_code == 401
            assert server.send(many, **{"X-Environment-Key": "nobody"}).status_code == 401
        with ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(lambda _: server.send(b" " * (10 * MIB)).status_code, range(16)))
        assert set(answers) <= {400, 503}
        assert server.rss() - before < 150 * MIB, f"{(server.rss() - before) / MIB:.0f} MiB more"


@pytest.mark.e2e
def test_sigterm__publishes_the_open_segment(installation: Installation) -> None:  # noqa: F811
    with collector(installation.settings.data_dir, EXPERIMENT_PIPELINE_LANDING_OBJECT_AGE="3600") as server:
        assert server.send(b'{"events": []}').status_code == 202
        assert list(_lines(installation.settings)) == []
    assert list(_lines(installation.settings)) == ['{"events": []}']
