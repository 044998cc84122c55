"""`experiment-pipeline dev` over an installation, its processes, and whether it goes on."""

import re
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from tests.e2e.conftest import eventually, free_port
from tests.faults.site import Server, Site


@dataclass
class Dev:
    """A running `experiment-pipeline dev`."""

    site: Site
    popen: "subprocess.Popen[bytes]"
    webserver: str
    api: Server
    log: Path

    def is_up(self) -> bool:
        try:
            return (
                httpx.get(f"{self.webserver}/server_info", timeout=30).is_success and self.api.status("/readyz") == 200
            )
        except httpx.TransportError:
            return False

    def process(self, what: str) -> int:
        """Return the newest process whose command line has this, below `dev`; waits until there is one."""
        return self.processes(what, 1)[-1]

    def processes(self, what: str, least: int) -> list[int]:
        """Return the processes whose command line has this, below `dev`, the newest last; waits for so many."""
        return eventually(
            lambda: found if len(found := sorted(self._descendants(what))) >= least else None, f"{least} of {what}"
        )

    def require_going_on(self, name: str) -> None:
        """Assert that events are taken and ingested, and both servers answer."""
        eventually(self.is_up, f"both servers answer after {name}")
        assert self.api.send(name).status_code == 202
        self.site.land(re.sub("[^a-z]", "-", name.lower()))
        eventually(lambda: self.site.lake_events() == len(self.site.sent), f"the events of {name} are ingested")

    def _descendants(self, what: str) -> Iterator[int]:
        waiting = [self.popen.pid]
        while waiting:
            parent = waiting.pop()
            for task in Path(f"/proc/{parent}/task").glob("*/children"):
                try:
                    found = [int(pid) for pid in task.read_text().split()]
                    lines = {
                        pid: Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode() for pid in found
                    }
                except OSError:
                    continue
                waiting += found
                yield from (pid for pid, line in lines.items() if what in line)


@contextmanager
def developing(site: Site, log: Path) -> Iterator[Dev]:
    port, api_port = free_port(), free_port()
    popen = site.start("dev", "--port", str(port), "--api-port", str(api_port), log=log)
    dev = Dev(site, popen, f"http://127.0.0.1:{port}", Server(f"http://127.0.0.1:{api_port}", popen, site), log)
    try:
        eventually(dev.is_up, "both servers answer")
        yield dev
    finally:
        if popen.poll() is None:
            popen.send_signal(signal.SIGINT)
        popen.wait(timeout=300)
