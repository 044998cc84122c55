"""`experiment-pipeline serve`: a real process, from start to SIGTERM."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from socket import socket

import httpx
import pytest

from tests.cli.conftest import Run

COMMAND = [sys.executable, "-c", "from experiment_pipeline.cli.main import main; main()"]


def free_port() -> int:
    with socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
        return port


@pytest.mark.e2e
def test_serve__until_sigterm__answers_logs_and_ends_in_order(declared: Run, tmp_path: Path) -> None:
    token = declared("keys", "create", "--scope", "refresh").stdout.strip()
    base = f"http://127.0.0.1:{free_port()}"
    log = tmp_path / "log"
    with log.open("w") as stderr:
        server = subprocess.Popen([*COMMAND, "serve", "--port", base.rsplit(":", 1)[1]], stderr=stderr)
    try:
        wait_for(f"{base}/readyz")
        path = f"{base}/api/v1/environments/production/experiments/checkout"
        headers = {"Authorization": f"Api-Key {token}", "X-Request-ID": "e2e"}
        assert httpx.get(f"{path}/", headers=headers).json()["status"] == "running"
        assert httpx.post(f"{path}/results/refresh/", headers=headers).status_code == 202
        assert "http_requests_total" in httpx.get(f"{base}/metrics").text
    finally:
        server.send_signal(signal.SIGTERM)
        code = server.wait(timeout=60)
    assert code in (0, -signal.SIGTERM)
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert lines[0]["event"] == "server.starting"
    answered = [(line["request_id"], line["experiment"], line["status"]) for line in lines[1:]]
    assert ("e2e", "checkout", 202) in answered
    assert token not in log.read_text()


def wait_for(url: str) -> None:
    for _ in range(600):
        try:
            if httpx.get(url).status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.1)
    raise AssertionError(f"{url} did not answer")
