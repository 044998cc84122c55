"""Requests without an answer: sent again where that is right, by a real server that fails as it is told to."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest

from experiment_pipeline.client import NotConnected, TimedOut, Unavailable, UnexpectedAnswer
from experiment_pipeline.client.http_answers import HttpAnswers
from experiment_pipeline.errors import ExperimentPipelineError

PROBLEM = '{"type": "urn:experiment-pipeline:service-unavailable", "detail": "Try again later."}'
Answer = Callable[[BaseHTTPRequestHandler], None]


def answering(status: int, body: str, **headers: str) -> Answer:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        for name, value in {"Content-Type": "application/json", "Content-Length": str(len(body)), **headers}.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.end_headers()
        handler.wfile.write(body.encode())

    return answer


def breaking_off(handler: BaseHTTPRequestHandler) -> None:
    handler.close_connection = True


ENVIRONMENT = answering(200, '{"results": [{"key": "prod"}], "next": null}')
FOUND = answering(200, '{"key": "checkout"}')
AWAY = answering(503, PROBLEM, Retry_After="5")


@contextmanager
def serving(*answers: Answer) -> Iterator[tuple[HttpAnswers, list[str], list[float]]]:
    """A server that gives these answers in their order; a client of it, the paths it asked, and its pauses."""
    waiting, paths = list(answers), list[str]()
    pauses: list[float] = []

    class Handler(BaseHTTPRequestHandler):
        def respond(self) -> None:
            paths.append(f"{self.command} {self.path}")
            waiting.pop(0)(self)

        do_GET = do_POST = respond  # noqa: N815 - the standard library's names

        def log_message(self, *_: Any) -> None:
            """Log nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        url = f"http://127.0.0.1:{server.server_port}"
        yield HttpAnswers(url, "key", timeout=30, sleep=pauses.append), paths, pauses
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("failing", [AWAY, answering(502, "<html>"), breaking_off])
def test_read__without_an_answer__is_asked_again(failing: Answer) -> None:
    with serving(ENVIRONMENT, failing, failing, FOUND) as (answers, paths, pauses):
        assert answers.experiment("checkout") == {"key": "checkout"}
    assert (len(paths), len(pauses)) == (4, 2)
    assert pauses == ([5, 5] if failing is AWAY else [0.5, 1])


def test_read__without_an_answer_for_too_long__raises_it() -> None:
    with serving(ENVIRONMENT, AWAY, AWAY, AWAY) as (answers, paths, _), pytest.raises(Unavailable, match="Try again"):
        answers.experiment("checkout")
    assert len(paths) == 4


def test_read__that_the_server_puts_off_for_minutes__is_not_waited_for() -> None:
    later = answering(503, PROBLEM, Retry_After="120")
    with serving(ENVIRONMENT, later) as (answers, _, pauses), pytest.raises(Unavailable) as raised:
        answers.experiment("checkout")
    assert (pauses, raised.value.retry_after) == ([], 120)


def test_refresh__whose_answer_is_lost__is_not_requested_twice() -> None:
    with serving(ENVIRONMENT, breaking_off) as (answers, paths, _), pytest.raises(NotConnected):
        answers.refresh("checkout", None)
    assert paths[1:] == ["POST /api/v1/environments/prod/experiments/checkout/results/refresh/"]


def test_refresh__that_the_server_has_not_carried_out__is_requested_again() -> None:
    with serving(ENVIRONMENT, AWAY, answering(202, "")) as (answers, paths, _):
        answers.refresh("checkout", 2)
    assert paths[2].endswith("refresh/?phase=2")


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (answering(200, "<html>", Content_Type="text/html"), UnexpectedAnswer),
        (answering(302, "", Location="http://127.0.0.1:9/"), UnexpectedAnswer),
        (answering(404, "<html>"), UnexpectedAnswer),
        (answering(500, "{}"), UnexpectedAnswer),
    ],
)
def test_read__an_answer_of_something_else__is_said_and_no_redirect_is_followed(
    answer: Answer, error: type[ExperimentPipelineError]
) -> None:
    with serving(ENVIRONMENT, answer) as (answers, paths, _), pytest.raises(error, match="address of the API"):
        answers.experiment("checkout")
    assert len(paths) == 2


def test_read__of_a_server_that_does_not_answer__times_out() -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as silent:  # listens, and accepts nobody
        answers = HttpAnswers(f"http://127.0.0.1:{silent.server_port}", "key", timeout=0.05, retries=0)
        with pytest.raises(TimedOut, match=r"did not answer within 0\.05 s"):
            answers.environment()
    gone = HttpAnswers(f"http://127.0.0.1:{silent.server_port}", "key", retries=0)
    with pytest.raises(NotConnected, match="cannot be reached"):
        gone.environment()
