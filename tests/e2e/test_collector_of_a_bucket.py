"""A collector that puts events into a bucket, killed under load: what it has acknowledged is there (docs/adr/0072)."""

import json
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest

from experiment_pipeline.lake.ingestion import ingest
from experiment_pipeline.lake.lake import Lake
from experiment_pipeline.registry.registry import Registry
from experiment_pipeline.settings import PREFIX, Settings
from experiment_pipeline.storage.places import places_of
from tests.e2e.test_collector import Process, collector
from tests.lake.ledger import record, stored

pytestmark = pytest.mark.e2e
KILLS, SENDERS, FEW = 3, 4, 20


@pytest.mark.parametrize("acknowledges", ["object", "spool"])
def test_killed_under_load__what_was_acknowledged_is_in_the_lake_once(
    tmp_path: Path, object_storage: str, monkeypatch: pytest.MonkeyPatch, acknowledges: str
) -> None:
    monkeypatch.setenv(f"{PREFIX}STORAGE", object_storage)
    monkeypatch.setenv(f"{PREFIX}COLLECTOR_ACKNOWLEDGES", acknowledges)
    settings = Settings(data_dir=tmp_path)
    registry = Registry.open(settings.database_url)
    registry.environments.create("prod", "Production", actor="test", now=datetime.now(UTC))
    sent: set[str] = set()
    acknowledged: set[str] = set()
    for kill in range(KILLS):
        with collector(tmp_path) as process, ThreadPoolExecutor(SENDERS) as senders:
            work = [
                senders.submit(send_until_killed, process, f"{kill}-{n}", sent, acknowledged) for n in range(SENDERS)
            ]
            work[0].result()  # has sent a few
            process.popen.kill()
            for each in work:
                each.result()
    with collector(tmp_path):
        pass  # a spool is brought to the bucket by the next one
    places = places_of(settings)
    ingest(Lake(places.lake), registry.batches, places.landing, datetime.now(UTC))
    found = Counter(str(row["event_id"]) for row in stored(Lake(places.lake)))
    registry.close()
    assert len(acknowledged) >= KILLS * FEW
    assert acknowledged <= found.keys() <= sent
    assert set(found.values()) == {1}


def send_until_killed(process: Process, name: str, sent: set[str], acknowledged: set[str]) -> None:
    """Send events one after another: a few, or until the collector is gone."""
    for number in range(FEW if name.endswith("-0") else 1_000_000):
        key = f"{name}-{number}"
        sent.add(key)
        body = {"events": [record(event_id=key, timestamp=datetime.now(UTC).isoformat())]}
        try:
            answer = process.send(json.dumps(body).encode())
        except httpx.TransportError:
            return
        if answer.status_code == 202:
            acknowledged.add(key)
