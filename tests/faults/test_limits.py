"""Too few open files, too little memory: one line says so, and nothing is lost."""

import json
import socket
from contextlib import ExitStack

import pytest

from tests.e2e.conftest import eventually
from tests.faults.machine import MIB, limited, with_open_files
from tests.faults.site import EXPERIMENT, Site
from tests.lake.ledger import unnamed_files

pytestmark = pytest.mark.slow

FEW_FILES = ("Raise the limit of open files (ulimit -n)", "raise the limit of open files (ulimit -n)")
LITTLE_MEMORY = ("memory",)


def free(command: list[str]) -> list[str]:
    """Return the command without a limit."""
    return command


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
    site.wrap = free
    assert site.run("lake", "ingest").worked
    site.require_exactly_once()
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert [line for line in lines if "exception" in line] == []


@pytest.mark.parametrize("command", [("lake", "ingest"), ("refresh", EXPERIMENT)], ids=" ".join)
def test_few_open_files__of_a_command__are_refused_before_anything_begins(site: Site, command: tuple[str, ...]) -> None:
    site.land("before")
    site.wrap = limited(nofile=63)
    outcome = site.run(*command)
    outcome.require_told("63 open files are allowed, and 64 are needed at least. Raise the limit")
    assert len(outcome.said.splitlines()) == 1
    assert (site.lake_events(), site.failures()) == (0, 0)
    site.wrap = free
    assert site.run("lake", "ingest").worked
    site.require_exactly_once()
    site.wrap = limited(nofile=64)
    site.require_results_of_what_was_sent()


def test_open_files__that_run_out_in_an_ingestion__are_told_and_nothing_is_lost(site: Site) -> None:
    refused = 0
    for left in range(8, 32, 3):
        site.land(f"{left}")
        site.wrap = with_open_files(left)
        outcome = site.run("lake", "ingest")
        site.wrap = free
        if not outcome.worked:
            refused += 1
            outcome.require_told(*FEW_FILES)
            assert site.run("lake", "ingest").worked
        assert unnamed_files(site.settings.lake_dir) == []
        site.require_exactly_once()
    assert refused >= 3


def test_open_files__that_run_out_in_a_refresh__are_told_and_the_last_results_stay(site: Site) -> None:
    site.land("before")
    assert site.run("lake", "ingest").worked
    site.require_results_of_what_was_sent()
    before = site.results()
    site.land("after")
    assert site.run("lake", "ingest").worked
    for left in (8, 17, 23, 27):
        site.wrap = with_open_files(left)
        site.run("refresh", EXPERIMENT).require_told(*FEW_FILES)
        assert site.results() == before
    site.wrap = free
    site.require_results_of_what_was_sent()
    assert site.failures() == 0


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


def test_memory_limit_of_the_process__is_reached__ends_it_and_the_last_results_stay(site: Site) -> None:
    site.land("before")
    assert site.run("lake", "ingest").worked
    site.require_results_of_what_was_sent()
    before = site.results()
    site.land("after")
    assert site.run("lake", "ingest").worked
    within = ["timeout", "--signal=KILL", "120"]  # libraries may wait for threads that could not start
    site.wrap = lambda command: [*within, *limited(**{"as": 1_000 * MIB})(command)]
    assert not site.run("refresh", EXPERIMENT).worked
    assert site.results() == before
    site.wrap = free
    site.require_exactly_once()
    site.require_results_of_what_was_sent()
    assert site.failures() == 0
