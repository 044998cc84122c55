"""apprise: what it does not know was not sent, and its own words, which may hold the URL, are not repeated."""

import sys

import pytest

from experiment_pipeline.notifications.apprise_service import notify
from experiment_pipeline.notifications.failures import SendFailed
from tests.notifications.receiver import Receiver


def test_notify__service_that_takes_it__gets_plain_text(receiver: Receiver) -> None:
    notify(f"{receiver.url.replace('http', 'json', 1)}/chat", "Title", "One line.\nAnother.")
    (request,) = receiver.received
    assert (request.content["title"], request.content["message"]) == ("Title", "One line.\nAnother.")


def test_notify__refused_and_unknown__are_told_apart(receiver: Receiver, caplog: pytest.LogCaptureFixture) -> None:
    receiver.answers["/planted-hunter2"] = 500
    with pytest.raises(SendFailed, match="did not take it") as refused:
        notify(f"{receiver.url.replace('http', 'json', 1)}/planted-hunter2", "Title", "Text")
    with pytest.raises(SendFailed, match="none that apprise knows") as unknown:
        notify("unheard-of://planted-hunter2", "Title", "Text")
    assert (refused.value.was_sent, unknown.value.was_sent) == (True, False)
    assert "hunter2" not in caplog.text


def test_notify__without_apprise__says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "apprise", None)  # as if it were not installed
    with pytest.raises(SendFailed, match=r"install experiment-pipeline\[notify\]") as failed:
        notify("json://127.0.0.1", "Title", "Text")
    assert not failed.value.was_sent
