"""A clock that is set ahead and back while everything runs: nothing is lost, and results are those of a right clock."""

import subprocess
import sys
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from subprocess import DEVNULL

import pytest

from experiment_pipeline.lake.lake import Lake
from experiment_pipeline.settings import PREFIX
from tests.e2e.conftest import eventually
from tests.faults.machine import Clock, make_clock
from tests.faults.site import EXPERIMENT, Site
from tests.lake.ledger import stored

pytestmark = pytest.mark.slow

HOUR, DAY, YEAR = 3_600, 86_400, 365 * 86_400
MANY = 25  # ingestions; Delta cleans its log at every twentieth commit
IN_ONE_PROCESS = """
import sys
from pathlib import Path
from experiment_pipeline.cli.main import main

for path in sorted(Path(sys.argv[1]).iterdir()):
    path.rename(Path(sys.argv[2], path.name))
    main(["lake", "ingest"], standalone_mode=False)
"""


@pytest.fixture
def clock(site: Site, tmp_path: Path) -> Clock:
    """The clock of all processes of the installation."""
    made = make_clock(tmp_path)
    site.environment = made.environment
    return made


def test_clock__set_while_events_come_and_are_ingested__every_event_is_there_once(site: Site, clock: Clock) -> None:
    early = []
    site.environment |= {f"{PREFIX}LANDING_OBJECT_AGE": "2"}  # so that a segment is open while the clock is set
    with site.server() as server:
        for number, seconds in enumerate((HOUR, -HOUR, DAY, -DAY, YEAR, -YEAR, 0)):
            assert server.send(f"{number}-before").status_code == 202
            clock.set(seconds)
            assert server.send(f"{number}-after").status_code == 202
            dated = server.send(f"{number}-dated", datetime.now(UTC) - timedelta(hours=1))
            early += [each["reason"] for each in dated.json()["rejected"]]
            assert server.status("/readyz") == 200
            eventually(lambda: not list(site.settings.landing_dir.glob(".open/*/*.jsonl")), "segments are published")
            outcome = site.run("lake", "ingest")
            assert outcome.worked, outcome.said
    assert site.run("lake", "ingest").worked
    site.require_exactly_once()
    # To a clock that is a year late, what happens now is more than a day ahead (rule E3): the sender is told.
    assert early == ["timestamp_in_future"]
    assert Counter(row["reason"] for row in stored(Lake(site.settings.lake_dir), "rejected")) == Counter(early)


def test_clock__set_between_refreshes__results_are_the_same_and_later_ones_are_published(
    site: Site, clock: Clock
) -> None:
    site.environment |= {f"{PREFIX}REFRESH_MIN_INTERVAL": "300"}
    for seconds in (DAY, YEAR, -YEAR, 0):
        clock.set(seconds)
        if seconds == -YEAR:  # before it started
            refused = site.run("refresh", EXPERIMENT)
            assert refused.code == 2, refused.said
            continue
        site.land(f"{seconds}")
        assert site.run("lake", "ingest").worked
        site.require_results_of_what_was_sent()
    site.require_exactly_once()


def test_clock__a_year_ahead_for_long_and_set_right__the_lake_can_be_read_and_written(site: Site, clock: Clock) -> None:
    site.land("before")
    assert site.run("lake", "ingest").worked
    waiting = site.root / "waiting"
    waiting.mkdir()
    for number in range(MANY):
        landed = site.land(f"ahead-{number}")
        landed.rename(waiting / landed.name)
    clock.set(YEAR)
    subprocess.run(
        [sys.executable, "-c", IN_ONE_PROCESS, waiting, landed.parent], env=site.variables, stdout=DEVNULL, check=True
    )
    assert list(site.settings.lake_dir.glob("events/_delta_log/*.checkpoint.parquet")) != []
    assert site.run("lake", "compact").worked
    assert site.run("lake", "vacuum").worked
    clock.set(0)
    site.land("after")
    assert site.run("lake", "ingest").worked
    site.require_exactly_once()
    site.require_results_of_what_was_sent()
