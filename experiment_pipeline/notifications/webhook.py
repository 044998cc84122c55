"""Webhooks: one signed POST. Redirects are not followed, and proxies are not used."""

import re
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from importlib.metadata import version
from urllib.parse import SplitResult, urlsplit

from experiment_pipeline.notifications.failures import SendFailed

ANSWER_SECONDS = 15.0  # from connecting to the answer's status, however slowly its bytes come
USER_AGENT = f"experiment-pipeline/{version('experiment-pipeline')}"
NOT_A_URL = (
    "The URL must begin with https:// or http:// and hold a host, and no user, no fragment, and no characters that "
    "have to be written as %-escapes."
)
REQUEST_LINE = re.compile(r"[!-~]+")  # visible ASCII


def post(url: str, headers: Mapping[str, str], body: bytes, *, seconds: float = ANSWER_SECONDS) -> int:
    """Send a POST, and return the status of its answer, which is 2xx.

    Args:
        url: a secret, which no message holds.
        headers: beside those of every request.
        body: JSON.
        seconds: for everything.

    Raises:
        SendFailed: there is no such URL, no connection, no answer in time, or one of another status.
    """
    parts = _parts(url)
    path = f"{parts.path or '/'}{f'?{parts.query}' if parts.query else ''}"
    kind = HTTPSConnection if parts.scheme == "https" else HTTPConnection
    connection = kind(parts.hostname or "", parts.port, timeout=seconds)
    was_sent = False
    try:
        connection.connect()
        was_sent = True
        with _cut_off_after(connection.sock, seconds):
            connection.request("POST", path, body, _all_headers(headers))
            status = connection.getresponse().status
    except (OSError, HTTPException, ValueError) as error:  # ValueError: a host that is no name
        raise SendFailed(_why(error), was_sent=was_sent) from None
    finally:
        connection.close()
    if not 200 <= status < 300:
        redirect = " Redirects are not followed." if 300 <= status < 400 else ""
        raise SendFailed(f"The target answered {status}.{redirect}", was_sent=True)
    return status


def _parts(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        is_whole = parts.port != 0 and bool(parts.hostname) and parts.username is None and not parts.fragment
    except ValueError:
        raise SendFailed(NOT_A_URL, was_sent=False) from None
    if parts.scheme not in ("http", "https") or not is_whole or not REQUEST_LINE.fullmatch(url):
        raise SendFailed(NOT_A_URL, was_sent=False)
    return parts


def _all_headers(headers: Mapping[str, str]) -> dict[str, str]:
    return {"Content-Type": "application/json", "User-Agent": USER_AGENT, "Connection": "close", **headers}


@contextmanager
def _cut_off_after(sock: socket.socket, seconds: float) -> Iterator[None]:
    """End a connection that takes longer: a timeout of its own starts again with every byte."""

    def cut_off() -> None:
        with suppress(OSError):
            sock.shutdown(socket.SHUT_RDWR)

    timer = threading.Timer(seconds, cut_off)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _why(error: Exception) -> str:
    """Return what went wrong, by its kind alone: the error's own text may hold a part of the URL."""
    if isinstance(error, TimeoutError):
        return "The target did not answer in time."
    if isinstance(error, socket.gaierror):
        return "The target's host has no address."
    if isinstance(error, ConnectionRefusedError):
        return "The target refused the connection."
    if isinstance(error, HTTPException | ConnectionError):
        return f"The target ended the connection without an answer ({type(error).__name__})."
    return f"The target could not be reached ({type(error).__name__})."
