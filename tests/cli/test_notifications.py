"""`experiment-pipeline notifications`: what became of each, tests of targets, and sending again."""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from experiment_pipeline.domain.notifications import NotificationEvent, Occurrence
from experiment_pipeline.registry.registry import Registry
from tests.cli.conftest import Run
from tests.notifications.conftest import FINAL_FACTS, SECRET
from tests.notifications.receiver import Receiver, receiving

TARGETS = """
notifications:
  team: {kind: webhook, url_env: TEAM_URL, secret_file: secrets/team, experiments: checkout, events: experiment_final}
  chat: {kind: apprise, url_env: CHAT_URL, events: [data_late], enabled: false}
"""


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as opened:
        yield opened


@pytest.fixture
def targets(declared: Run, tmp_path: Path, receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Two targets beside the running experiment, one of them enabled."""
    (tmp_path / "targets.yaml").write_text(TARGETS, "utf-8")
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "team").write_text(SECRET, "utf-8")
    monkeypatch.setenv("TEAM_URL", f"{receiver.url}/planted-hunter2")
    applied = declared("apply", tmp_path / "targets.yaml")
    assert applied.exit_code == 0, applied.output
    assert "notification target team" in applied.stdout
    return declared


def tell(tmp_path: Path) -> None:
    registry = Registry.open(f"sqlite:///{tmp_path / 'data' / 'registry.sqlite'}")
    found = registry.experiments.find("production", "checkout")
    registry.notifications.write(
        found.id, 1, [Occurrence(NotificationEvent.EXPERIMENT_FINAL, "final", FINAL_FACTS)], now=datetime.now(UTC)
    )
    registry.close()


def test_test__sends_one_and_says_whether_it_arrived(targets: Run, receiver: Receiver) -> None:
    assert "Sent to team" in targets("notifications", "test", "team").stdout
    (request,) = receiver.received
    assert (request.content["type"], request.content["data"]["experiment"]) == ("test", None)
    receiver.answers["/planted-hunter2"] = 404
    failed = targets("notifications", "test", "team")
    assert (failed.exit_code, failed.stderr) == (1, "Error: team: The target answered 404.\n")
    unset = targets("notifications", "test", "chat")
    assert unset.exit_code == 1
    assert "The environment variable CHAT_URL is not set." in unset.stderr
    assert targets("notifications", "test", "taem").exit_code == 2


def test_test__dry_run__sends_nothing(targets: Run, receiver: Receiver) -> None:
    shown = targets("notifications", "test", "team", "--dry-run")
    assert json.loads(shown.stdout)["type"] == "test"
    assert receiver.received == []


def test_send__and_send_again__of_one_that_was_given_up(targets: Run, receiver: Receiver, tmp_path: Path) -> None:
    tell(tmp_path)
    due = json.loads(targets("notifications", "send", "--dry-run", "--json").stdout)
    assert (due, receiver.received) == ({"dry_run": True, "due": [1]}, [])
    with closing(sqlite3.connect(tmp_path / "data" / "registry.sqlite")) as registry:  # its sender has died
        registry.execute("update notification_deliveries set state = 'sending'")
        registry.commit()
    assert json.loads(targets("notifications", "send", "--dry-run", "--json").stdout) == due
    assert targets("notifications", "send").stdout == "1 sent, 0 failed.\n"
    (listed,) = json.loads(targets("notifications", "list", "--json").stdout)
    assert (listed["state"], listed["event"], listed["attempts"]) == ("delivered", "experiment_final", 1)
    assert listed["key"] == receiver.received[0].headers["idempotency-key"]
    refused = targets("notifications", "send-again", "1")
    assert refused.exit_code == 2
    assert "Delivery 1 is delivered" in refused.stderr
    with_registry(tmp_path, "UPDATE notification_deliveries SET state = 'dead'")
    assert "dead" in targets("notifications", "list", "--state", "dead").stdout
    assert "would wait" in targets("notifications", "send-again", "1", "--dry-run").stdout
    assert "dead" in targets("notifications", "list").stdout
    assert json.loads(targets("notifications", "send-again", "1", "--json").stdout)["state"] == "waiting"
    assert targets("notifications", "send").stdout == "1 sent, 0 failed.\n"
    first, second = receiver.received
    assert first.headers["idempotency-key"] == second.headers["idempotency-key"]


def test_send__that_does_not_arrive__exits_with_1(targets: Run, receiver: Receiver, tmp_path: Path) -> None:
    tell(tmp_path)
    receiver.answers["/planted-hunter2"] = 500
    sent = targets("notifications", "send")
    assert (sent.exit_code, sent.stdout) == (1, "0 sent, 1 failed.\n")


def test_targets__and_everything_else__show_where_secrets_are_and_no_secret(targets: Run, tmp_path: Path) -> None:
    tell(tmp_path)
    outputs = [
        targets("notifications", *arguments).output
        for arguments in (["targets"], ["targets", "--json"], ["list"], ["list", "--json"], ["send"], ["test", "team"])
    ]
    assert "TEAM_URL" in outputs[0]
    team, chat = json.loads(outputs[1])[::-1]
    assert team["secret_file"] == str(tmp_path / "secrets" / "team")
    assert (chat["enabled"], chat["deliveries"]["waiting"], team["deliveries"]["waiting"]) == (False, 0, 1)
    assert "apprise (not enabled)" in outputs[0]
    kept = [path.read_bytes() for path in (tmp_path / "data").rglob("*") if path.is_file()]
    for secret in ("hunter2", SECRET):
        assert not [output for output in outputs if secret in output]
        assert not [content for content in kept if secret.encode() in content]


def test_apply__target_that_breaks_a_rule__is_refused_by_its_field(targets: Run, tmp_path: Path) -> None:
    wrong = "notifications: {team: {kind: webhook, url: https://planted-hunter2, url_env: TEAM_URL}}"
    (tmp_path / "wrong.yaml").write_text(wrong, "utf-8")
    refused = targets("apply", tmp_path / "wrong.yaml")
    assert refused.exit_code == 2
    assert "notifications.team.url (line 1): Unknown field." in refused.stderr
    assert "hunter2" not in refused.output
    (tmp_path / "wrong.yaml").write_text(
        "notifications: {team: {kind: webhook, url_env: TEAM_URL, secret_env: TEAM_SECRET, environments: [nosuch]}}"
    )
    refused = targets("apply", tmp_path / "wrong.yaml")
    assert refused.exit_code == 2
    assert "notifications.team.environments.0 (line 1): No environment 'nosuch'" in refused.stderr


def with_registry(tmp_path: Path, statement: str) -> None:
    registry = Registry.open(f"sqlite:///{tmp_path / 'data' / 'registry.sqlite'}")
    with registry.engine.begin() as connection:
        connection.exec_driver_sql(statement)
    registry.close()
