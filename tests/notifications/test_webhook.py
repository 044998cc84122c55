"""A POST ends in time whatever the other side does."""

import socket
import threading
from http.server import BaseHTTPRequestHandler

import pytest

from experiment_pipeline.notifications.failures import SendFailed
from experiment_pipeline.notifications.webhook import post
from tests.notifications.receiver import Receiver


def test_post__query_and_headers__arrive(receiver: Receiver) -> None:
    assert post(f"{receiver.url}/a/b?c=d%20e", {"webhook-id": "msg_1"}, b"{}") == 204
    (request,) = receiver.received
    assert (request.path, request.body) == ("/a/b?c=d%20e", b"{}")
    assert request.headers["content-type"] == "application/json"
    assert request.headers["webhook-id"] == "msg_1"


def test_post__answer_that_comes_byte_by_byte__is_cut_off(receiver: Receiver) -> None:
    is_cut_off = threading.Event()

    def drip(handler: BaseHTTPRequestHandler) -> None:
        try:
            for _ in range(500):  # each byte comes in time, and the answer does not end
                handler.wfile.write(b"x")
                is_cut_off.wait(0.02)
        except OSError:
            is_cut_off.set()
        handler.close_connection = True

    receiver.answers["/"] = drip
    with pytest.raises(SendFailed) as failed:
        post(f"{receiver.url}/", {}, b"{}", seconds=0.2)
    assert failed.value.was_sent
    assert is_cut_off.wait(10)


def test_post__nobody_listens__was_not_sent() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and does not listen
        with pytest.raises(SendFailed, match="refused the connection") as failed:
            post(f"http://127.0.0.1:{taken.getsockname()[1]}/", {}, b"{}")
    assert not failed.value.was_sent


def test_post__https_to_a_server_without_a_certificate__is_refused(receiver: Receiver) -> None:
    with pytest.raises(SendFailed, match="SSLError"):
        post(f"{receiver.url.replace('http', 'https')}/", {}, b"{}")
    assert receiver.received == []
