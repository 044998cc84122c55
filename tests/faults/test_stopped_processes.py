"""SIGTERM and SIGKILL of each process of `dev`, and a clock that is set meanwhile: it goes on by itself."""

import os
import signal
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
    "daemon": "dagster._daemon run",
    "API": "experiment_pipeline serve",
    "code server": "dagster api grpc",
}


def test_dev__each_process_stopped_and_killed__goes_on_and_every_event_is_there_once(
    site: Site, tmp_path: Path
) -> None:
    log = tmp_path / "dev.log"
    with developing(site, log) as dev:
        for number in (signal.SIGTERM, signal.SIGKILL):
            for name, what in PROCESSES.items():
                os.kill(dev.process(what), number)
                dev.require_going_on(f"{name} {number.name}")
        for name in ("webserver", "daemon", "API"):
            assert log.read_text().count(f"{name} ended with code") == 2
    site.require_exactly_once()
    site.require_results_of_what_was_sent()


def test_dev__killed__takes_its_processes_with_it_and_another_one_starts(site: Site, tmp_path: Path) -> None:
    with developing(site, tmp_path / "dev.log") as dev:
        children = [dev.process(PROCESSES[name]) for name in ("webserver", "daemon", "API")]
        assert dev.api.send("before").status_code == 202
        dev.popen.kill()
        dev.popen.wait()
        for child in children:
            eventually(lambda child=child: not Path(f"/proc/{child}").exists(), "it has ended")  # type: ignore[misc]
    with developing(site, tmp_path / "again.log") as dev:
        dev.require_going_on("the other one")
    site.require_exactly_once()


def test_dev__clock_set_ahead_and_back__goes_on_and_every_event_is_there_once(site: Site, tmp_path: Path) -> None:
    clock = make_clock(tmp_path)
    site.environment |= clock.environment
    with developing(site, tmp_path / "dev.log") as dev:
        dev.require_going_on("the right clock")
        clock.set(HOUR)
        dev.require_going_on("an hour ahead")
        clock.set(0)
        dev.require_going_on("the clock set back")
    site.require_exactly_once()
    site.require_results_of_what_was_sent()
