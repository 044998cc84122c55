"""`experiment-pipeline dev` refuses what cannot work before it starts anything."""

import fcntl
import socket
import subprocess
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from experiment_pipeline.cli.dev import RESTARTS_SECONDS, _Child
from experiment_pipeline.cli.main import main


def run(data_dir: Path, *arguments: str) -> str:
    outcome = CliRunner().invoke(main, ["--data-dir", str(data_dir), "dev", *arguments])
    assert outcome.exit_code != 0
    return outcome.output


def test_dev__on_a_port_that_is_taken__names_the_option(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = str(server.getsockname()[1])
        assert f"--port: port {port} is taken; name another." in run(tmp_path, "--port", port)
        assert "--api-port: port" in run(tmp_path, "--port", free_port(), "--api-port", port)


def test_dev__over_a_data_directory_that_another_one_serves__is_refused(tmp_path: Path) -> None:
    run(tmp_path, "--port", "0")
    home = tmp_path / "dagster"
    home.mkdir(exist_ok=True)
    with (home / "dev.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert "Another `dev` runs over" in run(tmp_path, "--port", free_port(), "--api-port", free_port())


def test_start_again__the_fourth_time_in_five_minutes__is_an_error() -> None:
    def start() -> "subprocess.Popen[bytes]":
        process = subprocess.Popen(["sh", "-c", "exit 3"])
        process.wait()
        return process

    child = _Child("API", start, start())
    for _ in range(3):
        child.start_again()
    with pytest.raises(click.ClickException, match=r"^API ended with code 3 again and again: stopping the others\.$"):
        child.start_again()
    child.ended = [moment - RESTARTS_SECONDS for moment in child.ended]
    child.start_again()


def free_port() -> str:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return str(server.getsockname()[1])
