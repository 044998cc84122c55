"""Two of each process over one installation: each event is there once, and one that is too many is told so."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.e2e.conftest import eventually
from tests.faults.site import EXPERIMENT, Outcome, Site

pytestmark = pytest.mark.slow


def at_once(site: Site, *commands: tuple[str, ...]) -> list[Outcome]:
    """Run commands at once."""
    with ThreadPoolExecutor(len(commands)) as pool:
        return list(pool.map(lambda arguments: site.run(*arguments), commands))


def test_two_collectors__one_killed__events_of_both_are_there_once(site: Site) -> None:
    site.environment = {"EXPERIMENT_PIPELINE_LANDING_OBJECT_AGE": "3600"}
    with site.server() as first, site.server("serve") as second:
        for number in range(20):
            for name, server in (("first", first), ("second", second)):
                assert server.send(f"{name}-{number}").status_code == 202
        first.popen.kill()
        first.popen.wait()
        assert second.send("after").status_code == 202
        with site.server() as third:
            assert third.send("again").status_code == 202
    assert site.run("lake", "ingest").worked
    site.require_exactly_once()


def test_refreshes_at_once__of_one_experiment__publish_or_say_that_another_run_has_it(site: Site) -> None:
    site.land("first")
    assert site.run("lake", "ingest").worked
    outcomes = at_once(site, ("refresh", EXPERIMENT), ("refresh", EXPERIMENT))
    assert any(outcome.worked for outcome in outcomes)
    for outcome in outcomes:
        assert outcome.worked or "holds experiment" in outcome.said, outcome.said
        assert "Traceback" not in outcome.said
    assert site.failures() == 0
    site.require_results_of_what_was_sent()


def test_compactions_at_once__beside_an_ingestion__every_event_stays_there_once(site: Site) -> None:
    for number in range(2):
        site.land(f"{number}")
        assert site.run("lake", "ingest").worked
    site.land("beside")
    compact = ("lake", "compact", "--whole")
    outcomes = at_once(site, compact, compact, ("lake", "ingest"))
    assert [outcome.said for outcome in outcomes if not outcome.worked] == []
    site.require_exactly_once()


@pytest.mark.e2e
def test_two_daemons__over_one_dagster_home__every_event_is_there_once(site: Site) -> None:
    assert site.run("environments", "list").worked
    with site.daemon(), site.daemon():
        for number in range(3):
            site.land(f"{number}")
            eventually(lambda: site.lake_events() == len(site.sent), "it is ingested")
    site.require_exactly_once()
    site.require_results_of_what_was_sent()
