"""Ctrl-C on `dev`: it and all that it has started end, quietly and with exit code 0."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from experiment_pipeline.settings import PREFIX
from tests.e2e.conftest import answers, eventually, free_port

pytestmark = pytest.mark.e2e
SECONDS = 300  # before a test gives up


def at_default() -> None:
    """As in a terminal: a test worker may ignore SIGINT, and what it starts would too."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def ignored() -> None:
    """As a shell without job control starts what it does not wait for."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def processes_over(data_dir: Path) -> dict[int, str]:
    """Return the command lines of the processes that were started over a data directory, by process id."""
    found = {}
    marked = f"{PREFIX}DATA_DIR={data_dir}".encode()
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if marked in (process / "environ").read_bytes().split(b"\0"):
                found[int(process.name)] = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode()
        except OSError:  # it has ended, or is not ours
            continue
    return {number: command for number, command in found.items() if command}  # an empty one has ended


@pytest.mark.parametrize(
    ("number", "inherited"), [(signal.SIGINT, at_default), (signal.SIGTERM, ignored)], ids=["terminal", "background"]
)
def test_dev__interrupted__ends_with_0_and_leaves_no_process(
    tmp_path: Path, number: signal.Signals, inherited: Callable[[], None]
) -> None:
    data_dir, port, api_port = tmp_path / "data", free_port(), free_port()
    command = [
        sys.executable,
        "-u",
        "-m",
        "experiment_pipeline",
        "dev",
        "--port",
        str(port),
        "--api-port",
        str(api_port),
    ]
    environment = os.environ | {f"{PREFIX}DATA_DIR": str(data_dir), "DAGSTER_DISABLE_TELEMETRY": "yes"}
    with (tmp_path / "dev.log").open("wb") as log:
        process = subprocess.Popen(
            command,
            env=environment,
            stdout=log,
            stderr=subprocess.STDOUT,
            process_group=0,
            preexec_fn=inherited,  # noqa: PLW1509 - the interpreter is this test's own
        )
        try:
            for url in (f"http://127.0.0.1:{port}/server_info", f"http://127.0.0.1:{api_port}/readyz"):
                eventually(lambda url=url: answers(url), f"{url} answers")  # type: ignore[misc]
            started = processes_over(data_dir)
            assert len(started) >= 4, started  # dev, webserver, daemon, API, and code servers
            os.killpg(process.pid, number)
            code = process.wait(timeout=SECONDS)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
    told = (tmp_path / "dev.log").read_text()
    assert code == 0, told
    assert "Stopping ..." in told
    assert "Traceback" not in told
    assert "killing it" not in told
    assert processes_over(data_dir) == {}, told
