"""The server as a process: its end, the logs of all its processes, and the metrics of several workers."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest

from experiment_pipeline.lake.ingestion import ingest
from experiment_pipeline.lake.lake import Lake
from experiment_pipeline.settings import PREFIX
from tests.assets.conftest import Installation, installation  # noqa: F401 - a fixture
from tests.e2e.conftest import eventually, free_port
from tests.e2e.test_collector import Process
from tests.e2e.test_senders import answer, one_event, stalled
from tests.lake.ledger import stored

pytestmark = pytest.mark.e2e

SECONDS_TO_END = 20


@contextmanager
def serving(data_dir: Path, command: str, workers: int) -> Iterator[tuple[Process, Path]]:
    """A server with so many workers, and the file that its log goes to."""
    port, log = free_port(), data_dir / "server.log"
    environment = os.environ | {f"{PREFIX}DATA_DIR": str(data_dir)}
    line = [sys.executable, "-m", "experiment_pipeline", command, "--port", str(port), "--workers", str(workers)]
    with log.open("wb") as stderr:
        popen = subprocess.Popen(line, env=environment, stderr=stderr, stdout=stderr)
    server = Process(f"http://127.0.0.1:{port}", popen)
    try:
        eventually(lambda: _is_up(server.url), "the server answers")
        yield server, log
    finally:
        if popen.poll() is None:
            popen.terminate()  # a killed one would leave its workers to end by themselves
        popen.wait(timeout=2 * SECONDS_TO_END)


def _is_up(url: str) -> bool:
    try:
        return httpx.get(f"{url}/readyz").status_code == 200
    except httpx.TransportError:
        return False


def family(popen: "subprocess.Popen[bytes]") -> list[int]:
    """The process and its children."""
    children = Path(f"/proc/{popen.pid}/task/{popen.pid}/children").read_text().split()
    return [popen.pid, *map(int, children)]


def lines(log: Path) -> list[dict[str, object]]:
    """Every line of a log; each has to be JSON."""
    return [json.loads(line) for line in log.read_text().splitlines()]


@pytest.mark.parametrize("workers", [1, 2])
def test_sigterm__half_sent_bodies_and_heads__every_process_ends(
    installation: Installation,  # noqa: F811
    workers: int,
) -> None:
    with serving(installation.settings.data_dir, "serve", workers) as (server, log), ExitStack() as stack:
        for _ in range(8):
            stack.enter_context(stalled(server, "prod", b'{"events": [', 1_000))
            head = stack.enter_context(socket.create_connection(("127.0.0.1", int(server.url.rsplit(":", 1)[1]))))
            head.sendall(b"GET /healthz HTTP/1.1\r\nX-")
        assert server.send(one_event("before")).status_code == 202
        processes = family(server.popen)
        assert len(processes) >= workers
        server.popen.send_signal(signal.SIGTERM)
        assert server.popen.wait(timeout=SECONDS_TO_END) in (0, -signal.SIGTERM)
        ends = "every process ends"
        eventually(lambda: not [each for each in processes if Path(f"/proc/{each}").exists()], ends, SECONDS_TO_END)
    assert lines(log)
    assert "Traceback" not in log.read_text()


def test_sigkill__of_the_master__its_workers_end_and_what_they_had_acknowledged_is_published(
    installation: Installation,  # noqa: F811
) -> None:
    data_dir = installation.settings.data_dir
    with serving(data_dir, "serve", 2) as (server, log):
        for number in range(10):
            assert server.send(one_event(f"{number}")).status_code == 202
        _, *workers = family(server.popen)
        assert len(workers) >= 2
        server.popen.kill()
        server.popen.wait()
        ended = "every worker ends, and its port is free"
        eventually(lambda: not any(Path(f"/proc/{each}").exists() for each in workers), ended, 2 * SECONDS_TO_END)
        assert not _is_up(server.url)
    lake = Lake(installation.settings.lake_dir)
    ingest(lake, installation.registry.batches, installation.settings.landing_dir, datetime.now(UTC))
    assert Counter(row["identifier"] for row in stored(lake)) == Counter(map(str, range(10)))
    assert [line["event"] for line in lines(log)].count("server.master_gone") == 2


def test_sigterm__body_on_its_way__is_still_taken(installation: Installation) -> None:  # noqa: F811
    body = one_event("late")
    with (
        serving(installation.settings.data_dir, "collect", 1) as (server, _),
        stalled(server, "prod", body[:10], len(body)) as connection,
    ):
        eventually(lambda: httpx.get(f"{server.url}/healthz").status_code == 200, "it has read the rest")
        server.popen.send_signal(signal.SIGTERM)
        eventually(lambda: not _is_up(server.url), "it takes no new connections")
        connection.sendall(body[10:])
        status, text = answer(connection)
        assert (status, '"accepted":1' in text) == (202, True)
        server.popen.wait(timeout=SECONDS_TO_END)


@pytest.mark.parametrize("workers", [1, 2])
def test_log__of_every_process__is_json_to_the_last_line(tmp_path: Path, workers: int) -> None:
    with serving(tmp_path, "serve", workers) as (server, log):
        with socket.create_connection(("127.0.0.1", int(server.url.rsplit(":", 1)[1]))) as rude:
            rude.sendall(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 TLS\r\n\r\n")
            assert answer(rude)[0] == 400
        server.popen.send_signal(signal.SIGTERM)
        server.popen.wait(timeout=SECONDS_TO_END)
    told = [line["event"] for line in lines(log)]
    assert {"server.starting", "registry.beginning", "Invalid HTTP request received."} <= set(told)


def test_log__of_a_server_that_cannot_start__is_json(installation: Installation) -> None:  # noqa: F811
    data_dir = installation.settings.data_dir
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        for workers in ("1", "2"):
            for url in ("", "postgresql+psycopg://user:planted@127.0.0.1:1/none"):
                ran = subprocess.run(
                    [sys.executable, "-m", "experiment_pipeline", "serve", "--port", port, "--workers", workers],
                    env=os.environ | {f"{PREFIX}DATA_DIR": str(data_dir), f"{PREFIX}REGISTRY_URL": url},
                    capture_output=True, text=True, timeout=60, check=False,
                )  # fmt: skip
                assert ran.returncode == 1
                assert ran.stdout == ""
                assert all(json.loads(line) for line in ran.stderr.splitlines())
                assert "planted" not in ran.stderr


def test_metrics__of_several_workers__are_their_sum_whichever_answers(installation: Installation) -> None:  # noqa: F811
    with serving(installation.settings.data_dir, "collect", 2) as (server, _):
        for number in range(20):  # each on a connection of its own, so that both workers get some
            assert server.send(one_event(f"{number}")).status_code == 202
        texts = [server.get("/metrics").text for _ in range(10)]
        assert all("\nevents_accepted_total 20.0\n" in text for text in texts)
        counted = 'http_requests_total{method="POST",route="/v1/events",status="202"} 20.0'
        assert all(counted in text for text in texts)
        assert all("\nevents_oldest_unlanded_seconds " in text for text in texts)
