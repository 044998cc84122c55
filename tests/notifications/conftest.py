"""A registry with a running experiment, a receiver on this machine, and targets that reach it."""

import base64
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from experiment_pipeline.domain.drafts import ExperimentDraft, VariantDraft
from experiment_pipeline.domain.experiments import Experiment, ExperimentStatus
from experiment_pipeline.domain.notification_targets import Target, TargetDraft
from experiment_pipeline.domain.notifications import NotificationEvent, Occurrence, TargetKind
from experiment_pipeline.notifications.sender import Sender
from experiment_pipeline.registry.registry import Registry
from tests.notifications.receiver import Receiver, receiving

NOW = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
SECRET = f"whsec_{base64.b64encode(bytes(range(32))).decode()}"
FINAL_FACTS = {"as_of": "2026-03-02T12:00:00Z", "trustworthy": True, "decision": None}


class Clock:
    """A clock that stands still until a test moves it."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        return self.now

    def pass_by(self, duration: timedelta) -> None:
        self.now += duration


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as opened:
        yield opened


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Registry]:
    opened = Registry.open(f"sqlite:///{tmp_path / 'registry.sqlite'}")
    opened.environments.create("production", "Production", actor="test", now=NOW)
    yield opened
    opened.close()


@pytest.fixture
def running(registry: Registry) -> Experiment:
    return start(registry, "checkout")


@pytest.fixture
def environ(receiver: Receiver) -> dict[str, str]:
    return {
        "HOOK_URL": f"{receiver.url}/hook?token=planted-hunter2",
        "SLOW_URL": f"{receiver.url}/slow",
        "CHAT_URL": f"{receiver.url.replace('http://', 'json://')}/chat",
        "HOOK_SECRET": SECRET,
    }


@pytest.fixture
def sender(registry: Registry, environ: dict[str, str], clock: Clock) -> Sender:
    return Sender(registry, environ, "https://experiments.example.com", clock)


def start(registry: Registry, key: str, name: str | None = None) -> Experiment:
    """Start an experiment at NOW, on a flag of its own."""
    draft = ExperimentDraft(
        feature=f"flag_{key}", name=name or key, key=key, hypothesis="", variants=(VariantDraft("treatment", 50.0),)
    )
    created = registry.experiments.create("production", draft, actor="test", now=NOW)
    return registry.experiments.transition(created.id, ExperimentStatus.RUNNING, actor="test", now=NOW)


def webhook(registry: Registry, key: str = "hook", url_env: str = "HOOK_URL") -> Target:
    draft = TargetDraft(TargetKind.WEBHOOK, url_env=url_env, secret_env="HOOK_SECRET")
    return registry.notification_targets.declare(key, draft, actor="test", now=NOW)


def chat(registry: Registry) -> Target:
    draft = TargetDraft(TargetKind.APPRISE, url_env="CHAT_URL")
    return registry.notification_targets.declare("chat", draft, actor="test", now=NOW)


def tell(registry: Registry, experiment: Experiment, occasion: str = "final") -> None:
    """Write one notification to the outbox."""
    occurrence = Occurrence(NotificationEvent.EXPERIMENT_FINAL, occasion, FINAL_FACTS)
    registry.notifications.write(experiment.id, experiment.phase, [occurrence], now=NOW)
