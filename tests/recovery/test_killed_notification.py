"""A sender that is killed, wherever: a webhook arrives at least once, one of apprise at most once and is not silent."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from experiment_pipeline.domain.experiments import Experiment
from experiment_pipeline.domain.notification_targets import TargetDraft
from experiment_pipeline.domain.notifications import LEASE, DeliveryState, TargetKind
from experiment_pipeline.domain.refresh import Computation, Publication
from experiment_pipeline.health.thresholds import SHIPPED_THRESHOLDS
from experiment_pipeline.registry.registry import Registry
from tests.notifications.conftest import NOW, SECRET, start, tell
from tests.notifications.receiver import Receiver, receiving
from tests.recovery.killed_notification import POINTS

ROOT = Path(__file__).parents[2]
EVERY_POINT = [(point, at) for point in POINTS for at in (1, 2)]
BEFORE_SENDING = [("acquire", 1), ("acquire", 2), ("send", 1)]
pytestmark = pytest.mark.slow


@dataclass
class Installation:
    """A registry with one notification that waits, and its target on this machine."""

    url: str
    registry: Registry
    experiment: Experiment
    receiver: Receiver
    environ: dict[str, str] = field(default_factory=dict)

    def declare(self, kind: TargetKind) -> None:
        secret = "SECRET" if kind is TargetKind.WEBHOOK else None
        draft = TargetDraft(kind, url_env="TARGET_URL", secret_env=secret)
        self.registry.notification_targets.declare("target", draft, actor="test", now=NOW)
        scheme = "http" if kind is TargetKind.WEBHOOK else "json"
        url = f"{self.receiver.url.replace('http', scheme, 1)}/target"
        self.environ = {**os.environ, "TARGET_URL": url, "SECRET": SECRET}
        tell(self.registry, self.experiment)

    def send(self, now: datetime, *fatal: str) -> int:
        command = [sys.executable, "-m", "tests.recovery.killed_notification", self.url, now.isoformat(), *fatal]
        return subprocess.run(command, cwd=ROOT, env=self.environ, check=False, timeout=600).returncode

    def state(self) -> DeliveryState:
        (delivery,) = self.registry.notifications.list()
        return delivery.state

    def health(self, now: datetime) -> str:
        live = self.registry.health.live(self.experiment, now, SHIPPED_THRESHOLDS)
        assert live is not None
        codes = {str(each["check"]): str(each["code"]) for each in live.findings}
        return codes.get("notifications_arrive", "nothing is on its way")


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Installation]:
    url = f"sqlite:///{tmp_path / 'registry.sqlite'}"
    registry = Registry.open(url)
    registry.environments.create("production", "Production", actor="test", now=NOW)
    experiment = start(registry, "checkout")
    run = registry.runs.open(experiment.id, "run", NOW, timedelta(minutes=1))
    registry.computations.publish(Publication(run, Computation.RESULTS, {}, "1", NOW, LEASE, findings=[]))
    with receiving() as receiver:
        yield Installation(url, registry, experiment, receiver)
    registry.close()


@pytest.mark.parametrize(("point", "at"), EVERY_POINT)
def test_webhook__sender_killed__arrives_at_least_once_under_one_key(here: Installation, point: str, at: int) -> None:
    here.declare(TargetKind.WEBHOOK)
    assert here.send(NOW, point, str(at)) == -signal.SIGKILL
    assert here.send(NOW + LEASE) == 0
    assert here.state() is DeliveryState.DELIVERED
    keys = [each.headers["idempotency-key"] for each in here.receiver.received]
    is_twice = (point, at) in [("send", 2), ("close", 1)]  # sent, and not marked yet
    assert (len(keys), len(set(keys))) == (2 if is_twice else 1, 1)
    assert len({each.body for each in here.receiver.received}) == 1


@pytest.mark.parametrize(("point", "at"), EVERY_POINT)
def test_apprise__sender_killed__arrives_at_most_once_and_a_lost_one_is_in_health(
    here: Installation, point: str, at: int
) -> None:
    here.declare(TargetKind.APPRISE)
    assert here.send(NOW, point, str(at)) == -signal.SIGKILL
    received = len(here.receiver.received)
    assert received == (0 if (point, at) in BEFORE_SENDING else 1)
    later = NOW + LEASE
    is_marked = (point, at) not in [("acquire", 1), ("close", 2)]
    assert (here.health(later) == "notifications_undelivered") == is_marked, "also before anybody looks at it"
    assert here.send(later) == 0
    if (point, at) == ("acquire", 1):  # nothing was marked: it is sent for the first time
        assert (len(here.receiver.received), here.state()) == (1, DeliveryState.DELIVERED)
        return
    assert len(here.receiver.received) == received, "not a second time"
    assert here.state() is (DeliveryState.LOST if is_marked else DeliveryState.DELIVERED)
    assert (here.health(later) == "notifications_undelivered") == is_marked
