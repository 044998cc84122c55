"""An S3-compatible server on loopback, SeaweedFS: a test has a prefix or a server of its own."""

import json
import shutil
import socket
import subprocess
import sysconfig
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

BUCKET = "experiments"
KEY, SECRET = "test-key", "test-secret"
GRPC = 10_000  # its servers listen on their port, and on one so much higher
WEED = Path(sysconfig.get_path("scripts"), "weed")


@dataclass
class ObjectServer:
    """A running server with one bucket."""

    port: int
    process: "subprocess.Popen[bytes]"
    bucket: str = f"s3://{BUCKET}"

    @property
    def environment(self) -> dict[str, str]:
        """The variables that a client needs."""
        return {
            "AWS_ACCESS_KEY_ID": KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{self.port}",
            "AWS_REGION": "us-east-1",
            "AWS_ALLOW_HTTP": "true",
        }


@contextmanager
def object_server() -> Iterator[ObjectServer]:
    if not WEED.exists():
        pytest.skip("needs SeaweedFS: make test-slow installs it")
    folder = Path(tempfile.mkdtemp(prefix="experiment-pipeline-objects-"))
    master, volume, filer, port = _free_ports(4)
    keys = {"name": "test", "credentials": [{"accessKey": KEY, "secretKey": SECRET}]}
    (folder / "s3.json").write_text(json.dumps({"identities": [keys | {"actions": ["Admin"]}]}))
    command: list[str | Path] = [
        *(WEED, "-logtostderr=true", "server", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", f"-dir={folder}"),
        *(f"-master.port={master}", f"-volume.port={volume}", "-filer", f"-filer.port={filer}"),
        *(
            "-s3",
            f"-s3.port={port}",
            "-s3.port.iceberg=0",
            "-s3.port.lance=0",
            f"-s3.config={folder / 's3.json'}",
            "-iam=false",
        ),
        *("-master.volumeSizeLimitMB=64", "-volume.max=0", "-volume.minFreeSpacePercent=0", "-master.telemetry=false"),
    ]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, cwd=folder)
    try:
        _wait_for(port, process)
        shell: list[str | Path] = [WEED, "shell", f"-master=127.0.0.1:{master}", f"-filer=127.0.0.1:{filer}"]
        subprocess.run(
            shell, input=f"s3.bucket.create -name {BUCKET}\n".encode(), check=True, capture_output=True, cwd=folder
        )
        yield ObjectServer(port, process)
    finally:
        process.kill()
        process.wait()
        shutil.rmtree(folder, ignore_errors=True)


def _wait_for(port: int, process: "subprocess.Popen[bytes]") -> None:
    until = time.monotonic() + 60
    while time.monotonic() < until and process.poll() is None:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.1)
    raise RuntimeError("the object server did not start")


def _free_ports(count: int) -> list[int]:
    found: list[int] = []
    with ExitStack() as taken:
        while len(found) < count:
            first = taken.enter_context(socket.create_server(("127.0.0.1", 0)))
            port = int(first.getsockname()[1])
            second = socket.socket()
            taken.enter_context(second)
            with suppress(OSError, OverflowError):
                second.bind(("127.0.0.1", port + GRPC))
                found.append(port)
    return found
