"""Growth: what one run, batch, object and look adds to each store, measured on a small installation of real parts.

    python -m tests.bench.growth [--events-per-second N] [--batches N] [--experiments N]

Prints bytes per unit; docs/reliability.md multiplies them by what a day has of each.
"""

import argparse
import gzip
import json
import random
import sqlite3
import tempfile
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import dagster as dg
from dagster._core.definitions.run_request import InstigatorType
from dagster._core.scheduler.instigation import TickData, TickStatus

from experiment_pipeline.assets.partitions import EXPERIMENTS
from experiment_pipeline.definitions import build
from experiment_pipeline.lake.inspection import partitions
from experiment_pipeline.lake.lake import Lake
from experiment_pipeline.landing.layout import stamped
from experiment_pipeline.registry.registry import Registry
from experiment_pipeline.resources.dagster_instance import add_partitions, open_instance, run_here
from experiment_pipeline.schemas.manifests import parse_manifest
from experiment_pipeline.settings import Settings

TICKS = 500
INGESTION_SECONDS, OBJECT_SECONDS = 30, 5  # defaults of `ingestion_interval` and `landing_object_age`
IDENTITIES = 200_000
EVENTS = ("$flag_exposure", "purchase", "page_viewed", "searched")
PAIR = 2  # variants that nearly every experiment has: control and one other


@dataclass(frozen=True, slots=True)
class Traffic:
    """How much is sent, and for how many experiments."""

    events_per_second: int
    batches: int
    experiments: int


def main(traffic: Traffic) -> None:
    """Measure, and print bytes per unit."""
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(data_dir=Path(folder), landing_object_age=timedelta(0))
        registry = Registry.open(settings.database_url)
        registry.manifests.apply(parse_manifest(_manifest(traffic.experiments)), actor="growth", now=datetime.now(UTC))
        with open_instance(settings.dagster_home) as instance:
            _measure(traffic, settings, registry, instance)
        registry.close()


def _measure(traffic: Traffic, settings: Settings, registry: Registry, instance: dg.DagsterInstance) -> None:
    definitions, batches = build(settings), traffic.batches
    _land(settings, traffic, batch=0)
    run_here(definitions, "ingest_events", instance)  # what is made once is not counted
    keys = [registry.experiments.find("prod", f"experiment_{at}").partition_key for at in range(traffic.experiments)]
    add_partitions(instance, EXPERIMENTS, keys)
    run_here(definitions, "refresh_experiment", instance, keys[0])

    def ingest() -> None:
        for batch in range(1, batches + 1):
            _land(settings, traffic, batch)
            run_here(definitions, "ingest_events", instance)

    def refresh() -> None:
        for key in keys[1:]:
            run_here(definitions, "refresh_experiment", instance, key)

    objects, events = INGESTION_SECONDS // OBJECT_SECONDS, INGESTION_SECONDS * traffic.events_per_second
    grown = _grown(settings, ingest)
    _tell("ingestion run: Dagster's storage", grown["dagster"] / batches)
    _tell("landing object: one event", grown["landing"] / batches / events)
    _tell("batch: registry, with its objects' rows", grown["registry"] / batches)
    _tell(f"landing object: its row, {objects} a batch", grown["registry"] / batches / objects)
    _tell("batch: Delta log", grown["delta log"] / batches)
    _tell("lake: one event, before compaction", grown["lake"] / batches / events)
    grown = _grown(settings, lambda: run_here(definitions, "compact_lake", instance))
    _tell("compaction run: Dagster's storage", grown["dagster"])
    grown = _grown(settings, refresh)
    _tell("refresh run of one experiment: Dagster's storage", grown["dagster"] / (len(keys) - 1))
    _tell("refresh: registry, with a look at exposures and one at results", grown["registry"] / (len(keys) - 1))
    _tell("artifacts of one experiment, replaced at each refresh", grown["artifacts"] / (len(keys) - 1))
    merged = sum(each.bytes for each in partitions(Lake(settings.lake_dir), datetime.now(UTC)))
    _tell("lake: one event, compacted", merged / (batches + 1) / events)
    grown = _grown(settings, lambda: _tick(instance))
    _tell("sensor tick", grown["dagster"] / TICKS)


def _tick(instance: dg.DagsterInstance) -> None:
    """Record ticks as the daemon records those of a sensor that finds nothing to do."""
    for at in range(TICKS):
        tick = TickData(
            instigator_origin_id="0" * 40,
            instigator_name="refresh_requests",
            instigator_type=InstigatorType.SENSOR,
            status=TickStatus.STARTED,
            timestamp=float(at),
            selector_id="0" * 40,
        )
        started = instance.create_tick(tick)
        reason = "No refresh is requested or due."
        instance.update_tick(started.with_status(TickStatus.SKIPPED, skip_reason=reason, end_timestamp=float(at)))


def _grown(settings: Settings, act: Callable[[], object]) -> dict[str, int]:
    before = _sizes(settings)
    act()
    return {name: size - before[name] for name, size in _sizes(settings).items()}


def _sizes(settings: Settings) -> dict[str, int]:
    with closing(sqlite3.connect(settings.data_dir / "registry.sqlite")) as connection:
        connection.execute("pragma wal_checkpoint(truncate)").fetchall()
    return {
        "dagster": _size(settings.dagster_home, "*"),
        "landing": _size(settings.landing_dir, "*.jsonl.gz"),
        "lake": _size(settings.lake_dir, "*.parquet") - _size(settings.lake_dir, "*checkpoint*.parquet"),
        "delta log": _size(settings.lake_dir, "_delta_log/*"),
        "artifacts": _size(settings.artifacts_dir, "*"),
        "registry": _size(settings.data_dir, "registry.sqlite"),
    }


def _size(folder: Path, pattern: str) -> int:
    """Return what files take on disk, in whole blocks of 4 KiB."""
    return sum(-(-path.stat().st_size // 4096) * 4096 for path in folder.rglob(pattern) if path.is_file())


def _tell(what: str, size: float) -> None:
    print(f"{what:70} {size:12,.1f} bytes")


def _land(settings: Settings, traffic: Traffic, batch: int) -> None:
    """Land what half a minute of traffic brings, as the collector's objects."""
    folder = settings.landing_dir / "events/env_key=prod/2026/03/01/00"
    folder.mkdir(parents=True, exist_ok=True)
    for at in range(INGESTION_SECONDS // OBJECT_SECONDS):
        source = random.Random(f"{batch}-{at}")
        lines = [_event(source, traffic.experiments) for _ in range(OBJECT_SECONDS * traffic.events_per_second)]
        name = f"{stamped(datetime.now(UTC))}{uuid4().hex}.jsonl.gz"  # as the collector names it
        (folder / name).write_bytes(gzip.compress("".join(lines).encode(), compresslevel=1))


def _event(source: random.Random, experiments: int) -> str:
    event, identity = source.choice(EVENTS), source.randrange(IDENTITIES)
    moment = datetime(2026, 3, 1, tzinfo=UTC) + timedelta(milliseconds=source.randrange(86_400_000))
    record: dict[str, object] = {
        "event": event,
        "identifier": f"user-{identity:08}",
        "timestamp": int(moment.timestamp() * 1000),
    }
    if event == EVENTS[0]:
        at = source.randrange(experiments)
        record |= {"feature_name": f"feature-{at}", "value": ("control", "b")[(identity + at) % PAIR]}
    else:
        record["value"] = f"{source.random() * 100:.2f}"
    return json.dumps(record, separators=(",", ":")) + "\n"


def _manifest(experiments: int) -> str:
    """Return a manifest of so many running experiments with three metrics each."""
    one = """
  experiment_{at}:
    hypothesis: It sells more.
    feature: feature-{at}
    status: running
    started_at: 2026-03-01T00:00:00Z
    variants: [{{key: b, percentage_allocation: 50}}]
    metrics:
      - {{metric: bought, expected_direction: increase}}
      - {{metric: spent, expected_direction: increase}}
      - {{metric: searches, expected_direction: increase}}
"""
    return """
environments: {prod: {}}
metrics:
  bought: {aggregation: occurrence, definition: {version: 1, event: purchase}}
  spent: {aggregation: sum, definition: {version: 1, event: purchase}}
  searches: {aggregation: count, definition: {version: 1, event: searched}}
experiments:""" + "".join(one.format(at=at) for at in range(experiments))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events-per-second", type=int, default=1_000)
    parser.add_argument("--batches", type=int, default=20)
    parser.add_argument("--experiments", type=int, default=10)
    given = parser.parse_args()
    main(Traffic(given.events_per_second, given.batches, given.experiments))
