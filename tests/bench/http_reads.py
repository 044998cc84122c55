"""How fast are results read? A real server, requests at a fixed rate, each timed from the moment it was due.

    python -m tests.bench.http_reads [--busy] [--workers N] [--repeats N] [requests per second ...]

`--busy` runs a process beside it that keeps one core busy. Timing from the due moment counts the wait of requests that
a slow answer held up, which a closed loop hides. Processor time is that of the server's processes. The registry is
SQLite in a temporary folder, or what EXPERIMENT_PIPELINE_REGISTRY_URL names (an empty database).
"""

import argparse
import asyncio
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from experiment_pipeline.domain.api_keys import Scope
from experiment_pipeline.domain.drafts import ExperimentDraft, VariantDraft
from experiment_pipeline.domain.experiments import ExperimentStatus
from experiment_pipeline.domain.refresh import Computation, Publication
from experiment_pipeline.registry.registry import Registry
from experiment_pipeline.settings import PREFIX
from tests.bench.connections import Connections

PORT = 18_123
SECONDS = 10
PATH = "/api/v1/environments/bench/experiments/bench/results/"
METRIC = {
    "variants": {
        "control": {"n": 1000, "sum": 2.5, "sum_squares": 3.5},
        "a": {"n": 1000, "sum": 2.5, "sum_squares": 3},
    },
    "inference": {"a": {"lift": 0.1, "ci_low": 0.0, "ci_high": 0.2, "chance_to_win": 0.9}},
}


def fill(url: str) -> str:
    """A registry with one published experiment of ten metrics; returns a token that may read it."""
    registry, now = Registry.open(url), datetime.now(UTC)
    registry.environments.create("bench", "Bench", actor="bench", now=now)
    draft = ExperimentDraft(name="bench", hypothesis="", feature="bench", variants=(VariantDraft("a", 50.0),))
    created = registry.experiments.create("bench", draft, actor="bench", now=now)
    registry.experiments.transition(created.id, ExperimentStatus.RUNNING, actor="bench", now=now)
    run = registry.runs.open(created.id, "bench", now, timedelta(minutes=5))
    payload = {"srm_p_value": 0.5, "metrics": [{"metric_id": number, **METRIC} for number in range(10)]}
    registry.computations.publish(
        Publication(run, Computation.RESULTS, payload, code_version="1", computed_at=now, grace=timedelta(0))
    )
    _, token = registry.keys.create("bench", Scope.READ, "bench", actor="bench", now=now)
    registry.close()
    return token


@dataclass
class Load:
    """One request, again and again."""

    request: bytes
    connections: Connections = field(default_factory=lambda: Connections(PORT))

    async def ask(self) -> None:
        head, _ = await self.connections.ask(self.request)
        if not head.startswith(b"http/1.1 200"):
            raise RuntimeError(head.decode())

    async def at(self, rate: int) -> list[float]:
        """Seconds from due to answered, sorted."""
        start = time.perf_counter() + 0.1

        async def timed(due: float) -> float:
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            await self.ask()
            return time.perf_counter() - due

        return sorted(await asyncio.gather(*(timed(start + number / rate) for number in range(rate * SECONDS))))


def processor_seconds(pid: int) -> float:
    """Processor time of a process and its children so far."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    stat = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(stat[11]) + int(stat[12])) / os.sysconf("SC_CLK_TCK") + sum(map(processor_seconds, map(int, children)))


@contextmanager
def busy_core() -> Iterator[None]:
    """A process that keeps a core busy meanwhile."""
    busy = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        yield
    finally:
        busy.kill()
        busy.wait()


async def measure(token: str, rates: Sequence[int], server: int) -> None:
    request = f"GET {PATH} HTTP/1.1\r\nHost: bench\r\nAuthorization: Api-Key {token}\r\n\r\n".encode()
    for _ in range(600):
        try:
            await Load(request).ask()
            break
        except OSError:
            await asyncio.sleep(0.1)
    for rate in rates:
        before = processor_seconds(server)
        seconds = await Load(request).at(rate)
        each = 1000 * (processor_seconds(server) - before) / len(seconds)
        p50, p99 = (1000 * seconds[int(len(seconds) * share)] for share in (0.5, 0.99))
        load = os.getloadavg()[0]
        print(f"GET results, {rate} requests/s: p50 {p50:.1f} ms, p99 {p99:.1f} ms,", end=" ")
        print(f"{each:.2f} ms of processor time each; load {load:.1f}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rates", nargs="*", type=int, default=[300], help="requests a second")
    parser.add_argument("--busy", action="store_true", help="beside a process that keeps one core busy")
    parser.add_argument("--workers", type=int, default=1, help="processes that serve")
    parser.add_argument("--repeats", type=int, default=1, help="how often each rate is measured")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        url = os.environ.get(f"{PREFIX}REGISTRY_URL", f"sqlite:///{Path(folder) / 'registry.sqlite'}")
        token = fill(url)
        environment = {**os.environ, f"{PREFIX}REGISTRY_URL": url, f"{PREFIX}DATA_DIR": folder}
        command = [sys.executable, "-c", "from experiment_pipeline.cli.main import main; main()", "serve"]
        command += ["--port", str(PORT), "--workers", str(chosen.workers)]
        server = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)
        try:
            with busy_core() if chosen.busy else nullcontext():
                asyncio.run(measure(token, chosen.rates * chosen.repeats, server.pid))
        finally:
            server.send_signal(signal.SIGTERM)
            server.wait()


if __name__ == "__main__":
    main()
