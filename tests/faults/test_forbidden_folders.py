"""Folders that may only be read, or that another user owns: one line says so, reads go on, and nothing is lost."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import pytest

from tests.e2e.conftest import eventually
from tests.faults.machine import MIB, Disk, modes_count, of_another, small_disk
from tests.faults.site import EXPERIMENT, Site

pytestmark = pytest.mark.slow

Fault = Callable[[Disk], AbstractContextManager[None]]
FORBIDDEN = ("Read-only file system", "Permission denied")


@contextmanager
def read_only(disk: Disk) -> Iterator[None]:
    """A disk that may only be read, as the system makes one that has failed."""
    disk.only_read()
    try:
        yield
    finally:
        disk.only_read(False)


def other_owner(disk: Disk) -> AbstractContextManager[None]:
    """Everything belongs to another user, as after a restore by root."""
    return of_another(disk.folder)


@pytest.fixture(params=[read_only, other_owner], ids=["read_only", "other_owner"])
def fault(request: pytest.FixtureRequest, site: Site) -> Fault:
    """Each of both; commands run without root's power over file modes."""
    site.wrap = modes_count
    found: Fault = request.param
    return found


def test_lake__that_may_not_be_written__is_told_reads_go_on_and_nothing_is_lost(site: Site, fault: Fault) -> None:
    with small_disk(site.settings.lake_dir, 16 * MIB) as disk:
        site.land("before")
        assert site.run("lake", "ingest").worked
        with fault(disk):
            site.require_results_of_what_was_sent()
            for command in (("lake", "status"), ("results", EXPERIMENT)):
                outcome = site.run(*command)
                assert outcome.worked, outcome.said
            site.land("after")
            for command in (("lake", "ingest"), ("lake", "vacuum")):
                site.run(*command).require_told(*FORBIDDEN)
        assert site.run("lake", "ingest").worked
        site.require_exactly_once()


def test_stores_of_a_refresh__that_may_not_be_written__are_told_and_the_last_results_stay(
    site: Site, fault: Fault
) -> None:
    with (
        small_disk(site.settings.artifacts_dir, 16 * MIB) as artifacts,
        small_disk(site.root / "dagster", 16 * MIB) as dagster,
    ):
        site.land("before")
        assert site.run("lake", "ingest").worked
        site.require_results_of_what_was_sent()
        before = site.results()
        site.land("after")
        with fault(artifacts):
            assert site.run("lake", "ingest").worked
            site.run("refresh", EXPERIMENT).require_told(*FORBIDDEN)
            assert site.results() == before
        with fault(dagster):
            site.run("refresh", EXPERIMENT).require_told(*FORBIDDEN)
            assert site.results() == before
            assert site.run("results", EXPERIMENT).worked
        site.require_exactly_once()
        site.require_results_of_what_was_sent()
        assert site.failures() == 0


def test_landing_zone__that_may_not_be_written__refuses_events_and_is_ingested(site: Site, fault: Fault) -> None:
    with small_disk(site.settings.landing_dir, 16 * MIB) as disk, site.server() as server:
        assert server.send("before").status_code == 202
        eventually(lambda: not list(disk.folder.glob(".open/*/*.jsonl")), "the segment is published")
        with fault(disk):
            refused = server.send("meanwhile")
            assert (refused.status_code, refused.headers["retry-after"]) == (503, "5")
            assert server.status("/readyz") == 503
            assert server.status("/healthz") == 200
            assert site.run("lake", "ingest").worked
        assert server.status("/readyz") == 200
        assert server.send("after").status_code == 202
        eventually(lambda: not list(disk.folder.glob(".open/*/*.jsonl")), "the segment is published")
        assert site.run("lake", "ingest").worked
        site.require_exactly_once()


def test_server__whose_landing_zone_may_not_be_written__starts_and_says_that_it_is_not_ready(
    site: Site, fault: Fault
) -> None:
    log = site.root / "server.log"
    with small_disk(site.settings.landing_dir, 16 * MIB) as disk:
        with fault(disk), site.server(log=log, ready=503) as server:
            assert server.status("/healthz") == 200
            assert server.send("meanwhile").status_code == 503
        assert "Traceback" not in log.read_text()
