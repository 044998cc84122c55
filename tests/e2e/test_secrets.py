"""A planted password and a planted key, looked for in all that an installation writes while everything fails."""

import json
import os
import signal
import subprocess
import sys
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import click
import httpx
import pytest
from click.testing import CliRunner
from sqlalchemy import create_engine, inspect, make_url, text

from experiment_pipeline.cli.main import COMMANDS, main
from experiment_pipeline.domain.api_keys import Scope
from experiment_pipeline.registry.registry import Registry
from experiment_pipeline.schemas.manifests import parse_manifest
from experiment_pipeline.settings import PREFIX
from tests.api.test_openapi import SNAPSHOT
from tests.cli.conftest import MANIFEST
from tests.e2e.conftest import eventually, free_port

pytestmark = pytest.mark.e2e

PASSWORD = "planted-hunter2"
KEPT = {"api_keys", "environments", "experiment_pipeline_version"}  # a request is to come further than its key
ARGUMENTS = {  # what each command needs beside its name, so that it comes as far as the registry or the run
    "apply": ["{manifest}"],
    "collect": ["--port", "{port}"],
    "dev": ["--port", "{port}", "--api-port", "{api_port}"],
    "environments create": ["new"],
    "erase": ["--identifier", "ada", "--yes"],
    "experiments complete": ["checkout"],
    "experiments delete": ["checkout", "--yes"],
    "experiments pause": ["checkout"],
    "experiments restart": ["checkout", "--yes"],
    "experiments show": ["checkout"],
    "experiments start": ["checkout"],
    "keys create": ["--scope", "read"],
    "keys revoke": ["nothing"],
    "keys rotate": ["nothing"],
    "health": ["checkout"],
    "looks": ["checkout"],
    "replay": ["checkout"],
    "metrics delete": ["purchase", "--yes"],
    "metrics preview": ["purchase"],
    "metrics show": ["purchase"],
    "metrics upgrade": ["purchase"],
    "notifications send-again": ["1"],
    "notifications test": ["team"],
    "power": ["purchase"],
    "refresh": ["checkout"],
    "report": ["checkout"],
    "results": ["checkout"],
    "serve": ["--port", "{port}"],
    "warehouse explain": ["checkout"],
    "warehouse init": ["postgres"],
    "warehouse results": ["checkout"],
    "sources check": ["orders"],
    "sources preview": ["orders"],
    "sources pull": ["orders"],
}
NEEDS_NO_REGISTRY = {"schema manifest", "schema notification", "lake compact", "lake rejected", "lake vacuum"}
NEEDS_NO_REGISTRY |= {"warehouse init"}
SERVERS = {"collect", "dev", "serve"}
READS_WHAT_IS_KEPT = {"environments list", "keys list"}


def leaves() -> Iterator[str]:
    """Every command of the command line."""
    context = click.Context(main)
    for name in COMMANDS:
        command = main.get_command(context, name)
        if isinstance(command, click.Group):
            yield from (f"{name} {below}" for below in command.list_commands(context))
        else:
            yield name


@dataclass
class Planted:
    """An installation whose registry's URL holds the password."""

    data_dir: Path
    url: str
    token: str
    manifest: Path

    @property
    def environment(self) -> dict[str, str]:
        return os.environ | {
            f"{PREFIX}DATA_DIR": str(self.data_dir),
            f"{PREFIX}REGISTRY_URL": self.url,
            "DAGSTER_DISABLE_TELEMETRY": "yes",
        }

    def run_here(self, command: str) -> tuple[int, str]:
        """One command in this process: its exit code, and all that it prints, as Python prints what nobody catches."""
        ran = CliRunner(env=self.environment).invoke(main, [*command.split(), *self.arguments(command)])
        uncaught = ran.exc_info if ran.exception and not isinstance(ran.exception, SystemExit) else None
        return ran.exit_code, ran.output + "".join(traceback.format_exception(*uncaught) if uncaught else ())

    def arguments(self, command: str) -> list[str]:
        """Return the arguments that a command needs."""
        given = {"manifest": self.manifest, "port": free_port(), "api_port": free_port()}
        return [each.format(**given) for each in ARGUMENTS.get(command, [])]

    def run(self, command: str) -> subprocess.CompletedProcess[str]:
        """One command as a process, whatever its outcome."""
        line = [sys.executable, "-m", "experiment_pipeline", *command.split(), *self.arguments(command)]
        return subprocess.run(
            line, env=self.environment, cwd=self.data_dir, capture_output=True, text=True, timeout=120, check=False
        )

    def run_server(self, command: str) -> tuple[str, str]:
        """A server as a process, until it has answered one probe of each kind; what it prints."""
        arguments = self.arguments(command)
        line = [sys.executable, "-m", "experiment_pipeline", command, *arguments]
        server = subprocess.Popen(
            line, env=self.environment, cwd=self.data_dir, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        try:
            url = f"http://127.0.0.1:{arguments[-1]}"
            eventually(lambda: _answers(f"{url}/healthz"), f"{command} answers")
            assert httpx.get(f"{url}/readyz", timeout=30).status_code == 503
        finally:
            server.send_signal(signal.SIGINT)
            printed = server.communicate(timeout=60)
        return printed

    def execute(self, *statements: str) -> None:
        """Execute a statement in the registry's database, past every store."""
        engine = create_engine(make_url(self.url).set(drivername="postgresql+psycopg"), isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            for statement in statements:
                connection.execute(text(statement))
        engine.dispose()

    def take_tables_away(self) -> None:
        """Every one but those that a key is looked up in."""
        engine = create_engine(make_url(self.url).set(drivername="postgresql+psycopg"))
        tables = set(inspect(engine).get_table_names()) - KEPT
        engine.dispose()
        self.execute(*(f"ALTER TABLE {table} RENAME TO gone_{table}" for table in sorted(tables)))

    def require_unseen(self, *streams: str) -> None:
        """Neither a secret nor a local variable in these, nor a secret in any file that the installation wrote."""
        written = [path for path in self.data_dir.rglob("*") if path.is_file()]
        assert not [stream for stream in streams if "─ locals ─" in stream]
        for secret in (PASSWORD, self.token):
            assert not [stream[-2_000:] for stream in streams if secret in stream]
            assert [path for path in written if secret.encode() in path.read_bytes()] == []


@pytest.fixture
def planted(tmp_path: Path, postgres_url: str, postgres_template: str) -> Iterator[Planted]:
    name = f"secrets_{os.getpid()}"
    server = create_engine(make_url(postgres_url).set(drivername="postgresql+psycopg"), isolation_level="AUTOCOMMIT")
    with server.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name} TEMPLATE {postgres_template}"))
    url = make_url(postgres_url).set(database=name, password=PASSWORD).render_as_string(hide_password=False)
    assert PASSWORD in url
    registry = Registry.open(url)
    registry.manifests.apply(parse_manifest(MANIFEST), actor="test", now=datetime.now(UTC))
    _, token = registry.keys.create("production", Scope.ADMIN, "t", actor="test", now=datetime.now(UTC))
    registry.close()
    (tmp_path / "data").mkdir()
    (tmp_path / "manifest.yaml").write_text(MANIFEST)
    yield Planted(tmp_path / "data", url, token, tmp_path / "manifest.yaml")
    with server.connect() as connection:
        connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
    server.dispose()


def test_command_line__registry_away_or_broken__no_command_shows_a_secret(planted: Planted) -> None:
    planted.take_tables_away()
    for command in sorted(set(leaves()) - SERVERS):
        code, output = planted.run_here(command)
        assert code or command in NEEDS_NO_REGISTRY | READS_WHAT_IS_KEPT, (command, output)
        planted.require_unseen(output)
    away = make_url(planted.url).set(host="127.0.0.1", port=free_port(), query={})
    planted.url = away.render_as_string(hide_password=False)
    for command in sorted(set(leaves()) - SERVERS):
        code, output = planted.run_here(command)
        assert code or command in NEEDS_NO_REGISTRY, (command, output)
        planted.require_unseen(output)
    for command in sorted(SERVERS):
        planted.require_unseen(*planted.run_server(command))


def test_run__that_fails_in_an_asset_and_cannot_record_it__shows_no_secret(planted: Planted) -> None:
    (planted.data_dir / "artifacts").write_text("in the way of every artifact")
    planted.execute(
        "CREATE FUNCTION refuse() RETURNS trigger AS $$ BEGIN RAISE EXCEPTION 'no'; END $$ LANGUAGE plpgsql",
        "CREATE TRIGGER refuse BEFORE UPDATE OF last_error_at ON computations EXECUTE FUNCTION refuse()",
    )
    ran = planted.run("refresh")
    assert ran.returncode
    planted.require_unseen(ran.stdout, ran.stderr)
    assert "Traceback" in ran.stderr


def test_api__every_operation_fails__neither_answers_nor_logs_show_a_secret(planted: Planted) -> None:
    port = free_port()
    with (planted.data_dir / "out").open("wb") as out, (planted.data_dir / "err").open("wb") as err:
        command = [sys.executable, "-m", "experiment_pipeline", "serve", "--port", str(port)]
        server = subprocess.Popen(command, env=planted.environment, stdout=out, stderr=err)
        try:
            eventually(lambda: _answers(f"http://127.0.0.1:{port}/readyz"), "the API is ready")
            planted.take_tables_away()
            answers = list(_every_operation(f"http://127.0.0.1:{port}", planted.token))
        finally:
            server.send_signal(signal.SIGTERM)
            server.wait(timeout=30)
    assert sum(answer.status_code == 500 for answer in answers) > 10
    log = (planted.data_dir / "err").read_text()
    assert "Traceback" in log
    planted.require_unseen(*(f"{answer.headers}{answer.text}" for answer in answers), log)


def _answers(url: str) -> bool:
    try:
        return httpx.get(url).status_code == 200
    except httpx.TransportError:
        return False


def _every_operation(base: str, token: str) -> Iterator[httpx.Response]:
    """Answers to one request to each operation of the contract, with a body that means nothing."""
    headers = {"Authorization": f"Api-Key {token}"}
    for path, operations in json.loads(SNAPSHOT.read_text("utf-8"))["paths"].items():
        named = path.format(environment_key="production", experiment="checkout", metric_id=1)
        for method, operation in operations.items():
            body = {"json": {"name": "x"}} if "requestBody" in operation else {}
            yield httpx.request(method, f"{base}{named}", headers=headers, timeout=30, **body)  # type: ignore[arg-type]
