"""The JavaScript SDK in a real Chromium, on a page of another origin, under monitoring that adds headers."""

import json
import os
import shutil
import subprocess
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from queue import Queue
from typing import Any
from urllib.parse import urlencode

import pytest

from experiment_pipeline.lake.ingestion import ingest
from experiment_pipeline.lake.lake import Lake
from tests.assets.conftest import Installation, installation  # noqa: F401 - a fixture
from tests.e2e.test_collector import collector
from tests.lake.ledger import stored

pytestmark = pytest.mark.e2e

FOLDER = Path(__file__).parents[1] / "browser"
SDK = FOLDER / "node_modules" / "@flagsmith" / "flagsmith"
REQUIRED = "EXPERIMENT_PIPELINE_TEST_BROWSER"  # set where the test may not be skipped
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update", "--disable-dev-shm-usage",
)  # fmt: skip
TYPES = {".html": "text/html", ".mjs": "text/javascript"}


class Shop(BaseHTTPRequestHandler):
    """Serves the page and the SDK, and takes the page's report."""

    def __init__(self, reports: "Queue[dict[str, Any]]", *arguments: Any) -> None:
        self.reports = reports
        super().__init__(*arguments)

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        file = SDK / path.removeprefix("/sdk/") if path.startswith("/sdk/") else FOLDER / "page.html"
        body = file.read_bytes() if file.is_file() else b""
        self.send_response(200 if body else 404)
        self.send_header("Content-Type", TYPES.get(file.suffix, "application/octet-stream"))
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self) -> None:
        report = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.send_response(204)
        self.end_headers()
        self.reports.put(report)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def shop(reports: "Queue[dict[str, Any]]") -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Shop, reports))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://localhost:{server.server_port}"  # another host and port than the collector's: another origin
    finally:
        server.shutdown()
        server.server_close()


@pytest.fixture
def chromium() -> str:
    """Where the browser is; a machine that has none, or not the SDK, skips the test, but for CI."""
    found = shutil.which("chromium")
    missing = [] if found else ["no Chromium: `apt-get install chromium`"]
    if not SDK.is_dir():
        missing.append("no SDK: `make browser`")
    if missing and os.environ.get(REQUIRED):
        pytest.fail("; ".join(missing))
    if missing:
        pytest.skip("; ".join(missing))
    assert found is not None
    return found


@pytest.mark.parametrize("through", ["fetch", "XMLHttpRequest"])
def test_javascript_sdk__page_of_another_origin_under_monitoring__its_events_are_in_the_lake(
    installation: Installation,  # noqa: F811
    chromium: str,
    tmp_path: Path,
    through: str,
) -> None:
    reports: Queue[dict[str, Any]] = Queue()
    settings = installation.settings
    with collector(settings.data_dir) as server, shop(reports) as origin:
        asked = {"environment": "prod", "collector": f"{server.url}/", "prefix": "visitor", "through": through}
        command = [chromium, *FLAGS, f"--user-data-dir={tmp_path / 'profile'}", "--remote-debugging-port=0"]
        command.append(f"{origin}/?{urlencode(asked)}")
        browser = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            report = reports.get(timeout=90)
        finally:
            browser.terminate()
            browser.wait(timeout=30)
    assert report["done"] == "sent", report
    assert not [line for line in report["said"] if "failed" in line], report
    ingest(Lake(settings.lake_dir), installation.registry.batches, settings.landing_dir, datetime.now(UTC))
    counted = Counter((row["event"], row["identifier"]) for row in stored(Lake(settings.lake_dir)))
    visitors = [f"visitor-{number}" for number in range(20)]
    assert counted == {(event, visitor): 1 for event in ("$flag_exposure", "purchase") for visitor in visitors}
