"""SIGTERM and SIGKILL of each process of `dev`, and a clock that is set meanwhile: it goes on by itself."""

import os
import signal
from itertools import cycle
from pathlib import Path

import pytest

from tests.e2e.conftest import eventually
from tests.faults.dev import developing
from tests.faults.machine import make_clock
from tests.faults.site import Site

pytestmark = [pytest.mark.slow, pytest.mark.e2e]

HOUR = 3_600
PROCESSES = {
    "webserver": "dagster_webserver",
    "daemon": "resources.dagster_daemon run",
    "API": "experiment_pipeline serve",
}
CODE_SERVER = "dagster api grpc"  # webserver and daemon have one each
SIGNALS = (signal.SIGTERM, signal.SIGKILL)


def have_ended(processes: list[int]) -> bool:
    """Whether none of these processes is there, and `dev` has seen their ends."""
    return not any(Path(f"/proc/{pid}").exists() for pid in processes)


def test_dev__each_process_stopped_and_killed__goes_on_and_every_event_is_there_once(
    site: Site, tmp_path: Path
) -> None:
    log = tmp_path / "dev.log"
    with developing(site, log) as dev:
        for number in SIGNALS:
            stopped = [dev.process(what) for what in PROCESSES.values()]
            for pid in stopped:
                os.kill(pid, number)
            eventually(lambda stopped=stopped: have_ended(stopped), "they have ended")  # type: ignore[misc]
            dev.require_going_on(number.name)
        assert [log.read_text().count(f"{name} ended with code") for name in PROCESSES] == [2, 2, 2]
        for pid, number in zip(dev.processes(CODE_SERVER, 2), cycle(SIGNALS), strict=False):
            os.kill(pid, number)
        dev.require_going_on("code servers")
    site.require_exactly_once()
    site.require_results_of_what_was_sent()


def test_dev__killed__takes_its_processes_with_it_and_another_one_starts(site: Site, tmp_path: Path) -> None:
    with developing(site, tmp_path / "dev.log") as dev:
        children = [dev.process(what) for what in PROCESSES.values()]
        assert dev.api.send("before").status_code == 202
        dev.popen.kill()
        dev.popen.wait()
        eventually(lambda: have_ended(children), "they have ended")
    with developing(site, tmp_path / "again.log"):
        eventually(lambda: site.lake_events() == len(site.sent), "the other one ingests")
    site.require_exactly_once()


def test_dev__clock_set_ahead_and_back__goes_on_and_every_event_is_there_once(site: Site, tmp_path: Path) -> None:
    clock = make_clock(tmp_path)
    site.environment |= clock.environment
    with developing(site, tmp_path / "dev.log") as dev:
        clock.set(HOUR)
        dev.require_going_on("an hour ahead")
        clock.set(0)
        dev.require_going_on("the clock set back")
    site.require_exactly_once()
