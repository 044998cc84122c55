"""The sensor sends what waits in its tick, and notices silence; it requests no run."""

from datetime import UTC, datetime

import pytest

from experiment_pipeline.automation.notifications import notifications
from experiment_pipeline.domain.notification_targets import TargetDraft
from experiment_pipeline.domain.notifications import DeliveryState, TargetKind
from tests.assets.conftest import Installation
from tests.automation.ticks import tick
from tests.notifications.conftest import SECRET, tell
from tests.notifications.receiver import receiving


def test_notifications__without_a_target__are_skipped(installation: Installation) -> None:
    assert tick(installation, notifications).skip_message == "No target of notifications is declared."


def test_notifications__that_wait__are_sent_in_the_tick(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    draft = TargetDraft(TargetKind.WEBHOOK, url_env="HOOK_URL", secret_env="HOOK_SECRET")
    installation.registry.notification_targets.declare("hook", draft, actor="test", now=datetime.now(UTC))
    tell(installation.registry, installation.experiment())
    with receiving() as receiver:
        monkeypatch.setenv("HOOK_URL", receiver.url)
        monkeypatch.setenv("HOOK_SECRET", SECRET)
        outcome = tick(installation, notifications)
    assert (outcome.skip_message, outcome.run_requests) == ("1 notifications sent, 0 failed.", [])
    assert len(receiver.received) == 1
    assert installation.registry.notifications.list()[0].state is DeliveryState.DELIVERED
    assert float(outcome.cursor or 0) > 0, "silence was looked for"
