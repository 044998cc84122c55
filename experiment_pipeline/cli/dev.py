"""`experiment-pipeline dev`."""

import ctypes
import fcntl
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TextIO

import click

from experiment_pipeline.cli.context import Context
from experiment_pipeline.settings import PREFIX
from experiment_pipeline.times import CLOCK_TOLERANCE

PORT = click.IntRange(1, 65_535)
POLL_SECONDS = 0.5  # between two checks of the children
STOP_TIMEOUT_SECONDS = 18  # for all children together; who still runs then is killed
RESTARTS, RESTARTS_SECONDS = 3, 300.0  # of one child by itself, before all are stopped
PR_SET_PDEATHSIG = 1  # of Linux
DAEMON = "daemon"


@click.command()
@click.option("--port", default=3000, show_default=True, type=PORT, help="Of Dagster's webserver.")
@click.option("--api-port", default=8000, show_default=True, type=PORT, help="Of the HTTP API.")
@click.option("-v", "--verbose", is_flag=True, help="Print every tick of Dagster's sensors too.")
@click.pass_obj
def dev(context: Context, port: int, api_port: int, verbose: bool) -> None:
    """Start Dagster's webserver and daemon, and the API with its results page, over one data directory, until Ctrl-C.

    Everything listens on this machine alone. The daemon's sensors ingest what lands and refresh what is due. A process
    that ends by itself is started again.

    \b
    Example:
      experiment-pipeline --data-dir demo-data dev
    """
    from experiment_pipeline.resources.dagster_instance import LOCATION, open_instance

    def forget_ticks_ahead() -> None:
        with open_instance(context.settings.dagster_home):
            pass

    forget_ticks_ahead()
    home = context.settings.dagster_home.absolute()
    data_dir = context.settings.data_dir.absolute()
    environment = os.environ | {"DAGSTER_HOME": str(home), f"{PREFIX}DATA_DIR": str(data_dir)}
    python = [sys.executable, "-m"]
    level = "info" if verbose else "warning"
    # The daemon starts a code server a minute, and each warns when it is stopped: only their errors matter.
    quiet = [] if verbose else ["--code-server-log-level", "error"]
    daemon = "dagster._daemon" if verbose else "experiment_pipeline.resources.dagster_daemon"
    webserver = ["dagster_webserver", "-m", LOCATION, "-h", "127.0.0.1", "-p", str(port), "--dagster-log-level", level]
    commands = {
        "webserver": [*python, *webserver, *quiet],
        DAEMON: [*python, daemon, "run", "-m", LOCATION, "--log-level", level, *quiet],
        "API": [*python, "experiment_pipeline", "serve", "--host", "127.0.0.1", "--port", str(api_port)],
    }
    _require_free("--port", port)
    _require_free("--api-port", api_port)
    with _single_instance(home) as lock, _children(commands, environment, lock) as children:
        context.console.print(f"Dagster   http://127.0.0.1:{port}")
        context.console.print(f"Results   http://127.0.0.1:{api_port}/")
        context.console.print(f"API       http://127.0.0.1:{api_port}/api/v1/docs")
        context.console.print(f"Data      {data_dir}\nCtrl-C stops all of them.")
        _wait(children, forget_ticks_ahead)


def _require_free(option: str, port: int) -> None:
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the servers do
        try:
            taken.bind(("127.0.0.1", port))
        except OSError as error:
            raise click.ClickException(f"{option}: port {port} is taken; name another.") from error


@contextmanager
def _single_instance(home: Path) -> Iterator[TextIO]:
    """Hold the lock of this data directory: Dagster allows one daemon per instance."""
    with (home / "dev.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise click.ClickException(f"Another `dev` runs over {home.parent}: stop it first.") from error
        yield lock


@dataclass
class _Child:
    """A process that is started again when it ends by itself."""

    name: str
    start: Callable[[], "subprocess.Popen[bytes]"]
    process: "subprocess.Popen[bytes]"
    ended: list[float] = field(default_factory=list)  # monotonic

    def start_again(self) -> None:
        """Start the process that has ended anew. Raises ClickException when it has ended too often."""
        now = time.monotonic()
        self.ended = [*(moment for moment in self.ended if now - moment < RESTARTS_SECONDS), now]
        code = self.process.returncode
        if len(self.ended) > RESTARTS:
            raise click.ClickException(f"{self.name} ended with code {code} again and again: stopping the others.")
        click.echo(f"{self.name} ended with code {code}: starting it again.", err=True)
        self.process = self.start()


@contextmanager
def _children(
    commands: Mapping[str, list[str]], environment: Mapping[str, str], lock: TextIO
) -> Iterator[list[_Child]]:
    """Start the processes, yield them, and stop those that still run.

    Each has a process group of its own, so that a Ctrl-C reaches it once, from here. Each holds the lock too: when this
    process is killed, nobody starts others over the same data before they have ended.
    """
    children: list[_Child] = []
    try:
        for name, command in commands.items():
            start = partial(_start, command, environment, lock)
            children.append(_Child(name, start, start()))
        yield children
    finally:
        _stop(children)


def _start(command: list[str], environment: Mapping[str, str], lock: TextIO) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(  # noqa: S603
        command,
        env=environment,
        start_new_session=True,
        pass_fds=[lock.fileno()],
        preexec_fn=_end_with_parent if sys.platform == "linux" else None,  # noqa: PLW1509 - there are no threads here
    )


_libc = ctypes.CDLL(None)


def _end_with_parent() -> None:
    """Ask Linux to interrupt this new process when the one that started it dies, even if that is killed."""
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGINT)


def _stop(children: list[_Child]) -> None:
    for child in children:
        if child.process.poll() is None:
            child.process.send_signal(signal.SIGINT)
    until = time.monotonic() + STOP_TIMEOUT_SECONDS
    for child in children:
        try:
            child.process.wait(timeout=max(0.0, until - time.monotonic()))
        except subprocess.TimeoutExpired:
            click.echo(f"{child.name} does not stop: killing it.", err=True)
            os.killpg(child.process.pid, signal.SIGKILL)
            child.process.wait()


def _wait(children: list[_Child], forget_ticks_ahead: Callable[[], None]) -> None:
    """Wait until a signal to stop comes; start children again that end by themselves, too often excepted.

    Where the clock was set, the daemon begins anew: it would wait for moments that it noted, or take itself for dead.
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # stops as Ctrl-C does
    clock = _clock()
    try:
        while True:
            was_set = abs(_clock() - clock) > CLOCK_TOLERANCE.total_seconds()
            for child in children:
                if was_set and child.name == DAEMON:
                    click.echo(f"The clock was set by {_clock() - clock:+,.0f} s: starting the daemon anew.", err=True)
                    _stop([child])
                    forget_ticks_ahead()
                    child.process = child.start()
                elif child.process.poll() is not None:
                    child.start_again()
            if was_set:
                clock = _clock()
            time.sleep(POLL_SECONDS)
    except KeyboardInterrupt:
        click.echo("Stopping ...")


def _clock() -> float:
    """Return by how many seconds the clock is ahead of the time that has really passed."""
    return time.time() - time.monotonic()
