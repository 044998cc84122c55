"""When the newest events of an environment landed, from senders and from each source."""

from datetime import timedelta

import pytest

from experiment_pipeline.domain.batches import LandedObject
from experiment_pipeline.domain.delivered_records import DeliveredRecords, EnvironmentCounts
from experiment_pipeline.domain.experiments import Experiment
from experiment_pipeline.domain.exposures import Window
from experiment_pipeline.domain.refresh import Computation, Publication
from experiment_pipeline.domain.source_ranges import SourceRange
from experiment_pipeline.health.freshness import CHECK, judge_freshness
from experiment_pipeline.health.thresholds import Thresholds
from experiment_pipeline.registry.registry import Registry
from experiment_pipeline.schemas.manifests import parse_manifest
from tests.registry.conftest import ACTOR, HOUR, MINUTE, NOW

SOURCES = """
sources:
  orders: &source
    environment: production
    files: orders.csv
    as: [{event: ordered, identifier: who, timestamp: at}]
  refunds: {<<: *source}
"""


def land(registry: Registry, *names: str, hours: int = 1, committed: bool = True) -> None:
    """Let objects land so many hours after now, each in the environment of its path."""
    at = NOW + hours * HOUR
    objects = [LandedObject(name, name.split("/")[1].removeprefix("env_key="), at, 10) for name in names]
    batch = registry.batches.plan_batch(objects, at)
    if committed:
        registry.batches.commit_batch(batch.number, accepted=1, duplicates=0, rejected={}, problems={}, now=at)


@pytest.mark.usefixtures("running")
def test_arrivals__of_senders__are_those_of_the_newest_committed_batch(registry: Registry) -> None:
    assert registry.health.arrivals("production") == {}
    land(registry, "events/env_key=production/a.jsonl", hours=2)
    land(registry, "events/env_key=production/b.jsonl", "events/env_key=staging/c.jsonl", hours=5)
    land(registry, "events/env_key=production/sources/orders/1/d.parquet", hours=7)
    land(registry, "events/env_key=production/e.jsonl", hours=9, committed=False)
    assert registry.health.arrivals("production") == {"senders": NOW + 5 * HOUR}
    assert registry.health.arrivals("nowhere") == {}


@pytest.mark.usefixtures("running")
def test_arrivals__of_sources__are_those_of_their_ranges_that_brought_something(registry: Registry) -> None:
    registry.manifests.apply(parse_manifest(SOURCES), actor=ACTOR, now=NOW)
    assert registry.health.arrivals_began("production") is None
    land(registry, "events/env_key=production/a.jsonl", "events/env_key=staging/b.jsonl", hours=2)
    assert registry.health.arrivals_began("production") == NOW + 2 * HOUR
    for number, hours, records in ((1, 4, 7), (2, 6, 7), (3, 8, 0)):
        registry.source_ranges.plan(SourceRange("orders", number, 1, f"v1-{number}", NOW, f"{number}", f"{number + 1}"))
        at = NOW + hours * HOUR
        registry.source_ranges.close("orders", number, rows=records, records=records, now=at)
    arrivals = {"senders": NOW + 2 * HOUR, "the source orders": NOW + 6 * HOUR, "the source refunds": None}
    assert registry.health.arrivals("production") == arrivals
    assert registry.health.arrivals_began("production") == NOW + 4 * HOUR


def test_live__of_what_runs__judges_arrivals_as_of_now(registry: Registry, running: Experiment) -> None:
    run = registry.runs.open(running.id, "run", NOW + HOUR, MINUTE)
    fresh = {"check": CHECK.name, **judge_freshness({}, NOW, HOUR).to_json()}
    other = {**fresh, "check": "other"}
    publication = Publication(run, Computation.RESULTS, {}, "1", NOW + HOUR, HOUR, findings=[fresh, other])
    assert registry.health.live(running, NOW, Thresholds()) is None
    registry.computations.publish(publication)
    land(registry, "events/env_key=production/a.jsonl", hours=2)
    thresholds = Thresholds(event_age=timedelta(hours=3))
    codes = {
        hours: [each["code"] for each in live.findings]
        for hours in (5, 6)
        if (live := registry.health.live(running, NOW + hours * HOUR, thresholds)) is not None
    }
    assert codes == {5: ["events_arrive", "events_arrive"], 6: ["events_stale", "events_arrive"]}
    assert registry.health.get(running.id).findings == [fresh, other]  # type: ignore[union-attr]


def counted(accepted: int) -> EnvironmentCounts:
    return EnvironmentCounts(accepted=accepted, duplicates=1, rejected={"not_json": 2}, retried={})


@pytest.mark.usefixtures("running")
def test_delivered_records__are_those_of_batches_that_landed_in_the_window(registry: Registry) -> None:
    for hours, counts in (
        (1, {"production": counted(1)}),
        (2, {"production": counted(10), "staging": counted(1_000)}),
        (3, None),  # of an earlier release
        (4, {"staging": counted(1_000)}),
        (5, {"production": counted(100)}),
        (6, {"production": counted(10_000)}),
    ):
        environment = "staging" if hours == 4 else "production"
        at = NOW + hours * HOUR
        landed = LandedObject(f"events/env_key={environment}/{hours}.jsonl", environment, at, 10)
        number = registry.batches.plan_batch([landed], at).number
        registry.batches.commit_batch(
            number, accepted=1, duplicates=0, rejected={}, problems={}, by_environment=counts, now=at
        )
    window = Window(NOW + 2 * HOUR, NOW + 6 * HOUR)
    found = registry.health.delivered_records("production", window, 6)
    assert found == DeliveredRecords(2, 1, 110, 2, {"not_json": 4})
    assert registry.health.delivered_records("production", window, 4) == DeliveredRecords(1, 1, 10, 1, {"not_json": 2})
    assert registry.health.delivered_records("nowhere", window, 6) == DeliveredRecords()
