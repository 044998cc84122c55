"""An installation whose registry has published looks, made by the stores and functions that publish them elsewhere."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl

from experiment_pipeline.domain.aggregates import MetricAggregates
from experiment_pipeline.domain.experiments import Experiment
from experiment_pipeline.domain.exposures import ExposureBucket, Granularity, summarise_exposures
from experiment_pipeline.domain.floors import Floors
from experiment_pipeline.domain.looks import Movement
from experiment_pipeline.domain.refresh import Computation, Publication
from experiment_pipeline.registry.registry import Registry
from experiment_pipeline.results.compute import compute_results
from experiment_pipeline.results.decision import decide_experiment
from experiment_pipeline.results.payload import exposures_payload, results_payload
from experiment_pipeline.results.published_tables import PUBLISHED_TABLES
from experiment_pipeline.schemas.manifests import parse_manifest
from experiment_pipeline.tables.writer import LookTables, TableWrite
from tests.conftest import make_registry
from tests.results.subjects import rate

START = datetime(2026, 3, 1, tzinfo=UTC)
HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)
LONG = "Ж\u202e<svg onload=alert(1)>=1+1|`" + "\U0001f600" * 1_900
MANIFEST = """
environments: {prod: {}}
metrics:
  "=bought | <b>\u202e": {aggregation: occurrence, definition: {version: 1, event: purchase}}
  spent: {aggregation: occurrence, definition: {version: 1, event: spent}}
experiments:
  checkout: &experiment
    hypothesis: It sells more.
    feature: FEATURE
    status: running
    started_at: 2026-03-01T00:00:00Z
    variants: [{key: b, percentage_allocation: 40}, {key: "LONG", percentage_allocation: 30}]
    metrics:
      - {metric: "=bought | <b>\u202e", expected_direction: increase}
      - {metric: spent, expected_direction: increase}
  banner: {<<: *experiment, feature: banner}
""".replace("FEATURE", '"' + "f" * 1_990 + '"').replace("LONG", LONG)
FINDING = {
    "check": "late_events", "code": "many_late", "severity": "warning", "title": "Many events come late",
    "detail": "3 of 4.", "evidence": {"share": 0.75, "\u202eвариант\u0000": LONG},
}  # fmt: skip
PASSED = FINDING | {"check": "split", "code": "even", "severity": "ok"}


@dataclass
class Looks:
    """The registry and tables below one folder."""

    folder: Path
    registry: Registry

    @classmethod
    def make(cls, folder: Path) -> "Looks":
        opened = cls.open(folder, make_registry(folder / "registry.sqlite"))
        opened.registry.manifests.apply(parse_manifest(MANIFEST), actor="test", now=START)
        return opened

    @classmethod
    def open(cls, folder: Path, url: str | None = None) -> "Looks":
        return cls(folder, Registry.open(url or f"sqlite:///{folder / 'registry.sqlite'}"))

    @property
    def tables(self) -> LookTables:
        return LookTables(self.folder / "tables", self.registry.table_outbox)

    def experiment(self, key: str = "checkout") -> Experiment:
        return self.registry.experiments.find("prod", key)

    def publish(
        self,
        number: int,
        key: str = "checkout",
        order: Sequence[Computation] = (Computation.EXPOSURES, Computation.RESULTS),
    ) -> None:
        """Publish the exposures and results of an hour."""
        experiment, at = self.experiment(key), START + number * HOUR
        run = self.registry.runs.open(
            experiment.id, f"{key}-{number}-{order[0]}-{len(order)}", at, HOUR, data_version=number
        )
        payloads = {Computation.EXPOSURES: exposures(number), Computation.RESULTS: results(experiment, number)}
        for computation in order:
            publication = Publication(run, computation, payloads[computation], "0123456789ab", at, HOUR)
            if computation is Computation.RESULTS:
                publication = replace(publication, findings=[PASSED, FINDING])
            self.registry.computations.publish(publication)
        self.registry.runs.release_lease(run)

    def write(self, minutes: float = 0) -> TableWrite:
        """Write what waits, so long after the first look."""
        return self.tables.write(START + HOUR + minutes * MINUTE)


def results(experiment: Experiment, number: int) -> Mapping[str, Any]:
    arms = {variant.key or "": rate(1000 * number, 100 * number + at) for at, variant in enumerate(experiment.variants)}
    counts = {key: each.n for key, each in arms.items()}
    computed = compute_results(
        experiment, counts, [MetricAggregates(each.metric.id, dict(arms)) for each in experiment.metrics], Floors()
    )
    found = {name: FINDING[name] for name in ("check", "code", "severity", "title")}
    movement = Movement(
        number=number,
        previous_as_of=None if number == 1 else START + (number - 1) * HOUR,
        new_identities=1000,
        late_events=number,
    )
    payload: Any = results_payload(computed, movement, decide_experiment(experiment, computed), [found])  # type: ignore[list-item]
    return payload  # type: ignore[no-any-return]


def exposures(number: int) -> Mapping[str, Any]:
    """Each hour brings b, and the second also a variant that nobody declared, whose name has a null character."""
    buckets = [ExposureBucket(START + hour * HOUR, "b", False, 10 + hour) for hour in range(number)]
    buckets += [ExposureBucket(START + HOUR, f"{LONG}\0", False, 3)] if number > 1 else []
    return exposures_payload(summarise_exposures(buckets, Granularity.HOUR))


def read(folder: Path, name: str) -> pl.DataFrame:
    """Return a table as any reader of Delta finds it, in the order of its key."""
    (table,) = (each for each in PUBLISHED_TABLES if each.name == name)
    return pl.read_delta(str(folder / "tables" / name)).sort(table.key)


def content(folder: Path, name: str) -> list[dict[str, Any]]:
    """Return the rows of a table."""
    return read(folder, name).to_dicts()


def contents(folder: Path) -> dict[str, list[dict[str, Any]]]:
    """Return the rows of every table."""
    return {table.name: content(folder, table.name) for table in PUBLISHED_TABLES}
