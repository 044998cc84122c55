"""The parts as the image runs them: another user, no capabilities, and a root that cannot be written."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from experiment_pipeline.settings import PREFIX
from tests.assets.conftest import Installation, installation  # noqa: F401 - a fixture
from tests.e2e.conftest import eventually, free_port
from tests.e2e.test_collector import Process
from tests.e2e.test_senders import one_event
from tests.e2e.test_server import _is_up

pytestmark = pytest.mark.e2e
USER = 10001  # of deploy/Containerfile
TESTS_ROOT = Path(__file__).parents[2]
LOCKED = """
mount -o remount,bind,ro / || exit 42
for each in $(awk '$3 != "proc" && $3 != "sysfs" && $2 != "/" {{print $2}}' /proc/mounts); do
  mount -o remount,bind,ro "$each" 2> /dev/null || true
done
mount --bind {data} {data} && mount -o remount,bind,rw {data} && mount -t tmpfs tmpfs {tmp} || exit 42
exec setpriv --reuid {user} --regid {user} --clear-groups --no-new-privs --inh-caps=-all --bounding-set=-all "$@"
"""


def locked(data_dir: Path, *command: str) -> "subprocess.Popen[bytes]":
    """Start a command with nothing to write but the data directory and a folder for temporary files."""
    if os.getuid() or not shutil.which("unshare") or not shutil.which("setpriv"):
        pytest.skip("only root may mount")
    tmp = data_dir.parent / "tmp"
    tmp.mkdir(exist_ok=True)
    script = LOCKED.format(data=data_dir, tmp=tmp, user=USER)
    environment = os.environ | {
        f"{PREFIX}DATA_DIR": str(data_dir),
        "DAGSTER_HOME": str(data_dir / "dagster"),
        "TMPDIR": str(tmp),
        "HOME": str(tmp),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    unshare = ["unshare", "--mount", "sh", "-c", script, "sh", sys.executable, "-m", *command]
    return subprocess.Popen(unshare, env=environment, cwd=TESTS_ROOT)


def give_away(folder: Path) -> None:
    """Let the image's user own what a test has prepared, and reach it."""
    for path in [folder, *folder.rglob("*")]:
        os.chown(path, USER, USER)
    for parent in folder.parents[:-2]:
        parent.chmod(parent.stat().st_mode | 0o555)


def test_parts__as_another_user_on_a_read_only_root__take_events_and_ingest_them(
    installation: Installation,  # noqa: F811
) -> None:
    data_dir = installation.settings.data_dir.resolve()
    (data_dir / "dagster").mkdir(exist_ok=True)
    give_away(data_dir)
    port = free_port()
    popen = locked(data_dir, "experiment_pipeline", "serve", "--port", str(port))
    server = Process(f"http://127.0.0.1:{port}", popen)
    try:
        eventually(lambda: _is_up(server.url) or popen.poll() is not None, "the server answers")
        if popen.poll() == 42:
            pytest.skip("mounts are not allowed here")
        status = Path(f"/proc/{popen.pid}/status").read_text()
        assert f"Uid:\t{USER}" in status
        assert server.send(one_event("a")).status_code == 202
    finally:
        popen.terminate()
        assert popen.wait(timeout=60) in (0, -15)
    ingested = locked(data_dir, "experiment_pipeline", "lake", "ingest")
    assert ingested.wait(timeout=120) == 0
    checked = locked(data_dir, "dagster", "definitions", "validate", "-m", "experiment_pipeline.definitions")
    assert checked.wait(timeout=120) == 0
    writes = locked(data_dir, "venv", "/opt/written-by-a-test")
    assert writes.wait(timeout=60) != 0, "the root can be written"
    assert not Path("/opt/written-by-a-test").exists()
