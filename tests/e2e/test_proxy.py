"""The shipped configuration of nginx, before a real API and Dagster's real pages: what passes, and what does not."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from ssl import create_default_context

import httpx
import pytest

from experiment_pipeline.domain.api_keys import Scope
from experiment_pipeline.registry.registry import Registry
from experiment_pipeline.settings import Settings
from tests.e2e.conftest import LOCATION, eventually, free_port
from tests.e2e.test_server import lines, serving
from tests.e2e.test_tls import write_certificate

pytestmark = pytest.mark.e2e
SHIPPED = Path(__file__).parents[2] / "deploy" / "proxy"
NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
EVENT = {"event": "purchase", "identifier": "a", "timestamp": 1_772_400_000_000}


@dataclass
class Proxied:
    """An installation behind nginx."""

    client: httpx.Client
    url: str
    token: str
    log: Path

    def get(self, path: str, **headers: str) -> httpx.Response:
        return self.client.get(f"{self.url}{path}", headers=headers)


def configure(folder: Path, *, port: int, plain: int, api: str, dagster: int) -> Path:
    """Write the shipped configuration with the places of a test."""
    certificate, key = write_certificate(folder)
    (folder / "dagster.htpasswd").write_text("ada:{PLAIN}lovelace\n", "utf-8")
    (folder / "dagster.htpasswd").chmod(0o644)
    folder.chmod(0o755)
    text, upstreams = ((SHIPPED / name).read_text("utf-8") for name in ("nginx.conf", "upstreams.conf"))
    for shipped, ours in {
        "127.0.0.1:8000": api.removeprefix("http://"),
        "127.0.0.1:3000": f"127.0.0.1:{dagster}",
    }.items():
        assert shipped in upstreams, shipped
        upstreams = upstreams.replace(shipped, ours)
    (folder / "upstreams.conf").write_text(upstreams, "utf-8")
    for shipped, ours in {
        "experiments.example.com": "localhost",
        "/etc/nginx/tls/certificate.pem": str(certificate),
        "/etc/nginx/tls/key.pem": str(key),
        "/etc/nginx/dagster.htpasswd": str(folder / "dagster.htpasswd"),
        "/var/log/nginx/access.log": str(folder / "access.log"),
        "/run/nginx.pid": str(folder / "nginx.pid"),
        "listen 443 ssl": f"listen {port} ssl",
        "listen 80": f"listen {plain}",
    }.items():
        assert shipped in text, shipped
        text = text.replace(shipped, ours)
    owner = "" if os.getuid() else "user root;\n"  # a test's folders are root's
    written = folder / "nginx.conf"
    written.write_text(owner + text, "utf-8")
    return written


@contextmanager
def process(command: list[str], log: Path, **environment: str) -> Iterator[None]:
    with log.open("wb") as output:
        started = subprocess.Popen(command, env=os.environ | environment, stdout=output, stderr=output)
    try:
        yield
    finally:
        started.terminate()
        started.wait(timeout=60)


@pytest.fixture(scope="module")
def proxied(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxied]:
    if NGINX is None:
        pytest.skip("no nginx: `apt-get install nginx-light`")
    folder = tmp_path_factory.mktemp("proxied")
    data_dir, home = folder / "data", folder / "dagster"
    data_dir.mkdir()
    home.mkdir()
    registry = Registry.open(Settings(data_dir=data_dir).database_url)
    registry.environments.create("production", "production", actor="tests", now=datetime.now(UTC))
    _, token = registry.keys.create("production", Scope.READ, "tests", actor="tests", now=datetime.now(UTC))
    registry.close()
    port, plain, dagster = free_port(), free_port(), free_port()
    webserver = [sys.executable, "-m", "dagster_webserver", "-m", LOCATION, "--path-prefix", "/dagster"]
    with ExitStack() as running:
        api, log = running.enter_context(serving(data_dir, "serve", 1))
        own = {"DAGSTER_HOME": str(home), "EXPERIMENT_PIPELINE_DATA_DIR": str(data_dir)}
        running.enter_context(process([*webserver, "-p", str(dagster)], folder / "dagster.log", **own))
        written = configure(folder, port=port, plain=plain, api=api.url, dagster=dagster)
        command = [NGINX, "-c", str(written), "-p", str(folder), "-e", str(folder / "error.log")]
        assert subprocess.run([*command, "-t"], check=False).returncode == 0
        running.enter_context(process([*command, "-g", "daemon off;"], folder / "nginx.log"))
        trusted = create_default_context(cafile=str(folder / "certificate.pem"))
        client = running.enter_context(httpx.Client(verify=trusted, timeout=60))
        found = Proxied(client, f"https://localhost:{port}", token, log)

        def are_up() -> bool:
            try:
                shown = client.get(f"{found.url}/dagster/server_info", auth=("ada", "lovelace"))
                return shown.status_code == found.get("/healthz").status_code == 200
            except httpx.TransportError:
                return False

        eventually(are_up, "the API and Dagster answer through the proxy", 120)
        moved = client.get(f"http://localhost:{plain}/sign-in")
        assert (moved.status_code, moved.headers["location"]) == (301, "https://localhost/sign-in")
        yield found


def test_api__through_the_proxy__is_as_it_is_over_https(proxied: Proxied) -> None:
    shown = proxied.get("/sign-in")
    assert "secure" in shown.headers["set-cookie"].lower()
    assert shown.headers["strict-transport-security"] == "max-age=31536000"
    path = "/api/v1/environments/production/experiments/"
    assert proxied.get(path, Authorization=f"Api-Key {proxied.token}").status_code == 200
    sent = proxied.client.post(
        f"{proxied.url}/v1/events", json={"events": [EVENT]}, headers={"X-Environment-Key": "production"}
    )
    assert (sent.status_code, sent.json()["accepted"]) == (202, 1)
    eventually(lambda: any(line.get("status") == 202 for line in lines(proxied.log)), "the request is in the log")


def test_operations__are_not_for_the_world(proxied: Proxied) -> None:
    assert [proxied.get(path).status_code for path in ("/metrics", "/readyz", "/healthz")] == [404, 404, 200]


def test_dagster__through_the_proxy__asks_who_it_is__and_is_framed_by_nobody(proxied: Proxied) -> None:
    query = {"query": "{ version }"}
    assert proxied.get("/dagster/").status_code == 401
    assert proxied.client.post(f"{proxied.url}/dagster/graphql", json=query).status_code == 401
    asked = proxied.client.post(f"{proxied.url}/dagster/graphql", json=query, auth=("ada", "lovelace"))
    assert re.match(r"\d+\.\d+", asked.json()["data"]["version"])
    page = proxied.client.get(f"{proxied.url}/dagster/", auth=("ada", "lovelace"))
    assert page.status_code == 200
    assert "frame-ancestors 'none'" in page.headers.get_list("content-security-policy")[-1]
    assert 'data-path-prefix="/dagster"' in page.text or '"/dagster"' in page.text


def test_keys__are_not_in_the_log_of_the_proxy(proxied: Proxied) -> None:
    proxied.get(f"/api/v1/environments/?{proxied.token}", Authorization=f"Api-Key {proxied.token}")
    (log,) = proxied.log.parents[1].glob("access.log")
    assert "/api/v1/environments/" in log.read_text("utf-8")
    assert proxied.token not in log.read_text("utf-8")
