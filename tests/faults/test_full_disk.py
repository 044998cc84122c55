"""Every disk of an installation is full, at every write: one line says so, and nothing is lost (rules E7, R3)."""

from pathlib import Path

import pytest

from tests.e2e.conftest import eventually
from tests.e2e.test_outages import LOCKED, prepare, serving
from tests.faults.dev import developing
from tests.faults.machine import MIB, PAGE, small_disk
from tests.faults.site import EXPERIMENT, Site
from tests.lake.ledger import unnamed_files
from tests.tables.looks import read

pytestmark = pytest.mark.slow

PAGES = (0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 512)  # left free, until the command has room enough
COARSELY = (0, 3, 24, 512)  # for a refresh, which takes seconds
FULL = ("No space left on device", "database or disk is full", "disk I/O error")  # SQLite has two words for it


def test_full_lake__at_each_write_of_an_ingestion__is_told_and_nothing_is_lost(site: Site) -> None:
    refused = 0
    with small_disk(site.settings.lake_dir, 8 * MIB) as disk:
        for pages in PAGES:
            site.land(f"{pages}")
            disk.fill(leaving=pages * PAGE)
            outcome = site.run("lake", "ingest")
            disk.empty()
            if outcome.worked:
                break
            refused += 1
            outcome.require_told(*FULL)
            assert unnamed_files(site.settings.lake_dir) == []
        assert outcome.worked
        assert refused >= 3
        site.require_exactly_once()
        site.require_results_of_what_was_sent()


def test_full_lake__at_each_write_of_a_compaction__is_told_and_nothing_is_lost(site: Site) -> None:
    refused = 0
    with small_disk(site.settings.lake_dir, 8 * MIB) as disk:
        for number in range(2):
            site.land(f"{number}")
            assert site.run("lake", "ingest").worked
        for pages in PAGES:
            disk.fill(leaving=pages * PAGE)
            outcome = site.run("lake", "compact", "--whole")
            site.require_exactly_once()
            disk.empty()
            if outcome.worked:
                break
            refused += 1
            outcome.require_told(*FULL)
            assert unnamed_files(site.settings.lake_dir) == []
        assert outcome.worked
        assert refused >= 3


def test_full_disk__at_each_write_of_the_tables_of_looks__is_told_and_a_refresh_publishes(site: Site) -> None:
    with small_disk(site.settings.tables_dir, 8 * MIB) as disk:
        disk.fill()
        site.land("first")
        assert site.run("lake", "ingest").worked
        outcome = site.run("refresh", EXPERIMENT)
        assert outcome.worked
        assert "The tables of all looks are not written yet: " in outcome.said
        disk.empty()
        assert site.run("tables", "write").worked
        refused = 0
        for pages in PAGES:
            disk.fill(leaving=pages * PAGE)
            outcome = site.run("tables", "rebuild")
            disk.empty()
            assert len(read(site.root, "looks")) == 1
            if outcome.worked:
                break
            refused += 1
            outcome.require_told(*FULL)
            assert unnamed_files(site.settings.tables_dir) == []
        assert outcome.worked
        assert refused >= 2
        assert len(read(site.root, "results")) == 2


@pytest.mark.parametrize("store", ["artifacts", "dagster"])
def test_full_disk__at_each_write_of_a_refresh__is_told_and_the_last_results_stay(site: Site, store: str) -> None:
    site.land("before")
    assert site.run("lake", "ingest").worked
    with small_disk(site.root / store, 16 * MIB) as disk:
        site.require_results_of_what_was_sent()
        before = site.results()
        site.land("after")
        assert site.run("lake", "ingest").worked
        refused = 0
        for pages in COARSELY:
            disk.fill(leaving=pages * PAGE)
            outcome = site.run("refresh", EXPERIMENT)
            disk.empty()
            if outcome.worked:
                break
            refused += 1
            outcome.require_told(*FULL)
            assert site.results() == before
            assert list(disk.folder.rglob("*.tmp")) == []
        assert refused >= 1
        site.require_results_of_what_was_sent()
        assert site.failures() == 0


@pytest.mark.e2e
def test_full_disk__under_every_store_of_dev__it_goes_on_once_there_is_room(tmp_path: Path) -> None:
    log = tmp_path / "dev.log"
    with small_disk(tmp_path / "data", 512 * MIB) as disk:  # what `dev` writes by itself is far from filling it
        site = Site(tmp_path / "data")
        with developing(site, log) as dev:
            assert dev.api.send("before").status_code == 202
            site.land("waiting")
            disk.fill()
            answers = []
            for number in range(1_000):  # what is deleted meanwhile makes room for some
                answers.append(dev.api.send(f"meanwhile-{number}"))
                if answers[-1].status_code == 503:
                    break
                disk.fill()
            assert {answer.status_code for answer in answers} <= {202, 503}
            assert answers[-1].headers["retry-after"] == "5"
            assert [dev.api.status(path) for path in ("/readyz", "/healthz")] == [503, 200]
            eventually(lambda: "disk I/O error" in log.read_text(), "the daemon has met the full disk")
            disk.empty()
            eventually(lambda: dev.api.status("/readyz") == 200, "it is ready")
            dev.require_going_on("there is room")
        site.require_exactly_once()
        site.require_results_of_what_was_sent()


@pytest.mark.e2e
def test_full_registry__of_sqlite__reads_and_events_go_on_and_changes_are_503(tmp_path: Path) -> None:
    with small_disk(tmp_path / "small", 2 * MIB) as disk:
        url = f"sqlite:///{disk.folder / 'registry.sqlite'}"

        def fill() -> bool:
            disk.fill()
            return served.ask("rename").status_code == 503

        with serving(tmp_path, url, prepare(url)) as served:
            eventually(served.works, "all is well")
            eventually(fill, "the journal is full too")
            assert served.statuses() == LOCKED
            disk.empty()
            eventually(served.works, "it goes on")
        served.require_every_event_once(url)
