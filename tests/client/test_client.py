"""The client against a real API on loopback and against its data directory: one registry, equal answers."""

import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from importlib.resources import files
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import uvicorn

from experiment_pipeline.api.app import create_app
from experiment_pipeline.client import (
    Client,
    ConfigurationError,
    Conflict,
    Final,
    Forbidden,
    NotFound,
    NotRefreshed,
    NotStarted,
    RefreshFailed,
    Throttled,
    Unauthorized,
    UnexpectedAnswer,
)
from experiment_pipeline.client.http_answers import HttpAnswers
from experiment_pipeline.domain.api_keys import Scope
from experiment_pipeline.domain.experiments import Experiment, ExperimentStatus
from experiment_pipeline.domain.refresh import Computation
from experiment_pipeline.registry.registry import Registry
from experiment_pipeline.results.parts_table import PART_COLUMNS
from experiment_pipeline.results.results_table import COLUMNS, result_rows
from experiment_pipeline.settings import Settings
from tests.api.site.installation import declare, declare_metric, publish_look

ACTOR = "tests"
HOUR = timedelta(hours=1)
BEGAN = datetime.now(UTC) - timedelta(days=10)


@dataclass
class Installation:
    """An API on loopback over the registry of a data directory."""

    url: str
    data_dir: Path
    registry: Registry
    tokens: dict[str, str]
    of_directory: Client

    def clients(self, scope: str = "refresh") -> tuple[Client, Client]:
        """A client over HTTP, and one of the data directory."""
        return Client(self.url, self.tokens[scope]), self.of_directory

    def experiment(self, key: str) -> Experiment:
        return self.registry.experiments.find("production", key)


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    data_dir = tmp_path_factory.mktemp("client")
    settings = Settings(data_dir=data_dir)
    registry = Registry.open(settings.database_url)
    for environment in ("production", "staging"):
        registry.environments.create(environment, environment, actor=ACTOR, now=BEGAN)
    tokens = {
        scope.value: registry.keys.create("production", scope, scope.value, actor=ACTOR, now=BEGAN)[1]
        for scope in Scope
    }
    metrics = tuple(declare_metric(registry, name, BEGAN) for name in ("bought", "returned"))
    shown = declare(registry, "checkout", BEGAN, metrics=metrics, treatments=2)
    for number in (1, 2):
        publish_look(registry, shown, number, BEGAN + timedelta(days=number))
    for number in range(5):
        declare(registry, f"draft_{number}", BEGAN, start=False)
    config = uvicorn.Config(create_app(Registry.open(settings.database_url), settings), port=0, log_config=None)
    server = uvicorn.Server(config)
    started = threading.Event()
    startup = server.startup

    async def announced(*arguments: Any, **named: Any) -> None:
        await startup(*arguments, **named)
        started.set()

    server.startup = announced  # type: ignore[method-assign]
    thread = threading.Thread(target=server.run)
    thread.start()
    assert started.wait(60)
    port = server.servers[0].sockets[0].getsockname()[1]
    with Client.of_directory(data_dir, "production") as of_directory:
        yield Installation(f"http://127.0.0.1:{port}", data_dir, registry, tokens, of_directory)
    server.should_exit = True
    thread.join()
    registry.close()


def asked(client: Client) -> dict[str, Any]:
    """Return the answer of every method that reads."""
    return {
        "environment": client.environment,
        "experiments": client.experiments(),
        "created": client.experiments(status="created", search="draft"),
        "experiment": client.experiment("checkout"),
        "metrics": client.metrics(search="bou"),
        "results": client.results("checkout"),
        "nothing published": client.results("draft_1"),
        "exposures": client.exposures("checkout", phase=1),
        "breakdowns": client.breakdowns("checkout"),
        "looks": client.looks("checkout"),
        "health": client.health("checkout"),
        "no health": client.health("draft_1"),
        "live": client.live("draft_1"),
        "power": client.power("checkout"),
    }


def test_client__over_http_and_over_a_directory__has_equal_answers(installation: Installation) -> None:
    over_http, of_directory = map(asked, installation.clients("read"))
    assert over_http == of_directory
    assert (over_http["environment"], len(over_http["experiments"]), len(over_http["created"])) == ("production", 6, 5)
    assert [each["number"] for each in over_http["looks"]] == [2, 1]
    assert {each.check for each in over_http["health"].findings} == {"late_events", "split_as_configured"}


def failure(client: Client, method: str, *arguments: Any, **named: Any) -> tuple[type[Exception], str]:
    with pytest.raises(Exception, match=r".") as raised:
        getattr(client, method)(*arguments, **named)
    return raised.type, str(raised.value)


@pytest.mark.parametrize(
    ("method", "arguments", "named", "error"),
    [
        ("results", ("nobody",), {}, NotFound),
        ("experiment", ("a/b ?#",), {}, NotFound),
        ("experiment", ("..",), {}, NotFound),
        ("results", ("checkout",), {"phase": 7}, NotFound),
        ("power", ("draft_1",), {}, Conflict),
        ("plan", ("bought",), {"mde": 9}, ConfigurationError),
        ("plan", ("bought",), {"unknown": 9}, ConfigurationError),
        ("plan", ("bought",), {}, Conflict),
        ("plan", ("nothing",), {}, NotFound),
        ("experiments", (), {"status": "asleep"}, ConfigurationError),
        ("refresh", ("draft_1",), {}, NotStarted),
    ],
)
def test_client__what_is_refused__is_the_same_error_by_both(
    installation: Installation, method: str, arguments: tuple[Any, ...], named: dict[str, Any], error: type[Exception]
) -> None:
    over_http, of_directory = (failure(each, method, *arguments, **named) for each in installation.clients())
    assert over_http[0] is of_directory[0] is error
    assert over_http == of_directory or error is ConfigurationError


def test_results__to_polars__has_the_documented_columns_and_the_rows_of_the_table(installation: Installation) -> None:
    state = installation.registry.computations.get(installation.experiment("checkout").id, Computation.RESULTS)
    for client in installation.clients("read"):
        frame, empty = client.results("checkout").to_polars(), client.results("draft_1").to_polars()
        parts, looks = client.breakdowns("checkout").to_polars(), client.looks("checkout").to_polars()
        exposures, health = client.exposures("checkout").to_polars(), client.health("checkout").to_polars()
        assert frame.columns == empty.columns == [column.name for column in COLUMNS]
        assert (frame.height, empty.height, frame.schema == empty.schema) == (4, 0, True)
        assert frame.to_dicts() == result_rows(installation.experiment("checkout"), state)
        assert frame.schema["as_of"] == pl.Datetime("us", "UTC")
        assert (parts.columns, parts.height) == ([column.name for column in PART_COLUMNS], 0)
        assert (looks["look"].to_list(), looks["late_events"].to_list()) == ([2, 1], [7, 0])
        assert exposures["new_identities"].sum() == 6_000
        assert health["severity"].to_list() == ["warning", "ok"]


def test_lists__longer_than_a_page__are_complete(installation: Installation) -> None:
    pages = HttpAnswers(installation.url, installation.tokens["read"], page_size=2)
    assert [each["key"] for each in pages.experiments([], "")] == [*(f"draft_{n}" for n in (4, 3, 2, 1, 0)), "checkout"]


def test_refresh__waited_for__is_the_results_that_are_published_then(installation: Installation) -> None:
    for number, client in enumerate(installation.clients(), start=3):
        key = f"waited_{number}"
        running = declare(installation.registry, key, BEGAN, metrics=(1,))
        requested = client.refresh(key)
        with pytest.raises(Throttled) as throttled:
            client.refresh(key)
        assert 0 < throttled.value.seconds_left <= 300
        with pytest.raises(NotRefreshed, match="daemon"):
            requested.wait(0)
        later = datetime.now(UTC) + timedelta(seconds=1)
        found = requested.wait(
            sleep=lambda _, of=running, now=later: publish_look(installation.registry, of, 1, now)  # type: ignore[misc]
        )
        assert (found.payload is not None, found.as_of is not None and found.as_of >= requested.requested_at) == (
            True,
            True,
        )


def test_refresh__that_fails__is_said(installation: Installation) -> None:
    running = declare(installation.registry, "failing", BEGAN, metrics=(1,))
    client = installation.of_directory
    requested = client.refresh("failing")
    later = datetime.now(UTC) + timedelta(seconds=1)
    installation.registry.computations.record_failure(running.id, Computation.RESULTS, later, "run")
    with pytest.raises(RefreshFailed):
        requested.wait(0)


def test_refresh__of_final_results__is_refused_by_both(installation: Installation) -> None:
    ended = declare(installation.registry, "ended", BEGAN, metrics=(1,))
    registry, later = installation.registry, datetime.now(UTC) + timedelta(seconds=5)
    registry.experiments.transition(ended.id, ExperimentStatus.COMPLETED, actor=ACTOR, now=later - 2 * HOUR)
    publish_look(registry, registry.experiments.get(ended.id), 1, later)
    errors = {failure(each, "refresh", "ended") for each in installation.clients()}
    assert errors == {(Final, "Results are final for this completed experiment.")}


def test_client__key__is_checked_and_shown_nowhere(installation: Installation) -> None:
    token = installation.tokens["read"]
    with Client(installation.url, token) as reader:
        assert token not in repr(reader)
        with pytest.raises(Forbidden) as refused:
            reader.refresh("checkout")
        assert token not in str(refused.value)
    with Client(installation.url, "unknown") as stranger, pytest.raises(Unauthorized):
        stranger.experiments()
    for key in ("", "a\nb", " a", "é"):
        with pytest.raises(ConfigurationError, match="key"):
            Client(installation.url, key)
    for url in ("ftp://host", "http://", "http://host?x=1", "file:///etc/passwd"):
        with pytest.raises(ConfigurationError, match="url"):
            Client(url, token)


def test_client__an_address_that_is_no_api__is_said(installation: Installation) -> None:
    with (
        Client(f"{installation.url}/elsewhere", installation.tokens["read"]) as client,
        pytest.raises((UnexpectedAnswer, NotFound)),
    ):
        client.experiments()


def test_of_directory__that_is_none__names_what_is_missing(installation: Installation, tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="registry"):
        Client.of_directory(tmp_path)
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(ConfigurationError, match="environment: Name one of production, staging"):
        Client.of_directory(installation.data_dir)
    with pytest.raises(NotFound, match="Did you mean"):
        Client.of_directory(installation.data_dir, "producton")


def test_client__import__loads_no_engine_no_server_and_no_dagster() -> None:
    program = "import sys, experiment_pipeline.client; print(*sys.modules)"
    loaded = set(
        subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True).stdout.split()
    )
    assert "experiment_pipeline.client.client" in loaded
    assert {"dagster", "fastapi", "sqlalchemy", "duckdb", "deltalake", "polars", "numpy"} & loaded == set()


def test_package__is_marked_as_typed_for_the_programs_that_import_it() -> None:
    assert files("experiment_pipeline").joinpath("py.typed").is_file()
