"""Two of each process over one installation: each event is there once, and whoever is too many is told so."""

import pytest

from tests.faults.site import Site

pytestmark = pytest.mark.slow


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
