"""The cache of environments: what it asks beside requests ends before the registry is closed."""

from pathlib import Path
from threading import Event, Timer

import pytest
from fastapi.testclient import TestClient

from experiment_pipeline.api import environment_cache
from experiment_pipeline.api.app import create_app
from experiment_pipeline.api.environment_cache import EnvironmentCache
from experiment_pipeline.registry.registry import Registry
from experiment_pipeline.settings import Settings


def test_api__ends_while_an_environment_is_asked_again__closes_the_registry_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(environment_cache, "FRESH_SECONDS", -1.0)
    settings = Settings(data_dir=tmp_path)
    registry, close, happened, may_answer = Registry.open(settings.database_url), Registry.close, list[str](), Event()

    def exists(_key: str) -> bool:
        if happened:  # the second time, beside a request
            assert may_answer.wait(60)
        happened.append("answered")
        return True

    def closing() -> None:
        happened.append("closed")
        close(registry)

    monkeypatch.setattr(registry, "close", closing)
    app = create_app(registry, settings)
    app.state.collector.environments = EnvironmentCache(exists)
    event = {"event": "e", "identifier": "a", "timestamp": "2026-03-02T12:00:00Z"}
    with TestClient(app) as client:
        for _ in range(2):
            sent = client.post("/v1/events", json={"events": [event]}, headers={"X-Environment-Key": "production"})
            assert sent.status_code == 202
        Timer(0.2, may_answer.set).start()
    assert happened == ["answered", "answered", "closed"]
