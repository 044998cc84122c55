"""Too few open files, too little memory: one line says so, and nothing is lost."""

import json
import socket
from contextlib import ExitStack

import pytest

from tests.e2e.conftest import eventually
from tests.faults.machine import limited
from tests.faults.site import EXPERIMENT, Site

pytestmark = pytest.mark.slow

FEW_FILES = ("Too many open files", "unable to open database file")
LITTLE_MEMORY = ("memory",)


def test_few_open_files__of_a_collector__the_longest_idle_give_way_and_nothing_is_lost(site: Site) -> None:
    log = site.root / "server.log"
    site.wrap = limited(nofile=64)
    with site.server(log=log) as server, ExitStack() as idle:
        assert server.send("before").status_code == 202
        host, port = server.url.removeprefix("http://").split(":")
        for _ in range(150):
            idle.enter_context(socket.create_connection((host, int(port))))
        answered = server.send("meanwhile")
        assert answered.status_code == 202 or answered.headers["retry-after"] == "5"
        idle.close()
        eventually(lambda: server.status("/readyz") == 200, "it is ready")
        assert server.send("after").status_code == 202
    site.wrap = lambda command: command
    assert site.run("lake", "ingest").worked
    site.require_exactly_once()
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert [line for line in lines if "exception" in line] == []


def test_memory_limit_of_the_engine__is_reached__is_told_and_the_last_results_stay(site: Site) -> None:
    site.land("before")
    assert site.run("lake", "ingest").worked
    site.require_results_of_what_was_sent()
    before = site.results()
    site.land("after")
    site.run("lake", "ingest", duckdb_memory_limit="1MB").require_told(*LITTLE_MEMORY)
    assert site.run("lake", "ingest").worked
    site.run("refresh", EXPERIMENT, duckdb_memory_limit="1MB").require_told(*LITTLE_MEMORY)
    assert (site.results(), site.failures()) == (before, 1)
    site.require_exactly_once()
    site.require_results_of_what_was_sent()
    assert site.failures() == 0
