"""`experiment-pipeline dev`."""

import fcntl
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import click

from experiment_pipeline.cli.context import Context
from experiment_pipeline.settings import PREFIX

PORT = click.IntRange(1, 65_535)
POLL_SECONDS = 0.5  # between two checks of the children
STOP_TIMEOUT_SECONDS = 18  # for all children together; who still runs then is killed


@click.command()
@click.option("--port", default=3000, show_default=True, type=PORT, help="Of Dagster's webserver.")
@click.option("--api-port", default=8000, show_default=True, type=PORT, help="Of the HTTP API.")
@click.option("-v", "--verbose", is_flag=True, help="Print every tick of Dagster's sensors too.")
@click.pass_obj
def dev(context: Context, port: int, api_port: int, verbose: bool) -> None:
    """Start Dagster's webserver and daemon and the HTTP API over one data directory, until Ctrl-C.

    Everything listens on this machine alone. The daemon's sensors ingest what lands and refresh what is due.

    \b
    Example:
      experiment-pipeline --data-dir demo-data dev
    """
    from experiment_pipeline.resources.dagster_instance import LOCATION, open_instance

    with open_instance(context.settings.dagster_home):
        pass
    home = context.settings.dagster_home.absolute()
    data_dir = context.settings.data_dir.absolute()
    environment = os.environ | {"DAGSTER_HOME": str(home), f"{PREFIX}DATA_DIR": str(data_dir)}
    python = [sys.executable, "-m"]
    level = "info" if verbose else "warning"
    # The daemon starts a code server a minute, and each warns when it is stopped: only their errors matter.
    quiet = [] if verbose else ["--code-server-log-level", "error"]
    webserver = ["dagster_webserver", "-m", LOCATION, "-h", "127.0.0.1", "-p", str(port), "--dagster-log-level", level]
    commands = {
        "webserver": [*python, *webserver, *quiet],
        "daemon": [*python, "dagster._daemon", "run", "-m", LOCATION, "--log-level", level, *quiet],
        "API": [*python, "experiment_pipeline", "serve", "--host", "127.0.0.1", "--port", str(api_port)],
    }
    _require_free("--port", port)
    _require_free("--api-port", api_port)
    with _single_instance(home), _children(commands, environment) as children:
        context.console.print(f"Dagster   http://127.0.0.1:{port}")
        context.console.print(f"API       http://127.0.0.1:{api_port}/api/v1/docs")
        context.console.print(f"Data      {data_dir}\nCtrl-C stops all of them.")
        _wait(children)


def _require_free(option: str, port: int) -> None:
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the servers do
        try:
            taken.bind(("127.0.0.1", port))
        except OSError as error:
            raise click.ClickException(f"{option}: port {port} is taken; name another.") from error


@contextmanager
def _single_instance(home: Path) -> Iterator[None]:
    """Hold the lock of this data directory: Dagster allows one daemon per instance."""
    with (home / "dev.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise click.ClickException(f"Another `dev` runs over {home.parent}: stop it first.") from error
        yield


@contextmanager
def _children(
    commands: Mapping[str, list[str]], environment: Mapping[str, str]
) -> Iterator[dict[str, subprocess.Popen[bytes]]]:
    """Start the processes, yield them by name, and stop those that still run.

    Each has a process group of its own, so that a Ctrl-C reaches it once, from here.
    """
    children: dict[str, subprocess.Popen[bytes]] = {}
    try:
        for name, command in commands.items():
            children[name] = subprocess.Popen(command, env=environment, start_new_session=True)  # noqa: S603
        yield children
    finally:
        for child in children.values():
            if child.poll() is None:
                child.send_signal(signal.SIGINT)
        until = time.monotonic() + STOP_TIMEOUT_SECONDS
        for name, child in children.items():
            try:
                child.wait(timeout=max(0.0, until - time.monotonic()))
            except subprocess.TimeoutExpired:
                click.echo(f"{name} does not stop: killing it.", err=True)
                os.killpg(child.pid, signal.SIGKILL)
                child.wait()


def _wait(children: Mapping[str, subprocess.Popen[bytes]]) -> None:
    """Wait until a signal to stop comes. Raises ClickException when one child ends by itself."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # stops as Ctrl-C does
    try:
        while True:
            for name, child in children.items():
                if child.poll() is not None:
                    raise click.ClickException(f"{name} ended with code {child.returncode}: stopping the others.")
            time.sleep(POLL_SECONDS)
    except KeyboardInterrupt:
        click.echo("Stopping ...")
