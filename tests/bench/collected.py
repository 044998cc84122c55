"""How many events a second become durable, and how long a sender waits? A real server, a fixed rate over loopback.

    python -m tests.bench.collected [events per second]

Each batch is timed from the moment it was due, so that what waits behind a slow answer counts.
"""

import asyncio
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from socket import socket

from experiment_pipeline.registry.registry import Registry
from experiment_pipeline.settings import PREFIX
from tests.bench.connections import Connections

EVENTS_PER_SECOND = 20_000
BATCH = 100
SECONDS = 10


@dataclass(frozen=True, slots=True)
class Row:
    """Figures of one measurement."""

    events_per_second: float
    p50_ms: float
    p99_ms: float

    def __str__(self) -> str:
        return (
            f"events collected, durable batches of {BATCH}: {self.events_per_second:,.0f} events/s, "
            f"p50 {self.p50_ms:.1f} ms, p99 {self.p99_ms:.1f} ms"
        )


@dataclass
class Sender:
    """Batches of events."""

    connections: Connections

    async def send(self, request: bytes) -> None:
        head, body = await self.connections.ask(request)
        if not head.startswith(b"http/1.1 202") or json.loads(body)["accepted"] != BATCH:
            raise RuntimeError((head + body).decode())

    async def at(self, rate: int) -> Row:
        requests = [_request(number) for number in range(200)]
        start = time.perf_counter() + 0.1
        count = rate * SECONDS // BATCH

        async def timed(number: int) -> float:
            due = start + number * BATCH / rate
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            await self.send(requests[number % len(requests)])
            return time.perf_counter() - due

        seconds = sorted(await asyncio.gather(*map(timed, range(count))))
        taken = time.perf_counter() - start
        p50, p99 = (1000 * seconds[int(count * share)] for share in (0.5, 0.99))
        return Row(count * BATCH / taken, p50, p99)


def measure(rate: int = EVENTS_PER_SECOND) -> Row:
    """A server of its own in a temporary folder, warmed up, then `SECONDS` at the rate."""
    with tempfile.TemporaryDirectory() as folder, socket() as free:
        registry = Registry.open(f"sqlite:///{Path(folder) / 'registry.sqlite'}")
        registry.environments.create("bench", "Bench", actor="bench", now=datetime.now(UTC))
        registry.close()
        free.bind(("127.0.0.1", 0))
        port = int(free.getsockname()[1])
        free.close()
        command = [sys.executable, "-m", "experiment_pipeline", "collect", "--port", str(port)]
        environment = {**os.environ, f"{PREFIX}DATA_DIR": folder}
        environment.pop(f"{PREFIX}REGISTRY_URL", None)
        server = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)
        try:
            return asyncio.run(_measure(Sender(Connections(port)), rate))
        finally:
            server.send_signal(signal.SIGTERM)
            server.wait()


async def _measure(sender: Sender, rate: int) -> Row:
    for _ in range(300):
        try:
            await sender.send(_request(0))
            break
        except OSError:
            await asyncio.sleep(0.1)
    return await sender.at(rate)


def _request(number: int) -> bytes:
    now = int(time.time() * 1000)
    events = [
        {
            "event": "$flag_exposure" if each % 2 else "purchase",
            "feature_name": "checkout",
            "identifier": f"identity-{number}-{each}",
            "value": "treatment" if each % 2 else "12.50",
            "traits": None,
            "metadata": {"sdk_version": "6.3.0"},
            "timestamp": now,
        }
        for each in range(BATCH)
    ]
    body = json.dumps({"events": events}).encode()
    head = "POST /v1/events HTTP/1.1\r\nHost: bench\r\nX-Environment-Key: bench\r\nContent-Type: application/json\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


def main() -> None:
    rate = int(sys.argv[1]) if len(sys.argv) > 1 else EVENTS_PER_SECOND
    print(measure(rate))


if __name__ == "__main__":
    main()
