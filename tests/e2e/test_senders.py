"""Senders that stall, at the real process: they keep nobody else out, and are not waited for without end."""

import gzip
import json
import os
import select
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from functools import partial
from http.client import HTTPConnection, HTTPResponse

import pytest

from tests.assets.conftest import Installation, installation  # noqa: F401 - a fixture
from tests.e2e.conftest import eventually
from tests.e2e.test_collector import MIB, Process, collector

pytestmark = pytest.mark.e2e

BOMB = gzip.compress(b" " * (64 * MIB // 7 - 8), 9)  # 9 kB; seven of them inflated are the buffer, but for 60 bytes

PATIENT = {  # no body is too slow: whatever makes room is somebody who gives way
    "EXPERIMENT_PIPELINE_HTTP_BODY_DEADLINE": "3600",
    "EXPERIMENT_PIPELINE_HTTP_BODY_RATE": "1",
}


@contextmanager
def stalled(server: Process, environment: str, body: bytes, length: int, **headers: str) -> Iterator[socket.socket]:
    """A connection that has sent a request's head and this of its body, and then nothing more."""
    host, port = server.url.removeprefix("http://").split(":")
    named = {"Content-Type": "application/json", "Content-Length": str(length), "X-Environment-Key": environment}
    lines = [f"{name}: {value}" for name, value in (named | headers).items()]
    with socket.create_connection((host, int(port))) as connection:
        connection.sendall("\r\n".join(["POST /v1/events HTTP/1.1", "Host: x", *lines, "", ""]).encode() + body)
        yield connection


@contextmanager
def seven_bombs(server: Process, environment: str, **headers: str) -> Iterator[list[socket.socket]]:
    """Seven connections with 66 kB in all, which fill the buffer once inflated."""
    with ExitStack() as stack:
        held = [
            stack.enter_context(
                stalled(server, environment, BOMB, len(BOMB) + 10, **{"Content-Encoding": "gzip"}, **headers)
            )
            for _ in range(7)
        ]
        time.sleep(1)  # for the server to have read them; one that has not would keep nobody out
        yield held


def answer(connection: socket.socket) -> tuple[int, str]:
    """The status of what comes back, and its headers and body as text."""
    connection.settimeout(30)
    response = HTTPResponse(connection)
    response.begin()
    return response.status, f"{response.headers}{response.read().decode()}".lower()


def ends(connection: socket.socket) -> bool:
    """Whether the server closes the connection without a further word."""
    connection.settimeout(30)
    try:
        return connection.recv(1_024) == b""
    except ConnectionResetError:
        return True


def one_event(identifier: str) -> bytes:
    now = datetime.now(UTC).isoformat()
    return json.dumps({"events": [{"event": "e", "identifier": identifier, "timestamp": now}]}).encode()


def test_stalled_bodies_of_one_environment__another_one_s_events_land(installation: Installation) -> None:  # noqa: F811
    installation.registry.environments.create("other", "Other", actor="test", now=datetime.now(UTC))
    large = json.dumps({"events": [{"event": "e", "value": "x" * MIB}] * 8}).encode()
    with collector(installation.settings.data_dir, **PATIENT) as server, seven_bombs(server, "prod"):
        for body in (one_event("small"), large):
            answered = server.send(body, **{"X-Environment-Key": "other"})
            assert answered.status_code == 202, answered.text


def test_stalled_bodies_of_one_sender__events_of_another_to_the_same_environment_land(
    installation: Installation,  # noqa: F811
) -> None:
    with (
        collector(installation.settings.data_dir, **PATIENT) as server,
        seven_bombs(server, "prod", **{"X-Forwarded-For": "203.0.113.9"}),
    ):
        answered = server.send(one_event("small"), **{"X-Forwarded-For": "198.51.100.7"})
        assert answered.status_code == 202, answered.text


def test_stalled_bodies__of_every_environment_from_every_address__the_slow_give_way(
    installation: Installation,  # noqa: F811
) -> None:
    installation.registry.environments.create("other", "Other", actor="test", now=datetime.now(UTC))
    with collector(installation.settings.data_dir, **PATIENT) as server, ExitStack() as stack:
        for number, environment in enumerate(("prod", "other")):
            stack.enter_context(seven_bombs(server, environment, **{"X-Forwarded-For": f"203.0.113.{number}"}))
        for environment in ("prod", "other"):
            for number in range(2):
                sender = {"X-Forwarded-For": f"203.0.113.{number}", "X-Environment-Key": environment}
                eventually(partial(_is_taken, server, sender), f"an event of {sender} is taken")


def _is_taken(server: Process, sender: dict[str, str]) -> bool:
    return server.send(one_event("small"), **sender).status_code == 202


def test_body__that_gives_way__is_told_to_come_again(installation: Installation) -> None:  # noqa: F811
    large = json.dumps({"events": [{"event": "e", "value": "x" * MIB}] * 8}).encode()
    with collector(installation.settings.data_dir, **PATIENT) as server, seven_bombs(server, "prod") as held:
        eventually(lambda: server.send(large).status_code == 202, "a slow one gives way")
        readable, _, _ = select.select(held, [], [], 30)
        answers = [answer(connection) for connection in readable]
        assert {status for status, _ in answers} == {503}
        assert all("retry-after: 5" in text for _, text in answers)
        assert any("gave way" in text for _, text in answers)


def test_body__that_does_not_end__is_a_408(installation: Installation) -> None:  # noqa: F811
    with (
        collector(installation.settings.data_dir, EXPERIMENT_PIPELINE_HTTP_BODY_DEADLINE="1") as server,
        stalled(server, "prod", b'{"events": [', 100) as connection,
    ):
        status, text = answer(connection)
        assert status == 408
        assert "within 1 s" in text
        assert "access-control-allow-origin: *" in text


def test_body__slower_than_the_rate__is_a_408(installation: Installation) -> None:  # noqa: F811
    with (
        collector(installation.settings.data_dir, EXPERIMENT_PIPELINE_HTTP_BODY_RATE="1000") as server,
        stalled(server, "prod", b" " * 2_000, 10_000) as connection,
    ):
        for _ in range(100):  # ten bytes a second
            connection.sendall(b" ")
            if select.select([connection], [], [], 0.1)[0]:
                break
        assert answer(connection)[0] == 408


def test_head_that_does_not_end__is_a_408_and_one_without_end_a_431(installation: Installation) -> None:  # noqa: F811
    with collector(installation.settings.data_dir, EXPERIMENT_PIPELINE_HTTP_HEAD_DEADLINE="1") as server:
        port = int(server.url.rsplit(":", 1)[1])
        with socket.create_connection(("127.0.0.1", port)) as slow:
            slow.sendall(b"POST /v1/events HTTP/1.1\r\nHost: x\r\nX-")
            assert answer(slow)[0] == 408
            assert ends(slow)
        with socket.create_connection(("127.0.0.1", port)) as silent:
            assert ends(silent)
        with socket.create_connection(("127.0.0.1", port)) as endless:
            endless.sendall(b"GET /healthz HTTP/1.1\r\n")
            assert _first_answer(endless).startswith(b"HTTP/1.1 431 ")


def _first_answer(endless: socket.socket) -> bytes:
    """Return the answer that comes while headers are sent without end."""
    for number in range(1_000):
        if select.select([endless], [], [], 0)[0]:
            break
        try:
            endless.sendall(b"X-%d: %s\r\n" % (number, b"x" * 10_000))
        except OSError:
            break
    endless.settimeout(10)
    return endless.recv(1_024)


def test_rest_of_an_answered_body__that_does_not_come__ends_the_connection(installation: Installation) -> None:  # noqa: F811
    with (
        collector(installation.settings.data_dir, EXPERIMENT_PIPELINE_HTTP_HEAD_DEADLINE="1") as server,
        stalled(server, "nobody", b"x", 100) as connection,
    ):
        assert answer(connection)[0] == 401
        assert ends(connection)


def test_connections__more_than_a_sender_may_have__the_one_waited_for_longest_is_closed(
    installation: Installation,  # noqa: F811
) -> None:
    limits = {"EXPERIMENT_PIPELINE_HTTP_CONNECTIONS_PER_SENDER": "10", "EXPERIMENT_PIPELINE_TRUSTED_PROXIES": "none"}
    with collector(installation.settings.data_dir, **limits) as server, ExitStack() as stack:
        held = [stack.enter_context(stalled(server, "prod", b"{", 100)) for _ in range(10)]
        assert server.send(one_event("small")).status_code == 202
        assert ends(held[0])
        assert select.select(held[1:], [], [], 0)[0] == []


def test_connections__more_than_the_process_may_have__everybody_is_answered(installation: Installation) -> None:  # noqa: F811
    with (
        collector(installation.settings.data_dir, EXPERIMENT_PIPELINE_HTTP_CONNECTIONS="20") as server,
        ExitStack() as stack,
    ):
        for _ in range(60):
            stack.enter_context(stalled(server, "prod", b"{", 100))
        assert server.send(one_event("small")).status_code == 202
        assert len(os.listdir(f"/proc/{server.popen.pid}/fd")) < 60  # noqa: PTH208 - names are all that is needed


def test_keep_alive__longer_than_a_load_balancer_s__is_the_default(installation: Installation) -> None:  # noqa: F811
    assert installation.settings.http_keep_alive.total_seconds() > 60
    with collector(installation.settings.data_dir) as server:
        connection = HTTPConnection(server.url.removeprefix("http://"))
        for _ in range(2):
            connection.request("GET", "/healthz")
            assert connection.getresponse().read() == b"ok"
            port = connection.sock.getsockname()[1]
            time.sleep(7)  # uvicorn's own keep-alive is 5 s
        connection.request("GET", "/healthz")
        assert connection.getresponse().read() == b"ok"
        assert connection.sock.getsockname()[1] == port
        connection.close()
