"""Incremental refreshes that were killed at every write: the next one equals a full refresh (rules I1, X5)."""

import json
import pickle
import random
import signal
import subprocess
import sys
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from experiment_pipeline.domain.audience import EVERYBODY
from experiment_pipeline.domain.metrics import Metric
from experiment_pipeline.warehouse.duckdb.totals_store import TotalsStore
from experiment_pipeline.warehouse.refreshes import RefreshMode, RefreshPolicy
from tests.incremental.histories import HOUR, PARTITION, TALLIED, History
from tests.lake.ledger import PROD
from tests.recovery.killed_refresh import REFRESH

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> History:
    """A history that was refreshed twice, so that a third refresh removes files, with one more batch."""
    made = History(11, tmp_path_factory.mktemp("prepared") / "history", 0)
    made.metrics = tuple(Metric(n, PROD, str(n), TALLIED[n]) for n in (1, 2, 7))
    made.scope = replace(made.scope, audience=EVERYBODY)
    made.engine = replace(made.engine, refreshes=RefreshPolicy(least_rows=0))
    with closing(made.connect):
        for _ in range(3):
            made.now += 9 * HOUR
            made.land()
            refresh(made)
        made.now += 5 * HOUR
        made.land()
    (made.folder / REFRESH).write_bytes(pickle.dumps((made.scope_now(), made.metrics)))
    return made


@pytest.fixture(scope="module")
def quiet(prepared: History, tmp_path_factory: pytest.TempPathFactory) -> History:
    """The same history, refreshed once more, with nothing new since."""
    made = prepared.copied_to(tmp_path_factory.mktemp("quiet") / "history")
    with closing(made.connect):
        refresh(made)
    made.now += timedelta(seconds=1)
    (made.folder / REFRESH).write_bytes(pickle.dumps((made.scope_now(), made.metrics)))
    return made


def refresh(history: History) -> None:
    """Refresh as the process that is killed does."""
    scope = history.scope_now()
    history.engine.write_first_exposures(scope, RefreshMode.INCREMENTAL)
    history.engine.variant_aggregates(scope, history.metrics, mode=RefreshMode.INCREMENTAL)


def refresh_and_die(folder: Path, point: str, which: int) -> dict[str, int]:
    """Run the refresh in a process of its own; return how often it passed each point, nothing where it died."""
    arguments = [sys.executable, "-m", "tests.recovery.killed_refresh", str(folder), point, str(which)]
    done = subprocess.run(arguments, cwd=ROOT, check=False, capture_output=True, timeout=120)
    assert done.returncode in (0, -signal.SIGKILL), done.stderr.decode()
    passed: dict[str, int] = json.loads(done.stdout.splitlines()[-1]) if done.returncode == 0 else {}
    return passed


def test_refresh__killed_at_every_write__leaves_a_generation_and_the_next_one_equals_a_full_one__i1(
    prepared: History, tmp_path: Path
) -> None:
    points = refresh_and_die(prepared.copied_to(tmp_path / "whole").folder, "none", 1)
    assert set(points) == {
        "rows of totals are written",
        "totals are synced",
        "a generation is published",
        "a file replaces the last one",
        "a file is removed",
    }
    require_recovery(prepared, points, tmp_path)


def test_refresh_with_nothing_new__killed_at_every_write__leaves_the_rows_and_the_next_one_equals_a_full_one__i1(
    quiet: History, tmp_path: Path
) -> None:
    points = refresh_and_die(quiet.copied_to(tmp_path / "whole").folder, "none", 1)
    assert "rows of totals are written" not in points
    assert points["a file replaces the last one"] == 4, "before and after: a stamp, and a generation"
    require_recovery(quiet, points, tmp_path)


def require_recovery(prepared: History, points: dict[str, int], tmp_path: Path) -> None:
    """Kill a refresh at each point; the state is there, and later refreshes equal full ones."""
    for point, times in points.items():
        for which in range(1, times + 1):
            history = prepared.copied_to(tmp_path / f"{point}-{which}")
            assert refresh_and_die(history.folder, point, which) == {}, "it died"
            assert TotalsStore(history.engine.artifacts, PARTITION, 1).generation() is not None, "one is there"
            history.draw = random.Random(which)
            with closing(history.connect):
                history.refresh_and_compare()
                history.now += HOUR
                history.land()
                history.refresh_and_compare()
            assert history.counts["aggregates: incremental"] == 2
            named = {file.name for file in TotalsStore(history.engine.artifacts, PARTITION, 1).generation().files}  # type: ignore[union-attr]
            assert {path.name for path in TotalsStore(history.engine.artifacts, PARTITION, 1).folder.iterdir()} == named
