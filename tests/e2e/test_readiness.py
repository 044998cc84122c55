"""The collector as a process on a disk that fills up: `/readyz` says what the senders meet, and nothing is lost."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from experiment_pipeline.landing.json_lines import LineReader
from experiment_pipeline.landing.landing_zone import landed_objects
from tests.assets.conftest import Installation, installation  # noqa: F401 - a fixture
from tests.e2e.conftest import eventually
from tests.e2e.test_collector import collector

pytestmark = pytest.mark.e2e
KIB = 1 << 10


@pytest.fixture
def small_disk(installation: Installation) -> Iterator[Path]:  # noqa: F811
    """The installation's landing zone on a disk of 512 KiB."""
    landing = installation.settings.landing_dir
    landing.mkdir(parents=True, exist_ok=True)
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", str(landing)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("no small disk can be mounted here: that needs root")
    yield landing
    subprocess.run(["umount", str(landing)], check=True)


def test_disk_full__readyz_says_so_until_there_is_room__and_what_was_acknowledged_is_there(
    installation: Installation,  # noqa: F811
    small_disk: Path,
) -> None:
    acknowledged = []
    with collector(installation.settings.data_dir, EXPERIMENT_PIPELINE_LANDING_OBJECT_AGE="3600") as server:
        filler = small_disk / "filler"
        for number in range(200):
            body = json.dumps({"events": [{"event": "e", "identifier": f"{number}", "value": "x" * 8 * KIB}]}).encode()
            if number == 3:
                filler.write_bytes(bytes(300 * KIB))
            answered = server.send(body)
            if answered.status_code != 202:
                break
            acknowledged.append(body.decode())
        assert (answered.status_code, answered.headers["retry-after"]) == (503, "5")
        refused = server.get("/readyz")
        assert (refused.status_code, refused.json()["detail"]) == (
            503, "Not ready: the landing zone cannot be written.",
        )  # fmt: skip
        filler.unlink()
        eventually(lambda: server.get("/readyz").status_code == 200, "there is room again")
        assert server.send(body).status_code == 202
        acknowledged.append(body.decode())
    readers = [LineReader(small_disk / each.name) for each in landed_objects(small_disk)]
    assert sorted(line for reader in readers for frame in reader.lines() for line in frame["text"]) == sorted(
        acknowledged
    )
