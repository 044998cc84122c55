"""What an ingestion by hand says of events that came for final results."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest
from click.testing import Result

from experiment_pipeline.domain.experiments import ExperimentStatus
from experiment_pipeline.domain.refresh import Computation, Publication
from experiment_pipeline.registry.registry import Registry
from experiment_pipeline.resources.dagster_instance import newest_evaluation, open_instance
from experiment_pipeline.settings import PREFIX
from tests.cli.conftest import MANIFEST, Run
from tests.lake.ledger import land, record

DAY = timedelta(days=1)
NOW = datetime.now(UTC).replace(microsecond=0)
LATE = {"event": "$flag_exposure", "feature_name": "checkout_button", "value": "larger"}


@pytest.fixture
def final(run: Run, tmp_path: Path) -> Iterator[Run]:
    """An experiment of the last two days, its results final."""
    started = f"started_at: {(NOW - 2 * DAY).isoformat()}"
    (tmp_path / "experiments.yaml").write_text(MANIFEST.replace("status: running", f"status: running\n    {started}"))
    assert run("apply", tmp_path / "experiments.yaml").exit_code == 0
    registry = Registry.open(f"sqlite:///{tmp_path / 'data' / 'registry.sqlite'}")
    ended = registry.experiments.transition(1, ExperimentStatus.COMPLETED, actor="test", now=NOW)
    registry.batches.record_scan(NOW)
    opened = registry.runs.open(ended.id, "last", NOW, DAY)
    zero = timedelta(0)
    assert registry.computations.publish(
        Publication(opened, Computation.RESULTS, {}, "1", NOW, zero, findings=[])
    ).is_final
    yield run
    registry.close()


def late(event: dict[str, str], identifier: str) -> dict[str, object]:
    return record(**event, identifier=identifier, timestamp=(NOW - DAY).isoformat())


def health(run: Run) -> list[dict[str, object]]:
    shown: Result = run("results", "checkout", "--json")
    found: list[dict[str, object]] = json.loads(shown.stdout)["health"]["findings"]
    return found


@pytest.mark.slow
def test_lake_ingest__events_for_final_results__names_the_experiment(final: Run, tmp_path: Path) -> None:
    landing = tmp_path / "data" / "landing"
    land(landing, [late(LATE, "a"), late(LATE, "b"), late({"event": "other"}, "a")], "a.jsonl", "production")
    told = final("lake", "ingest")
    assert told.output.endswith(
        "Late: some events belong to results that are final, and do not count there: checkout.\n"
        "  experiment-pipeline results KEY says how many.\n"
    )
    (finding,) = health(final)
    assert (finding["check"], finding["severity"]) == ("no_late_events", "warning")
    assert "2 exposures of the flag and 0 events of its metrics" in str(finding["detail"])
    land(landing, [late({"event": "purchase"}, "a")], "b.jsonl", "production")
    assert json.loads(final("lake", "ingest", "--json").stdout)["late_events"] == {"count": 1, "first": ["checkout"]}
    assert "2 exposures of the flag and 1 events of its metrics" in str(health(final)[0]["detail"])
    key = dg.AssetCheckKey(dg.AssetKey("experiment_results"), "no_late_events")
    with open_instance(tmp_path / "data" / "dagster") as instance:
        newest = newest_evaluation(instance, key, "checkout-1")
    assert newest is not None
    assert newest.metadata["metric_events"].value == 1
    assert json.loads(final("lake", "ingest", "--json").stdout)["late_events"] == {"count": 0, "first": []}


ROWS = "user,at,nr\n" + "".join(f"{user},{(NOW - DAY).isoformat()},{user}\n" for user in "abc")
SOURCE = """
sources:
  orders: {files: orders.csv, as: {event: purchase, identifier: user, timestamp: at, event_id: nr}}
"""


def test_pull_again__that_removes_rows_under_final_results__says_so_and_counts_none_as_late__e6(
    run: Run, tmp_path: Path
) -> None:
    started = f"started_at: {(NOW - 2 * DAY).isoformat()}"
    manifest = MANIFEST.replace("status: running", f"status: running\n    {started}") + SOURCE
    (tmp_path / "experiments.yaml").write_text(manifest)
    (tmp_path / "orders.csv").write_text(ROWS)
    assert run("apply", tmp_path / "experiments.yaml").exit_code == 0
    assert run("sources", "pull", "orders").exit_code == 0
    registry = Registry.open(f"sqlite:///{tmp_path / 'data' / 'registry.sqlite'}")
    now = datetime.now(UTC)  # after the pull, however long ago this module was imported
    ended = registry.experiments.transition(1, ExperimentStatus.COMPLETED, actor="test", now=now)
    registry.batches.record_scan(now)
    opened = registry.runs.open(ended.id, "last", now, DAY)
    last = Publication(opened, Computation.RESULTS, {}, "1", now, timedelta(0), findings=[])
    assert registry.computations.publish(last).is_final
    registry.close()
    (tmp_path / "orders.csv").write_text(ROWS.replace(f"c,{(NOW - DAY).isoformat()},c", "").strip() + "\n")
    told = run("sources", "pull", "orders", "--again")
    assert told.exit_code == 0, told.output
    assert "Late" not in told.output
    removed = "Removed: some events that final results count have left; the results stay: checkout.\n"
    assert told.output.endswith(f"{removed}  experiment-pipeline results KEY says how many.\n")
    (finding,) = health(run)
    assert finding["title"] == "Removed events"
    assert str(finding["detail"]).startswith("1 exposures and events that the results count have been removed")
    again = json.loads(run("sources", "pull", "orders", "--again", "--json").stdout)
    assert (again["late_events"]["count"], again["removed_events"]["count"]) == (0, 0)


@pytest.mark.slow
def test_lake_ingest_again_and_retry__events_for_final_results__name_the_experiment(
    final: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    landing = tmp_path / "data" / "landing"
    land(landing, [late({"event": "other"}, "a")], "a.jsonl", "production")
    without_zone = late(LATE, "b") | {"timestamp": f"{NOW - DAY:%Y-%m-%dT%H:%M:%S}"}
    land(landing, [without_zone], "b.jsonl", "production")
    assert "Late" not in final("lake", "ingest").output
    (changed,) = landing.rglob("a.jsonl")
    changed.write_text(json.dumps(late(LATE, "later")))
    again = final("lake", "ingest", "--again", changed)
    assert "do not count there: checkout." in again.output, again.output
    assert "1 exposures of the flag" in str(health(final)[0]["detail"])
    monkeypatch.setenv(f"{PREFIX}LANDING_TIMEZONE", "UTC")
    planned = json.loads(final("lake", "rejected", "--retry", "--dry-run", "--json").stdout)
    assert planned["late_events"] == {"count": 0, "first": []}
    retried = json.loads(final("lake", "rejected", "--retry", "--json").stdout)
    assert retried["late_events"] == {"count": 1, "first": ["checkout"]}
    assert "2 exposures of the flag" in str(health(final)[0]["detail"])
