"""Notifications reach a real receiver: signed, in order, repeated with one key, or at most once through apprise."""

import threading
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler

import pytest
from standardwebhooks import Webhook

from experiment_pipeline.domain.experiments import Experiment
from experiment_pipeline.domain.notifications import MOST_ATTEMPTS, MOST_PER_MINUTE, DeliveryState, retry_delay
from experiment_pipeline.notifications.failures import SendFailed
from experiment_pipeline.notifications.sender import Sender
from experiment_pipeline.registry.registry import Registry
from tests.notifications.conftest import SECRET, Clock, chat, start, tell, webhook
from tests.notifications.receiver import Receiver

SECONDS = 30.0  # a limit that no test reaches


def states(registry: Registry) -> list[DeliveryState]:
    return [each.state for each in registry.notifications.list()][::-1]


def test_webhook__is_verified_by_the_library_of_standard_webhooks(
    registry: Registry, running: Experiment, sender: Sender, receiver: Receiver, clock: Clock
) -> None:
    clock.now = datetime.now(UTC)  # the library refuses what was signed minutes ago
    webhook(registry)
    tell(registry, running)
    report = sender.send_due(SECONDS)
    (request,) = receiver.received
    assert (report.delivered, report.failed, states(registry)) == (1, 0, [DeliveryState.DELIVERED])
    content = Webhook(SECRET).verify(request.body, request.headers)
    assert content["id"] == request.headers["webhook-id"] == request.headers["idempotency-key"]
    assert (content["type"], content["data"]["experiment"]["key"]) == ("experiment_final", "checkout")
    assert content["data"]["url"] == "https://experiments.example.com/environments/production/experiments/checkout/"
    with pytest.raises(Exception, match="No matching signature"):
        Webhook(SECRET).verify(request.body.replace(b"checkout", b"elsewhere"), request.headers)


def test_webhook__that_fails__is_repeated_with_the_same_key_and_body_until_it_is_taken(
    registry: Registry, running: Experiment, sender: Sender, receiver: Receiver, clock: Clock
) -> None:
    webhook(registry)
    tell(registry, running)
    path = "/hook?token=planted-hunter2"
    receiver.answers[path] = 500
    sender.send_due(SECONDS)
    sender.send_due(SECONDS)
    assert len(receiver.received) == 1, "the next attempt waits for its time"
    (waiting,) = registry.notifications.list()
    assert (waiting.state, waiting.attempts, waiting.error) == (DeliveryState.WAITING, 1, "The target answered 500.")
    receiver.answers[path] = 200
    clock.pass_by(retry_delay(1))
    assert sender.send_due(SECONDS).delivered == 1
    first, second = receiver.received
    assert (first.headers["idempotency-key"], first.body) == (second.headers["idempotency-key"], second.body)
    assert first.headers["webhook-timestamp"] != second.headers["webhook-timestamp"]
    assert first.headers["webhook-signature"] != second.headers["webhook-signature"]


def test_webhook__that_fails_every_time__is_given_up_and_can_be_sent_again(
    registry: Registry, running: Experiment, sender: Sender, receiver: Receiver, clock: Clock
) -> None:
    webhook(registry)
    tell(registry, running)
    receiver.answers["/hook?token=planted-hunter2"] = 503
    begun = clock.now
    for attempt in range(1, MOST_ATTEMPTS + 1):
        sender.send_due(SECONDS)
        clock.pass_by(retry_delay(attempt))
    sender.send_due(SECONDS)
    assert (len(receiver.received), states(registry)) == (MOST_ATTEMPTS, [DeliveryState.DEAD])
    assert timedelta(hours=12) < clock.now - begun < timedelta(hours=48)
    receiver.answers.clear()
    (dead,) = registry.notifications.list()
    registry.notifications.send_again(dead.id, actor="test", now=clock.now)
    assert sender.send_due(SECONDS).delivered == 1
    assert len({each.headers["idempotency-key"] for each in receiver.received}) == 1


def test_webhook__redirect__is_a_failure_and_not_followed(
    registry: Registry, running: Experiment, sender: Sender, receiver: Receiver
) -> None:
    webhook(registry)
    tell(registry, running)
    receiver.answers["/hook?token=planted-hunter2"] = 307
    assert sender.send_due(SECONDS).failed == 1
    assert receiver.at("/elsewhere") == []
    (waiting,) = registry.notifications.list()
    assert waiting.error == "The target answered 307. Redirects are not followed."


def test_send_due__several_to_one_target__arrive_in_their_order_and_a_failure_holds_up_the_next(
    registry: Registry, running: Experiment, sender: Sender, receiver: Receiver, clock: Clock
) -> None:
    webhook(registry)
    for number in range(3):
        tell(registry, running, f"occasion-{number}")
    receiver.answers["/hook?token=planted-hunter2"] = 500
    sender.send_due(SECONDS)
    assert len(receiver.received) == 1
    receiver.answers.clear()
    clock.pass_by(retry_delay(1))
    assert sender.send_due(SECONDS).delivered == 3
    written = [each.notification.key for each in registry.notifications.list()][::-1]
    assert [each.content["id"] for each in receiver.received] == [written[0], *written]


def test_send_due__one_that_cannot_be_written_as_a_message__is_a_failure_that_is_counted(
    registry: Registry, running: Experiment, sender: Sender, receiver: Receiver
) -> None:
    webhook(registry)
    tell(registry, running)
    with registry.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE notifications SET event = 'of_another_version'")
    assert sender.send_due(SECONDS).failed == 1
    assert receiver.received == []
    assert states(registry) == [DeliveryState.WAITING]


def test_send_due__one_target_does_not_answer__the_others_get_theirs(
    registry: Registry, running: Experiment, sender: Sender, receiver: Receiver
) -> None:
    others_are_sent = threading.Event()

    def wait_for_the_other(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(204 if others_are_sent.wait(10) else 500)
        handler.end_headers()

    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(204)
        handler.end_headers()
        others_are_sent.set()

    receiver.answers |= {"/slow": wait_for_the_other, "/hook?token=planted-hunter2": answer}
    webhook(registry, "a_slow_one", "SLOW_URL")  # its thread is started first
    webhook(registry)
    tell(registry, running)
    report = sender.send_due(SECONDS)
    assert (report.delivered, report.failed) == (2, 0)


def test_send_due__many_at_once__are_at_most_so_many_a_minute(
    registry: Registry, running: Experiment, sender: Sender, receiver: Receiver, clock: Clock
) -> None:
    webhook(registry)
    for number in range(MOST_PER_MINUTE + 2):
        tell(registry, running, f"occasion-{number}")
    assert sender.send_due(SECONDS).delivered == MOST_PER_MINUTE
    assert sender.send_due(SECONDS).delivered == 0
    clock.pass_by(timedelta(minutes=1))
    assert sender.send_due(SECONDS).delivered == 2
    assert len(receiver.received) == MOST_PER_MINUTE + 2


def test_apprise__takes_title_and_text(
    registry: Registry, running: Experiment, sender: Sender, receiver: Receiver
) -> None:
    chat(registry)
    tell(registry, running)
    assert sender.send_due(SECONDS).delivered == 1
    (request,) = receiver.at("/chat")
    assert request.content["title"] == "Results are final: checkout"
    assert "No decision: the experiment has no metric." in request.content["message"]


def test_apprise__that_fails__is_lost_and_not_sent_a_second_time(
    registry: Registry, running: Experiment, sender: Sender, receiver: Receiver, clock: Clock
) -> None:
    chat(registry)
    tell(registry, running)
    receiver.answers["/chat"] = 500
    assert sender.send_due(SECONDS).failed == 1
    clock.pass_by(timedelta(days=1))
    assert sender.send_due(SECONDS).failed == 0
    assert (len(receiver.received), states(registry)) == (1, [DeliveryState.LOST])


def test_apprise__that_cannot_begin__waits_since_nothing_was_sent(
    registry: Registry, running: Experiment, receiver: Receiver, environ: dict[str, str], clock: Clock
) -> None:
    sender = Sender(registry, environ, None, clock)
    chat(registry)
    tell(registry, running)
    url = environ.pop("CHAT_URL")
    sender.send_due(SECONDS)
    (waiting,) = registry.notifications.list()
    assert waiting.state is DeliveryState.WAITING
    assert waiting.error == "notifications.chat.url_env: The environment variable CHAT_URL is not set."
    environ["CHAT_URL"] = url
    clock.pass_by(retry_delay(1))
    assert sender.send_due(SECONDS).delivered == 1
    assert len(receiver.received) == 1


def test_send__errors__hold_neither_the_url_nor_the_secret(registry: Registry, environ: dict[str, str]) -> None:
    target = webhook(registry)
    sender = Sender(registry, environ, None, Clock())
    messages = []
    for url in (
        "http://planted-hunter2:x@127.0.0.1/",
        "ftp://planted-hunter2",
        "http://planted hunter2/",
        "http://[/",
        "http://127.0.0.1/hunter2-ß",
        "http://hunter2..example/",
    ):
        environ["HOOK_URL"] = url
        with pytest.raises(SendFailed) as failed:
            sender.send(target, sender.test_notification())
        messages.append(str(failed.value))
    environ |= {"HOOK_URL": "http://127.0.0.1:9/planted-hunter2", "HOOK_SECRET": "whsec_planted-hunter2"}
    with pytest.raises(SendFailed, match="signing secret must be") as failed:
        sender.send(target, sender.test_notification())
    messages.append(str(failed.value))
    assert not [message for message in messages if "hunter2" in message]


def test_targets__not_enabled__get_nothing_and_others_only_what_they_ask_for(
    registry: Registry, running: Experiment, sender: Sender, receiver: Receiver
) -> None:
    tell(registry, running, "before any target")
    webhook(registry)
    other = start(registry, "pricing")
    tell(registry, running)
    tell(registry, running)
    tell(registry, other)
    assert sender.send_due(SECONDS).delivered == 2, "the same occasion is told once"
    assert [each.content["data"]["experiment"]["key"] for each in receiver.received] == ["checkout", "pricing"]
