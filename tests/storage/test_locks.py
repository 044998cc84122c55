"""Leases over a real S3-compatible server, and locks of local folders."""

import threading
from pathlib import Path

import pytest

from experiment_pipeline.storage.locks import RELEASED, Lease, exclusive, shared
from experiment_pipeline.storage.object_path import ObjectPath

SHORT = 0.3  # seconds


@pytest.fixture
def path(object_storage: str, tmp_path: Path) -> ObjectPath:
    return ObjectPath.of_url(object_storage, tmp_path) / ".lock"


def in_turns(hold: "threading.Barrier", enter: object) -> list[str]:
    """Let four threads into a block at once; return what happened in which order."""
    seen: list[str] = []

    def work() -> None:
        hold.wait()
        with enter():  # type: ignore[operator]
            seen.append("in")
            seen.append("out")

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return seen


def test_exclusive__of_a_local_folder__lets_one_in_at_a_time(tmp_path: Path) -> None:
    assert in_turns(threading.Barrier(4), lambda: exclusive(tmp_path / "lake", ".lock")) == ["in", "out"] * 4


def test_shared__of_a_local_folder__lets_others_in(tmp_path: Path) -> None:
    with shared(tmp_path, ".lock"), shared(tmp_path, ".lock"):
        pass


@pytest.mark.slow
def test_exclusive__of_a_bucket__lets_one_in_at_a_time(path: ObjectPath) -> None:
    assert in_turns(threading.Barrier(4), lambda: exclusive(path.parent, ".lock")) == ["in", "out"] * 4
    assert path.read_bytes() == RELEASED


@pytest.mark.slow
def test_lease__of_an_owner_that_died__is_taken_over(path: ObjectPath) -> None:
    path.create(b"somebody 1")
    with Lease(path, SHORT).held():
        assert not path.read_bytes().startswith(b"somebody")
    assert path.read_bytes() == RELEASED


@pytest.mark.slow
def test_lease__of_an_owner_that_renews_it__is_not_taken_over(path: ObjectPath) -> None:
    entered = threading.Event()

    def wait_for_it() -> None:
        with Lease(path, SHORT).held():
            entered.set()

    with Lease(path, SHORT).held():
        waiting = threading.Thread(target=wait_for_it)
        waiting.start()
        assert not entered.wait(5 * SHORT)
    waiting.join()
    assert entered.is_set()


@pytest.mark.slow
def test_lease__that_another_one_has_taken__stays_theirs_at_the_end(path: ObjectPath) -> None:
    with Lease(path, SHORT * 100).held():
        path.write_bytes(b"somebody 1")
    assert path.read_bytes() == b"somebody 1"
