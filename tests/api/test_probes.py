"""Alive, ready, counted, logged; and faults that tell nobody anything but the log."""

import json
from pathlib import Path

import pytest
import structlog
from fastapi.testclient import TestClient
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from experiment_pipeline.api.app import create_app
from experiment_pipeline.api.dependencies import State
from experiment_pipeline.api.lake_soundness import lake_flaw
from experiment_pipeline.api.rate_limits import RateLimits
from experiment_pipeline.api.worker_metrics import PublicationsWaiting, exposition
from experiment_pipeline.domain.batches import LandedObject
from experiment_pipeline.domain.notification_targets import TargetDraft
from experiment_pipeline.domain.notifications import NotificationEvent, Occurrence, TargetKind
from experiment_pipeline.errors import RegistryUnreachable
from experiment_pipeline.lake.ingestion import create_tables
from experiment_pipeline.lake.lake import Lake
from experiment_pipeline.registry.refresh_costs import RefreshCost
from experiment_pipeline.registry.registry import Registry
from experiment_pipeline.settings import Settings
from experiment_pipeline.storage import delta_tables
from tests.api.conftest import Api, detail
from tests.registry.test_looks import publish


def test_healthz__answers_without_a_key(api: Api) -> None:
    assert api.client.get("/healthz").text == "ok"


def test_readyz__everything_there__is_ready(api: Api) -> None:
    assert api.client.get("/readyz").status_code == 200


def test_readyz__landing_zone_or_schema_missing__says_what(api: Api) -> None:
    api.settings.data_dir.mkdir(parents=True, exist_ok=True)
    Path(api.settings.landing_dir).write_text("in the way")
    with api.registry.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE experiment_pipeline_version SET version_num = 'older'")
    refused = api.client.get("/readyz")
    assert refused.status_code == 503
    assert detail(refused) == (
        "Not ready: the registry's schema is not the one of this version; the landing zone cannot be written."
    )


def test_readyz__stray_among_open_segments__is_ready_and_names_it_and_events_land(api: Api) -> None:
    folder = api.settings.landing_dir / ".open" / "env_key=production"
    folder.mkdir(parents=True)
    (folder / "notes.jsonl").write_text("mine")
    with TestClient(create_app(api.registry, api.settings, api.clock)) as client:
        for _ in range(2):
            sent = client.post("/v1/events", json={"events": []}, headers={"X-Environment-Key": "production"})
            assert sent.status_code == 202, sent.text
        ready = client.get("/readyz")
    named = "landing zone: .open/env_key=production/notes.jsonl is no segment, left alone"
    assert (ready.status_code, ready.text) == (200, f"ready\n{named}")
    assert (folder / "notes.jsonl").read_text() == "mine"


def test_metrics__publications_that_wait_for_the_tables__are_counted_while_the_registry_answers(api: Api) -> None:
    publish(api.registry, api.registry.experiments.get(api.experiment("start")["id"]), 2)
    assert "\ntable_publications_waiting 4.0\n" in api.client.get("/metrics").text

    def away() -> int:
        raise RegistryUnreachable("stopped")

    assert b"table_publications_waiting" not in exposition(CollectorRegistry(), PublicationsWaiting(away))


def test_metrics__refreshes__are_counted_by_asset_and_how_they_were_computed__i1(api: Api) -> None:
    experiment = api.experiment()["id"]
    api.registry.refresh_costs.add(experiment, RefreshCost("first_exposures", 1, 0, 12, 0.25, 300))
    api.registry.refresh_costs.add(experiment, RefreshCost("first_exposures", 0, 1, 40, 0.0, 320))
    told = api.client.get("/metrics").text
    for line in (
        'refreshes_total{asset="first_exposures",refresh="incremental"} 1.0',
        'refreshes_total{asset="first_exposures",refresh="full"} 1.0',
        'refresh_rows_read_total{asset="first_exposures"} 52.0',
        'refresh_seconds_saved{asset="first_exposures"} 0.25',
        'refresh_state_bytes{asset="first_exposures"} 320.0',
    ):
        assert f"\n{line}\n" in told


def test_metrics__requests__are_counted_by_route_not_by_path(api: Api) -> None:
    api.experiment()
    for _ in range(2):
        api.get("/experiments/checkout/")
    api.client.get("/no/such/path")
    api.client.request("MADEUP", "/healthz")
    text = api.client.get("/metrics").text
    counted = [line for line in text.splitlines() if line.startswith("http_requests_total")]
    route = 'route="/api/v1/environments/{environment_key}/experiments/{experiment}/"'
    assert any(route in line and line.endswith(" 2.0") for line in counted)
    assert any('route="unknown",status="404"' in line for line in counted)
    assert any('method="other"' in line for line in counted)
    assert "checkout" not in text
    assert "MADEUP" not in text


def test_metrics__notifications__are_counted_by_target_and_state(api: Api) -> None:
    experiment, now = api.experiment(), api.clock()
    target = TargetDraft(TargetKind.APPRISE, url_env="CHAT_URL")
    api.registry.notification_targets.declare("chat", target, actor="test", now=now)
    told = Occurrence(NotificationEvent.EXPERIMENT_FINAL, "final", {})
    api.registry.notifications.write(experiment["id"], 1, [told], now=now)
    assert 'notification_deliveries{state="waiting",target="chat"} 1.0' in api.client.get("/metrics").text


def test_request_id__given__comes_back_and_a_bad_one_is_replaced(api: Api) -> None:
    assert api.client.get("/healthz", headers={"X-Request-ID": "abc-1"}).headers["x-request-id"] == "abc-1"
    replaced = api.client.get("/healthz", headers={"X-Request-ID": "a b\tc"}).headers["x-request-id"]
    assert len(replaced) == 32


def test_log__request__names_id_environment_experiment_and_key(api: Api) -> None:
    api.experiment()
    with capture_logs(processors=[structlog.contextvars.merge_contextvars]) as lines:
        api.get("/experiments/checkout/", headers={"X-Request-ID": "abc"})
    (line,) = lines
    assert line["event"] == "request.answered"
    told = ("request_id", "environment", "experiment", "key", "status", "method")
    assert {name: line[name] for name in told} == {
        "request_id": "abc",
        "environment": "production",
        "experiment": "checkout",
        "key": api.tokens["admin"].split("_")[1],
        "status": 200,
        "method": "GET",
    }


def test_fault__is_a_problem_that_tells_nothing(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("secret detail")

    monkeypatch.setattr(type(api.registry.experiments), "find", broken)
    with capture_logs() as lines:
        answer = api.get("/experiments/checkout/")
    assert answer.status_code == 500
    assert "secret" not in answer.text
    assert detail(answer) == "This is a fault of the server; its log has the request's id."
    assert answer.headers["x-request-id"]
    assert "request.failed" in json.dumps([line["event"] for line in lines])


def test_registry__that_does_not_answer__is_a_503(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(*_: object, **__: object) -> None:
        raise RegistryUnreachable("connection to db.internal refused")

    monkeypatch.setattr(type(api.registry.experiments), "find", unreachable)
    refused = api.get("/experiments/checkout/")
    assert (refused.status_code, refused.headers["retry-after"]) == (503, "5")
    assert detail(refused) == "The registry's database cannot be reached. Try again later."


def test_readyz__lake_lacks_batches__stays_ready_for_events_and_says_it_and_refreshes_are_refused(api: Api) -> None:
    landed = LandedObject("events/env_key=production/a.jsonl", "production", api.clock.now, 1)
    api.registry.batches.plan_batch([landed], api.clock.now)
    api.registry.batches.commit_batch(1, accepted=1, duplicates=0, rejected={}, problems={}, now=api.clock.now)
    answer = api.client.get("/readyz")
    assert answer.status_code == 200
    assert "lake: The lake lacks batch 1 that the registry knows." in answer.text
    refused = api.post(f"/experiments/{api.experiment('start')['id']}/results/refresh/")
    assert refused.status_code == 503
    assert "The lake lacks batch 1" in detail(refused)
    assert refused.headers["Retry-After"] == "5"


def test_readyz__damaged_log_of_the_lake__says_so_and_names_no_folder(api: Api) -> None:
    lake = api.settings.lake_dir
    create_tables(Lake(lake))
    (lake / "events" / "_delta_log" / f"{2:020}.json").write_text("{}")  # the one before it is missing
    with capture_logs() as logged:
        answer = api.client.get("/readyz")
    assert answer.status_code == 200
    assert "lake: The log of the lake cannot be read" in answer.text
    assert str(lake) not in answer.text
    (line,) = (line for line in logged if line["event"] == "lake.unreadable")
    assert "gap" in line["reason"]


def test_lake_flaw__bucket_that_is_away__says_so_and_names_no_address(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name, value in {"ENDPOINT_URL": "http://127.0.0.1:9", "ALLOW_HTTP": "true", "REGION": "us-east-1"}.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "nobody")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "nobody")
    monkeypatch.setattr(delta_tables, "RETRIES", 0)
    settings = Settings(data_dir=tmp_path, storage="s3://bucket/prefix")
    registry = Registry.open(settings.database_url)
    flaw = lake_flaw(State(registry, settings, RateLimits(settings)))
    registry.close()
    assert flaw == "The object storage cannot be used; the reason stands in the service's own log."
