"""An installation for each fault; and the right to mount small disks, for users who are not root."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.faults.site import Site

ROOT = Path(__file__).parents[2]


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run a test once more in a name space where this user may mount, and take its outcome; not for root, who may."""
    if os.geteuid() == 0 or ROOT / "tests/faults" not in pyfuncitem.path.parents:
        return None
    command = [sys.executable, "-m", "pytest", "-q", "-n", "0", "-p", "no:cacheprovider", pyfuncitem.nodeid]
    ended = subprocess.run(["unshare", "--map-root-user", "--mount", *command], cwd=ROOT, check=False)
    assert ended.returncode == 0
    return True


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """An installation with one experiment, nothing landed yet."""
    return Site(tmp_path / "data")
