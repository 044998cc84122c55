"""The sender: takes what waits in the outbox to its targets, each on its own, in order, within a time limit."""

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from uuid import uuid4

import structlog

from experiment_pipeline.domain.notification_targets import Target
from experiment_pipeline.domain.notifications import Delivery, Notification, TargetKind
from experiment_pipeline.errors import ConfigurationError, RegistryUnavailable
from experiment_pipeline.notifications import apprise_service, webhook
from experiment_pipeline.notifications.failures import SendFailed
from experiment_pipeline.notifications.messages import TEST, body_of, message_of
from experiment_pipeline.notifications.secret_values import signing_keys, url_of
from experiment_pipeline.notifications.signature import signed_headers
from experiment_pipeline.registry.registry import Registry

log = structlog.get_logger(__name__)
LAST_SECONDS = 20.0  # more than an answer may take


@dataclass
class SendReport:
    """Counts of one round of sending, by outcome; of what has ended within its time limit."""

    delivered: int = 0
    failed: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def count(self, *, delivered: bool) -> None:
        """Count one attempt. Safe between threads."""
        with self._lock:
            self.delivered += delivered
            self.failed += not delivered


@dataclass(frozen=True, slots=True)
class Sender:
    """Sends notifications.

    Attributes:
        registry: with the outbox and the targets.
        environ: the environment variables that hold secrets.
        public_url: of the results page; None where it is not known.
        clock: the present moment, UTC.
    """

    registry: Registry
    environ: Mapping[str, str] = field(repr=False)
    public_url: str | None
    clock: Callable[[], datetime]

    def send_due(self, seconds: float) -> SendReport:
        """Send what is due to every target that is enabled, each in a thread of its own: a slow one holds up no other.

        Args:
            seconds: after which nothing is begun any more. What is under way then has `LAST_SECONDS` to end; what takes
                longer is not in the report, and sent again or lost as if its sender had died.
        """
        report, ends = SendReport(), time.monotonic() + seconds
        waiting = self.registry.notifications.targets_that_wait()  # a query; acquiring one takes the writers' lock
        known = self.registry.notification_targets.list()
        targets = [target for target in known if target.enabled and target.key in waiting]
        threads = [
            threading.Thread(
                target=self._send_to, args=(target, report, ends), name=f"notify-{target.key}", daemon=True
            )
            for target in targets
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(max(0.0, ends + LAST_SECONDS - time.monotonic()))
        return report

    def send(self, target: Target, notification: Notification) -> None:
        """Send one notification to a target now.

        Raises:
            SendFailed: with the reason, without secrets.
        """
        try:
            url = url_of(target, self.environ)
            keys = signing_keys(target, self.environ) if target.kind is TargetKind.WEBHOOK else []
        except ConfigurationError as invalid:
            raise SendFailed(str(invalid), was_sent=False) from None
        if target.kind is TargetKind.APPRISE:
            message = message_of(notification, self.public_url)
            apprise_service.notify(url, message.title, message.text)
        else:
            body = body_of(notification, self.public_url)
            webhook.post(url, signed_headers(notification.key, self.clock(), body, keys), body)

    def test_notification(self) -> Notification:
        """Return the notification that tests a target."""
        return Notification(f"msg_{uuid4().hex}", TEST, None, None, self.clock())

    def _send_to(self, target: Target, report: SendReport, ends: float) -> None:
        outbox = self.registry.notifications
        try:
            while time.monotonic() < ends and (delivery := outbox.acquire(target, self.clock())) is not None:
                report.count(delivered=self._attempt(target, delivery))
        except RegistryUnavailable as away:  # a lease ends by itself
            log.warning("notifications.registry_unavailable", target=target.key, reason=str(away))

    def _attempt(self, target: Target, delivery: Delivery) -> bool:
        """Make one attempt, store what came of it, and return whether it arrived."""
        outbox = self.registry.notifications
        try:
            self.send(target, delivery.notification)
        except SendFailed as failed:
            state = outbox.close_failed(delivery, str(failed), self.clock(), was_sent=failed.was_sent)
            log.warning(
                "notifications.failed", target=target.key, delivery=delivery.id, state=state.value, reason=str(failed)
            )
            return False
        except Exception as error:  # one delivery may not keep those behind it from being sent
            outbox.close_failed(delivery, f"{type(error).__name__}: the log has more.", self.clock(), was_sent=True)
            log.exception("notifications.broken", target=target.key, delivery=delivery.id)
            return False
        outbox.close_delivered(delivery, self.clock())
        return True
