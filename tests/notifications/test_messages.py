"""Messages: hostile names stay data in JSON, and harmless text for people."""

import json
import unicodedata
from datetime import timedelta
from typing import Any

import pytest

from experiment_pipeline.domain.notifications import ExperimentNamed, Notification, NotificationEvent
from experiment_pipeline.notifications.messages import body_of, message_of, plain
from experiment_pipeline.times import iso_utc
from tests.notifications.conftest import NOW

AS_OF = iso_utc(NOW)
HOSTILE = {
    "html": '<script>alert(1)</script><img src="https://evil.example/x.svg">',
    "svg": "<svg onload=alert(1)>",
    "markdown": "[click](https://evil.example) ![x](https://evil.example/p.png) **bold** `code` # heading",
    "chat": "<!channel> <@U123> <https://evil.example|invoice> @here &lt;!everyone&gt;",
    "formula": '=HYPERLINK("https://evil.example","x")',
    "right_to_left": "\u202eevil\u202c \u2066hidden\u2069 שלום",
    "control": "a\r\nBcc: everybody@example.com\x1b[31m\u2028b",
    "long": "x" * 2_000,
}


def facts_with(name: str) -> dict[NotificationEvent, dict[str, Any]]:
    """The facts of every event, with one name wherever somebody else's text can stand."""
    previous = {"action": "ship", "treatment": name}
    decision = {"action": "ship", "treatment": name, "why": f"It is shown to be better on {name}."}
    return {
        NotificationEvent.DECISION_REACHED: {
            "as_of": AS_OF, **decision, "rule": "7_primary_winning", "previous": previous
        },
        NotificationEvent.SPLIT_BROKEN: {
            "as_of": AS_OF, "identities": {name: 9, "control": 1}, "expected_shares": {name: 0.5, "control": 0.5},
            "anytime_p_value": 1e-9, "reason": "unknown_variants",
        },
        NotificationEvent.GUARDRAIL_HARMED: {
            "as_of": AS_OF, "harmed": [{"metric_id": 1, "metric": name, "treatment": name}] * 20
        },
        NotificationEvent.REFRESH_FAILING: {
            "failures": 3, "computation": "results", "last_error_at": AS_OF, "last_published_at": None
        },
        NotificationEvent.DATA_LATE: {"reason": "no_new_events", "newest_landed_at": {name: AS_OF}},
        NotificationEvent.EXPERIMENT_FINAL: {"as_of": AS_OF, "trustworthy": True, "decision": decision},
    }  # fmt: skip


def notification(event: NotificationEvent, name: str) -> Notification:
    experiment = ExperimentNamed(7, "checkout", name, 1)
    return Notification(f"msg_{'0' * 32}", event.value, "production", experiment, NOW, facts_with(name)[event])


@pytest.mark.parametrize("hostile", HOSTILE.values(), ids=HOSTILE)
@pytest.mark.parametrize("event", NotificationEvent)
def test_message__with_hostile_names__is_plain_text(event: NotificationEvent, hostile: str) -> None:
    message = message_of(notification(event, hostile), None)
    assert "\n" not in message.title
    for line in [message.title, *message.text.split("\n")]:
        assert not set("<>&@[]`*|") & set(line)
        assert "://" not in line
        assert line[0] not in "=+-#>"
        assert len(line) < 700
        assert not [letter for letter in line if unicodedata.category(letter) in {"Cc", "Cf", "Zl", "Zp"}]
    assert len(message.title) < 130


@pytest.mark.parametrize("hostile", HOSTILE.values(), ids=HOSTILE)
@pytest.mark.parametrize("event", NotificationEvent)
def test_body__with_hostile_names__is_ascii_and_has_them_as_they_are(event: NotificationEvent, hostile: str) -> None:
    body = body_of(notification(event, hostile), None)
    assert body.isascii()
    content = json.loads(body)
    assert content["data"]["experiment"]["name"] == hostile
    assert content["data"]["facts"] == facts_with(hostile)[event]


def test_body__of_the_same_notification__is_the_same() -> None:
    told = notification(NotificationEvent.EXPERIMENT_FINAL, "Checkout")
    assert body_of(told, "https://x.example") == body_of(told, "https://x.example")


def test_message__of_a_decision__says_what_to_do_and_what_it_was_before() -> None:
    message = message_of(notification(NotificationEvent.DECISION_REACHED, "larger"), "https://x.example/ab/")
    assert message.title == "Decision, ship: larger"
    assert message.text.split("\n") == [
        "Experiment: larger (checkout in production)",
        "Decision: ship larger. It is shown to be better on larger.",
        "Before: ship larger.",
        f"As of {AS_OF}.",
        "Results: https://x.example/ab/environments/production/experiments/checkout/",
    ]


def test_message__of_many_harmed_guardrails__names_ten() -> None:
    message = message_of(notification(NotificationEvent.GUARDRAIL_HARMED, "errors"), None)
    assert message.text.count("is shown to harm errors") == 10
    assert "And 10 more." in message.text


def test_message__of_late_data__says_since_when() -> None:
    message = message_of(notification(NotificationEvent.DATA_LATE, "senders"), None)
    assert f"From senders the newest event arrived {AS_OF}." in message.text
    late = Notification(
        "msg_1", "data_late", "p", ExperimentNamed(1, "k", "n", 2), NOW + timedelta(1),
        {"reason": "late_events", "detail": "9 late."},
    )  # fmt: skip
    assert message_of(late, None).text == "Experiment: n (k in p, phase 2)\n9 late."


def test_plain__keeps_what_is_harmless() -> None:
    assert plain("one_page_checkout (50 % – größer)") == "one_page_checkout (50 % – größer)"
