"""The body of every event follows the schema that is documented."""

import json

import jsonschema_rs
import pytest

from experiment_pipeline.domain.notifications import Notification, NotificationEvent
from experiment_pipeline.notifications.body_schema import notification_schema
from experiment_pipeline.notifications.messages import TEST, body_of
from tests.docs.pages import ROOT
from tests.notifications.conftest import NOW
from tests.notifications.test_messages import notification

VALIDATOR = jsonschema_rs.validator_for(notification_schema())


@pytest.mark.parametrize("event", NotificationEvent)
def test_body__of_every_event__follows_the_schema_and_nothing_else(event: NotificationEvent) -> None:
    content = json.loads(body_of(notification(event, "<b>"), None))
    VALIDATOR.validate(content)
    for wrong in ({**content, "type": "unheard_of"}, {**content, "more": 1}, {**content, "id": "1"}):
        assert not VALIDATOR.is_valid(wrong)
    content["data"]["facts"]["more"] = 1
    assert not VALIDATOR.is_valid(content)


def test_body__of_a_test__follows_the_schema() -> None:
    VALIDATOR.validate(json.loads(body_of(Notification(f"msg_{'a' * 32}", TEST, None, None, NOW), None)))


def test_schema__of_the_docs__is_this_one() -> None:
    assert json.loads((ROOT / "docs/notification.schema.json").read_text("utf-8")) == notification_schema()
