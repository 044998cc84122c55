"""Does an installation stand a load for long? `experiment-pipeline dev` over a temporary folder, all at once:

    python -m tests.bench.soak [--minutes 30] [--events 5000] [--experiments 50] [--reads 100] [--refreshes 50]

events are sent, results are read, and refreshes of every experiment asked for by turns. Checked, and 1 is the exit code
where one of these is not so:

- lost       the lake has each acknowledged event once
- memory     no process has more than 10 % over the memory that it held in minute 5 (or after a third of a short run)
- freshness  an acknowledged exposure is in results within two minutes

Processes that do not live from half of that time to the end, such as runs, are listed with their peaks. `--write`
writes the section Soak of docs/benchmarks.md.
"""

import argparse
import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from socket import socket

from deltalake import DeltaTable
from rich.progress import Progress

from experiment_pipeline.domain.api_keys import Scope
from experiment_pipeline.resources.dagster_instance import open_instance
from experiment_pipeline.settings import PREFIX
from tests.bench.connections import Connections
from tests.bench.refreshed import Installation, installation, ticks, wait_until
from tests.bench.report import replace_section
from tests.bench.resident import Memory, resident_by_process

BATCH = 100  # events: an exposure and a purchase of each of fifty identities
BASELINE_MINUTE = 5.0
GROWTH_ALLOWED = 1.1
FRESH_SECONDS = 120.0
SAMPLE_SECONDS = 5.0
SECONDS_TO_START = 300
PAGE = Path(__file__).parents[2] / "docs" / "benchmarks.md"
SECTION = "Soak"


@dataclass(frozen=True, slots=True)
class Load:
    """Rates by second, but for refreshes, which are by minute."""

    minutes: float
    events: int
    experiments: int
    reads: int
    refreshes: int


@dataclass
class Exposed:
    """Identities of one experiment whose exposures were acknowledged, as they became more."""

    total: int = 0
    waiting: deque[tuple[float, int]] = field(default_factory=deque)  # when, and how many by then; not in results yet

    def add(self, now: float, identities: int) -> None:
        self.total += identities
        self.waiting.append((now, self.total))

    def lag(self, now: float, published: int) -> float:
        """Seconds since the first identity that is not in the results was acknowledged; 0 where all are in them."""
        while self.waiting and self.waiting[0][1] <= published:
            self.waiting.popleft()
        return now - self.waiting[0][0] if self.waiting else 0.0


@dataclass
class Soak:
    """One run: what was sent and found."""

    load: Load
    installed: Installation
    connections: Connections
    headers: str
    exposed: list[Exposed]
    until: float = 0.0
    acknowledged: int = 0
    sent_again: int = 0
    reads: list[float] = field(default_factory=list)
    failed_reads: int = 0
    refreshes: int = 0
    throttled: int = 0
    lags: list[float] = field(default_factory=list)
    memory: Memory = field(default_factory=Memory)

    async def run(self, dev: int) -> None:
        """Put the load on, and sample until it ends."""
        begun = time.monotonic()
        self.until = begun + 60 * self.load.minutes
        await asyncio.gather(
            self._at(self.load.events / BATCH, self._send),
            self._at(self.load.reads, self._read),
            self._at(self.load.refreshes / 60, self._refresh),
            self._sample(dev, begun),
            self._show(begun),
        )

    async def _at(self, rate: float, act: Callable[[int], Awaitable[None]]) -> None:
        """Act so often a second, each time when it is due, however long the others take."""
        begun, number = time.monotonic(), 0
        acting: set[asyncio.Task[None]] = set()
        while (due := begun + number / rate) < self.until:
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            task = asyncio.ensure_future(act(number))
            acting.add(task)
            task.add_done_callback(acting.discard)
            number += 1
        await asyncio.gather(*acting)

    async def _send(self, number: int) -> None:
        """Send a batch until it is acknowledged: an event counts once, however often it is sent."""
        experiment = number % self.load.experiments
        request = batch_request(number, experiment)
        while True:
            with suppress(OSError, asyncio.IncompleteReadError):
                head, body = await self.connections.ask(request)
                if head.startswith(b"http/1.1 202"):
                    if json.loads(body)["accepted"] != BATCH:
                        raise RuntimeError(body.decode())
                    break
            self.sent_again += 1
            await asyncio.sleep(1)
        self.acknowledged += BATCH
        self.exposed[experiment].add(time.monotonic(), BATCH // 2)

    async def _read(self, number: int) -> None:
        due = time.monotonic()
        experiment = number % self.load.experiments
        status, body = await self._ask("GET", f"e{experiment}/results/")
        self.reads.append(time.monotonic() - due)
        if status != 200:
            self.failed_reads += 1
        elif number % 10 == 0 and (shown := json.loads(body)["results"]) and shown["payload"]:
            published = sum(shown["payload"]["srm"]["identities"].values())
            self.lags.append(self.exposed[experiment].lag(time.monotonic(), published))

    async def _refresh(self, number: int) -> None:
        status, body = await self._ask("POST", f"e{number % self.load.experiments}/results/refresh/")
        self.refreshes += status == 202
        self.throttled += status == 429
        if status not in (202, 429, 503):
            raise RuntimeError(body.decode())

    async def _ask(self, method: str, path: str) -> tuple[int, bytes]:
        request = f"{method} /api/v1/environments/bench/experiments/{path} HTTP/1.1\r\n{self.headers}\r\n"
        try:
            head, body = await self.connections.ask(request.encode())
        except (OSError, asyncio.IncompleteReadError):
            return 0, b""
        return int(head.split(b" ", 2)[1]), body

    async def _sample(self, dev: int, begun: float) -> None:
        while time.monotonic() < self.until:
            self.memory.add((time.monotonic() - begun) / 60, resident_by_process(dev))
            await asyncio.sleep(SAMPLE_SECONDS)

    async def _show(self, begun: float) -> None:
        with Progress() as progress:
            task = progress.add_task("soak", total=self.until - begun)
            while (now := time.monotonic()) < self.until:
                lag = max(self.lags[-20:], default=0.0)
                told = f"{self.acknowledged:,} events, results {lag:.0f} s behind"
                progress.update(task, completed=now - begun, description=told)
                await asyncio.sleep(1)


def batch_request(number: int, experiment: int) -> bytes:
    """A batch of an experiment: identities that nobody else has, an exposure and a purchase of each."""
    now = int(time.time() * 1000)
    events = []
    for each in range(BATCH // 2):
        identifier, variant = f"{number}-{each}", "b" if each % 2 else "control"
        exposure = {"event": "$flag_exposure", "feature_name": f"e{experiment}", "value": variant}
        events.append({**exposure, "identifier": identifier, "timestamp": now})
        events.append({"event": "purchase", "value": "12.50", "identifier": identifier, "timestamp": now + 1})
    body = json.dumps({"events": events}).encode()
    head = "POST /v1/events HTTP/1.1\r\nHost: bench\r\nX-Environment-Key: bench\r\nContent-Type: application/json\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


@contextmanager
def dev(installed: Installation, port: int) -> Iterator[subprocess.Popen[bytes]]:
    """A whole installation, which ends with the block as SIGINT ends it."""
    environment = os.environ | {
        f"{PREFIX}REFRESH_MIN_INTERVAL": "10",
        f"{PREFIX}HTTP_KEY_RATE": "10000",
        f"{PREFIX}HTTP_KEY_BURST": "10000",
    }
    environment.pop(f"{PREFIX}REGISTRY_URL", None)
    named = ["--data-dir", str(installed.settings.data_dir), "dev", "--port", str(free_port()), "--api-port", str(port)]
    with (installed.settings.data_dir / "dev.log").open("wb") as log:
        command = [sys.executable, "-m", "experiment_pipeline", *named]
        running = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
    try:
        yield running
    finally:
        running.send_signal(signal.SIGINT)
        running.wait(timeout=180)


def free_port() -> int:
    with socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


async def wait_until_ready(connections: Connections) -> None:
    until = time.monotonic() + SECONDS_TO_START
    while time.monotonic() < until:
        with suppress(OSError, asyncio.IncompleteReadError):
            head, _ = await connections.ask(b"GET /readyz HTTP/1.1\r\nHost: bench\r\n\r\n")
            if head.startswith(b"http/1.1 200"):
                return
        await asyncio.sleep(0.5)
    raise TimeoutError(f"not ready within {SECONDS_TO_START} s")


def wait_for_daemon(installed: Installation) -> None:
    """Wait until its sensors tick."""
    with open_instance(installed.settings.dagster_home) as instance:
        wait_until(lambda: bool(ticks(instance)))


def events_in_lake(installed: Installation) -> int:
    """Ingest what is left, and count what the lake has."""
    data_dir = str(installed.settings.data_dir)
    command = [sys.executable, "-m", "experiment_pipeline", "--data-dir", data_dir, "lake", "ingest"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return DeltaTable(str(installed.settings.lake_dir / "events")).count()


def soak(load: Load) -> tuple[list[str], list[str]]:
    """Run it, and return the lines of the table, and what was not as it has to be."""
    with installation() as installed:
        installed.start_experiments(load.experiments)
        now = datetime.now(UTC)
        _, token = installed.registry.keys.create("bench", Scope.REFRESH, "soak", actor="bench", now=now)
        port = free_port()
        headers = f"Host: bench\r\nAuthorization: Api-Key {token}\r\nContent-Length: 0\r\n"
        exposed = [Exposed() for _ in range(load.experiments)]
        running = Soak(load, installed, Connections(port), headers, exposed)

        async def loaded(pid: int) -> None:
            await wait_until_ready(running.connections)
            await asyncio.to_thread(wait_for_daemon, installed)
            await running.run(pid)

        with dev(installed, port) as process:
            asyncio.run(loaded(process.pid))
        return table(running, events_in_lake(installed))


def table(found: Soak, stored: int) -> tuple[list[str], list[str]]:
    """Return the rows of the report, and the checks that failed."""
    load, reads, lags = found.load, sorted(found.reads), found.lags
    baseline = min(BASELINE_MINUTE, load.minutes / 3)
    grown = found.memory.grown(baseline)
    failed = (
        [] if stored == found.acknowledged else [f"lost: {found.acknowledged:,} acknowledged, {stored:,} in the lake"]
    )
    failed += [f"memory: {each}" for each in grown if each.growth > GROWTH_ALLOWED]
    if not lags or max(lags) > FRESH_SECONDS:
        failed.append(f"freshness: {max(lags):.0f} s behind" if lags else "freshness: no results were published")
    p50, p99 = (1000 * reads[int(len(reads) * share)] for share in (0.5, 0.99)) if reads else (0.0, 0.0)
    rows = [
        f"| events acknowledged, in the lake | {found.acknowledged:,}, {stored:,} | equal |",
        f"| batches sent again | {found.sent_again} | |",
        f"| oldest exposure not in results: median | {middle(lags):.0f} s | |",
        f"| the same: longest | {max(lags, default=0):.0f} s | at most {FRESH_SECONDS:.0f} s |",
        f"| reads, those that failed | {len(reads):,}, {found.failed_reads} | |",
        f"| a read: p50, p99 | {p50:.1f} ms, {p99:.1f} ms | |",
        f"| refreshes asked for, throttled | {found.refreshes:,}, {found.throttled:,} | |",
        *(f"| memory of {each.row(baseline)} | at most 1.10 |" for each in grown),
        *(f"| peak memory of {name} | {peak >> 20} MiB | |" for name, peak in found.memory.short_lived(baseline)),
    ]
    return rows, failed


def middle(values: list[float]) -> float:
    return sorted(values)[len(values) // 2] if values else 0.0


def section(load: Load, rows: list[str], failed: list[str]) -> str:
    """Return the section of docs/benchmarks.md."""
    said = "Every check passed." if not failed else f"Not as it has to be: {'; '.join(failed)}."
    return f"""Written by `{command(load)}`
on {datetime.now(UTC):%Y-%m-%d}: `experiment-pipeline dev` for {load.minutes:g} minutes on {os.cpu_count()} cores, with
{load.events:,} events/s in batches of {BATCH}, {load.experiments} running experiments, {load.reads} reads/s and
{load.refreshes} refreshes asked for a minute; the sender is on the same machine. The load at the end was
{os.getloadavg()[0]:.0f} processes ready to run. {said}

| what | found | target |
| --- | ---: | ---: |
{chr(10).join(rows)}
"""


def command(load: Load) -> str:
    """Return the command that puts this load on."""
    given = {"MINUTES": f"{load.minutes:g}", "EVENTS": load.events, "EXPERIMENTS": load.experiments}
    given |= {"READS": load.reads, "REFRESHES": load.refreshes}
    return " ".join(["make soak", *(f"{name}={value}" for name, value in given.items())])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--events", type=int, default=5_000, help="a second")
    parser.add_argument("--experiments", type=int, default=50)
    parser.add_argument("--reads", type=int, default=100, help="a second")
    parser.add_argument("--refreshes", type=int, default=50, help="asked for a minute, of all experiments by turns")
    parser.add_argument("--write", action="store_true", help="write the section of docs/benchmarks.md")
    given = vars(parser.parse_args())
    write = given.pop("write")
    load = Load(**given)
    rows, failed = soak(load)
    print("\n".join(rows))
    if write:
        PAGE.write_text(replace_section(PAGE.read_text("utf-8"), SECTION, section(load, rows, failed)), "utf-8")
    sys.exit("\n".join(failed) or None)


if __name__ == "__main__":
    main()
