"""docs/notifications.md against the code: its Python verifies what is sent, its body follows the schema."""

import json
import re
from datetime import UTC, datetime
from typing import Any

import jsonschema_rs
import pytest

from experiment_pipeline.domain.notifications import NotificationEvent
from experiment_pipeline.notifications.body_schema import notification_schema
from experiment_pipeline.notifications.messages import body_of
from experiment_pipeline.notifications.secret_values import signing_keys
from experiment_pipeline.notifications.signature import signed_headers
from experiment_pipeline.schemas.manifests import parse_manifest
from tests.docs.pages import ROOT
from tests.notifications.conftest import SECRET
from tests.notifications.test_messages import notification
from tests.notifications.test_secret_values import target

PAGE = (ROOT / "docs/notifications.md").read_text("utf-8")


def block(language: str) -> str:
    (found,) = re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)
    return str(found)


@pytest.fixture(scope="module")
def verified() -> Any:
    """The function of the page, as a reader copies it."""
    names: dict[str, Any] = {}
    exec(block("python"), names)  # noqa: S102 - our own page
    return names["verified"]


def test_page__python__verifies_a_message_and_refuses_another_an_old_and_a_changed_one(verified: Any) -> None:
    told = notification(NotificationEvent.EXPERIMENT_FINAL, "Größe <b>")
    body, keys = body_of(told, None), signing_keys(target(secret_env="S"), {"S": SECRET})
    headers = signed_headers(told.key, datetime.now(UTC), body, keys)
    assert verified(headers, body, SECRET)
    exchanged = signed_headers(told.key, datetime.now(UTC), body, [bytes(32), *keys])
    assert verified(exchanged, body, SECRET)
    assert not verified(headers, body + b" ", SECRET)
    assert not verified({**headers, "webhook-id": "msg_2"}, body, SECRET)
    assert not verified(headers, body, SECRET.replace("A", "B"))
    old = signed_headers(told.key, datetime(2026, 1, 1, tzinfo=UTC), body, keys)
    assert not verified(old, body, SECRET)


def test_page__body__follows_the_schema() -> None:
    jsonschema_rs.validator_for(notification_schema()).validate(json.loads(block("json")))


def test_page__manifest__declares_its_targets_and_the_page_has_every_event() -> None:
    assert set(parse_manifest(block("yaml")).notifications) == {"data_team", "growth_chat"}
    assert [each for each in NotificationEvent if f"| `{each.value}` |" not in PAGE] == []
