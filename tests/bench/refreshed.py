"""How long does a refresh take, and how many can be had? A real daemon over a temporary data directory.

    python -m tests.bench.refreshed [--only request|tick|rate ...]

request   a user's claim, written as the API writes it, until its payload is published; an idle system
tick      the sensor's own time, start to end of submission, with many running experiments: all due, then none
rate      small experiments that fall due at once, until the last is published

Each row says how many processes wanted the processors: all of it is work of theirs, so a busy machine doubles it.
"""

import argparse
import json
import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
from sqlalchemy import func, select, update

from experiment_pipeline.domain.drafts import AttachmentDraft, ExperimentDraft, MetricDraft, VariantDraft
from experiment_pipeline.domain.experiments import ExperimentStatus
from experiment_pipeline.domain.measures import Aggregation
from experiment_pipeline.domain.metrics import ExpectedDirection
from experiment_pipeline.domain.refresh import ClaimOutcome, ClaimSource, Computation
from experiment_pipeline.lake.ingestion import ingest
from experiment_pipeline.lake.lake import Lake
from experiment_pipeline.registry import tables
from experiment_pipeline.registry.engine import reading, writing
from experiment_pipeline.registry.experiments import Experiments
from experiment_pipeline.registry.registry import Registry
from experiment_pipeline.resources.dagster_instance import open_instance
from experiment_pipeline.settings import PREFIX, Settings

REPEATS = 7
MANY = 1_000
USERS = 50  # of the many, with a user who waits: more than one tick takes on
DUE = 400
IDENTITIES = 200
PURCHASE = {"version": 1, "event": "purchase"}
PAYLOAD = {"metrics": [{"metric_id": number, "variants": {"b": {"n": 1000, "sum": 2.5}}} for number in range(50)]}
TIMEOUT_SECONDS = 600
REQUEST_TARGET, TICK_TARGET, RATE_TARGET = 6, 5, 300


@dataclass
class Installation:
    """A data directory of its own, and what runs over it."""

    settings: Settings
    registry: Registry

    def start_experiments(self, count: int) -> list[int]:
        """Start experiments of two variants and one metric, and return their ids."""
        now, ids = datetime.now(UTC), []
        metrics = (AttachmentDraft("bought", ExpectedDirection.INCREASE),)
        with writing(self.registry.engine) as connection:  # one transaction: a thousand would take a minute
            for number in range(count):
                draft = ExperimentDraft(
                    name=f"e{number}",
                    hypothesis="",
                    feature=f"e{number}",
                    variants=(VariantDraft("b", 50.0),),
                    metrics=metrics,
                )
                created = Experiments(connection).create("bench", draft, actor="bench", now=now)
                Experiments(connection).transition(
                    created.id, ExperimentStatus.RUNNING, actor="bench", now=now, at=now - timedelta(hours=6)
                )
                ids.append(created.id)
        return ids

    def land(self, experiments: int) -> None:
        """One object with a small crowd for each experiment, a purchase for every second identity, and ingest it."""
        folder = self.settings.landing_dir / "events" / "env_key=bench" / f"{datetime.now(UTC):%Y/%m/%d/%H}"
        folder.mkdir(parents=True, exist_ok=True)
        at = (datetime.now(UTC) - timedelta(hours=3)).isoformat()
        with (folder / ".bench.jsonl").open("w") as lines:
            for experiment in range(experiments):
                for identity in range(IDENTITIES):
                    event = {"identifier": f"{experiment}-{identity}", "timestamp": at}
                    variant = "b" if identity % 2 else "control"
                    exposure = {"event": "$flag_exposure", "feature_name": f"e{experiment}", "value": variant}
                    lines.write(json.dumps(event | exposure) + "\n")
                    if identity % 4 < 2:
                        lines.write(json.dumps(event | {"event": "purchase", "value": 10}) + "\n")
        (folder / ".bench.jsonl").rename(folder / "bench.jsonl")
        ingest(Lake(self.settings.lake_dir), self.registry.batches, self.settings.landing_dir, datetime.now(UTC))

    def unpublished(self, since: datetime) -> int:
        """Computations that are not younger than a moment."""
        old = tables.computations.c.computed_at
        with reading(self.registry.engine) as connection:
            return connection.scalar(select(func.count()).where(old.is_(None) | (old <= since))) or 0

    def waiting(self) -> int:
        """Claims without an outcome."""
        with reading(self.registry.engine) as connection:
            return connection.scalar(select(func.count()).where(tables.claims.c.outcome.is_(None))) or 0

    def pretend_all_is_fresh(self) -> None:
        """As after a refresh of every experiment."""
        now = datetime.now(UTC)
        with writing(self.registry.engine) as connection:
            version = {
                "as_of": now,
                "computed_at": now,
                "data_version": self.registry.batches.lake_version().data_version,
            }
            connection.execute(update(tables.computations).values(**version, payload=PAYLOAD))
            connection.execute(
                update(tables.claims).values(outcome=ClaimOutcome.PUBLISHED.value, served_by="bench", served_at=now)
            )

    @contextmanager
    def daemon(self) -> Iterator[None]:
        """Dagster's daemon with the shipped dagster.yaml; returns once the sensor ticks."""
        with open_instance(self.settings.dagster_home) as instance:
            ticks_before = len(ticks(instance))
        environment = os.environ | {
            "DAGSTER_HOME": str(self.settings.dagster_home),
            f"{PREFIX}DATA_DIR": str(self.settings.data_dir),
            f"{PREFIX}REGISTRY_URL": self.settings.database_url,
        }
        command = [sys.executable, "-m", "dagster._daemon", "run", "-m", "experiment_pipeline.definitions"]
        with (self.settings.data_dir / "daemon.log").open("ab") as log:
            daemon = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
        try:
            with open_instance(self.settings.dagster_home) as instance:
                wait_until(lambda: len(ticks(instance)) > ticks_before)
            yield
        finally:
            daemon.send_signal(signal.SIGINT)
            daemon.wait(timeout=60)


@contextmanager
def installation() -> Iterator[Installation]:
    """Empty but for an environment and a metric."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        settings = Settings(data_dir=Path(folder), registry_url=None)
        registry, now = Registry.open(settings.database_url), datetime.now(UTC)
        registry.environments.create("bench", "Bench", actor="bench", now=now)
        metric = MetricDraft(name="bought", aggregation=Aggregation.OCCURRENCE, definition=PURCHASE)
        registry.metrics.create("bench", metric, actor="bench", now=now)
        yield Installation(settings, registry)
        registry.close()


def ticks(instance: dg.DagsterInstance) -> list[float]:
    """Seconds that each ended tick of the sensor took, oldest first."""
    return [
        tick.end_timestamp - tick.timestamp
        for state in instance.all_instigator_state()
        if state.instigator_name == "refresh_requests"
        for tick in reversed(instance.get_ticks(state.instigator_origin_id, state.selector_id))
        if tick.end_timestamp is not None
    ]


def wait_until(is_so: Callable[[], bool], pause: float = 0.1) -> None:
    until = time.monotonic() + TIMEOUT_SECONDS
    while not is_so():
        if time.monotonic() > until:
            raise TimeoutError(f"not within {TIMEOUT_SECONDS} s")
        time.sleep(pause)


def measure_request() -> str:
    with installation() as here:
        (experiment_id,) = here.start_experiments(1)
        here.land(1)
        seconds = []
        with here.daemon():
            wait_until(lambda: here.unpublished(datetime.min.replace(tzinfo=UTC)) == 0)
            for _ in range(REPEATS):
                wait_until(lambda: here.waiting() == 0)
                time.sleep(6 + random.uniform(0, 5))  # idle, and at any moment of the daemon's rounds
                asked, started = datetime.now(UTC), time.perf_counter()
                here.registry.claims.create(experiment_id, Computation.RESULTS, ClaimSource.API, asked, timedelta(0))
                wait_until(lambda asked=asked: _is_fresh(here, experiment_id, asked), pause=0.02)  # type: ignore[misc]
                seconds.append(time.perf_counter() - started)
    figure = f"{statistics.median(seconds):.1f} s ({min(seconds):.1f} to {max(seconds):.1f})"
    return row(f"request to fresh payload, median of {REPEATS}", figure, f"{REQUEST_TARGET} s")


def _is_fresh(here: Installation, experiment_id: int, asked: datetime) -> bool:
    computed_at = here.registry.computations.get(experiment_id, Computation.RESULTS).computed_at
    return computed_at is not None and computed_at > asked


def measure_tick() -> list[str]:
    rows = []
    with installation() as here:
        ids = here.start_experiments(MANY)
        for experiment_id in ids[:USERS]:
            asked = datetime.now(UTC)
            here.registry.claims.create(experiment_id, Computation.RESULTS, ClaimSource.API, asked, timedelta(0))
        for what, prepare in (("all due, users waiting", None), ("none due", here.pretend_all_is_fresh)):
            if prepare is not None:
                prepare()
            with open_instance(here.settings.dagster_home) as instance:
                before = len(ticks(instance))
                with here.daemon():
                    wait_until(lambda before=before: len(ticks(instance)) >= before + 6)  # type: ignore[misc]
                took = ticks(instance)[before:]
            longest, median = max(took), statistics.median(took)
            figure = f"{longest:.2f} s (median {median:.2f})"
            rows.append(row(f"longest tick, {MANY:,} running experiments, {what}", figure, f"under {TICK_TARGET} s"))
    return rows


def measure_rate() -> str:
    with installation() as here:
        here.land(DUE)
        with here.daemon():
            started, clock = datetime.now(UTC), time.perf_counter()
            here.start_experiments(DUE)
            wait_until(lambda: here.unpublished(started) == 0)
            minutes = (time.perf_counter() - clock) / 60
    figure = f"{DUE / minutes:.0f} a minute ({DUE} in {60 * minutes:.0f} s)"
    return row("small experiments refreshed", figure, f"{RATE_TARGET} a minute")


def row(what: str, figure: str, target: str) -> str:
    return f"{what}: {figure}; target {target}; {os.getloadavg()[0]:.1f} processes wanted {os.cpu_count()} processors"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=("request", "tick", "rate"), default=("request", "tick", "rate"))
    only = parser.parse_args().only
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that the daemon is stopped as well
    if "request" in only:
        print(measure_request(), flush=True)
    if "tick" in only:
        print("\n".join(measure_tick()), flush=True)
    if "rate" in only:
        print(measure_rate(), flush=True)


if __name__ == "__main__":
    main()
