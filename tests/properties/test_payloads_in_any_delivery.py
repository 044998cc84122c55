"""What is computed from the lake does not depend on how its events came or lie (rule X5)."""

import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from experiment_pipeline.domain.analysis import AnalysisScope
from experiment_pipeline.domain.exposures import Window
from experiment_pipeline.domain.measures import Aggregation
from experiment_pipeline.lake.compaction import compact
from experiment_pipeline.lake.ingestion import ingest
from experiment_pipeline.lake.lake import Lake
from experiment_pipeline.warehouse.artifacts import ArtifactStore
from experiment_pipeline.warehouse.duckdb.warehouse import DuckDBWarehouse
from tests.lake.ledger import NOW, PROD, MemoryLedger, exposure, land, record
from tests.metrics import version_1

START = datetime(2026, 1, 20, tzinfo=UTC)  # two months, two partitions
WINDOW = Window(START, START + timedelta(days=21))
METRICS = tuple(
    version_1(id=number, environment_key=PROD, name=kind.value, event=event, aggregation=kind)
    for number, (event, kind) in enumerate(
        [
            ("purchase", Aggregation.SUM),
            ("purchase", Aggregation.OCCURRENCE),
            ("view", Aggregation.COUNT),
            ("rating", Aggregation.MEAN),
        ]
    )
)
Days = dict[int, list[dict[str, object]]]


def events_by_day(seed: int = 7) -> Days:
    """Exposures of 400 identities, some flickering, and their events, by day."""
    draw = random.Random(seed)
    days: Days = {day: [] for day in range(21)}
    for _ in range(6_000):
        day, who = draw.randrange(21), draw.randrange(400)
        at = int((START + timedelta(days=day)).timestamp() * 1000) + draw.randrange(86_400_000)
        variant = draw.choice(["a", "b"]) if who % 50 == 0 else "ab"[who % 2]
        line = (
            exposure(identifier=f"user-{who}", value=variant, timestamp=at)
            if draw.random() < 0.2
            else record(
                event=draw.choice(["purchase", "view", "rating"]),
                identifier=f"user-{who}",
                value=draw.choice([f"{draw.gauss(1e6, 1):.3f}", round(draw.random(), 6), "free"]),
                timestamp=at,
            )
        )
        days[day].append(line)
    return days


def payload(lake: Lake, root: Path, data_version: int | None = None) -> tuple[list[object], pl.DataFrame]:
    """Counts, which must be equal, and aggregates, which may differ in rounding."""
    warehouse = DuckDBWarehouse(lake.connect, lake.event_files, ArtifactStore(root / "artifacts"))
    scope = AnalysisScope("experiment-1", PROD, "checkout", WINDOW, data_version or lake.newest_batch)
    first = warehouse.write_first_exposures(scope)
    aggregates = warehouse.variant_aggregates(scope, METRICS).rows
    counts = [first.identities, first.quarantined, warehouse.exposure_buckets(scope).rows.to_dicts()]
    return [*counts, aggregates.drop("mean", "m2", "largest").to_dicts()], aggregates


def move_up(source: Path, landing: Path, prefix: str) -> None:
    """Let the objects of one delivery land beside those of others."""
    for path in source.rglob("*.jsonl*"):
        target = landing / path.relative_to(source).with_name(f"{prefix}-{path.name}")
        target.parent.mkdir(parents=True, exist_ok=True)
        path.rename(target)


def by_day(landing: Path, days: Days) -> None:
    for day, lines in days.items():
        land(landing, lines, f"{day:02}.jsonl.gz")


def at_once(landing: Path, days: Days) -> None:
    land(landing, [{"events": lines} for lines in days.values()], "all.jsonl")


def twice(landing: Path, days: Days) -> None:
    by_day(landing, days)
    for day, lines in days.items():
        land(landing, [{"events": lines[::-1]}], f"again-{day:02}.jsonl")


def shuffled(landing: Path, days: Days) -> None:
    lines = [line for day in days.values() for line in day]
    random.Random(1).shuffle(lines)
    for part in range(5):
        land(landing, lines[part::5], f"{part}.jsonl.gz")


@pytest.mark.parametrize("threads", [1, 2, 8])
@pytest.mark.parametrize("deliver", [at_once, twice, shuffled, by_day])
def test_payload__however_delivered_compacted_and_on_any_number_of_threads__is_the_same(
    tmp_path: Path, deliver: Callable[[Path, Days], None], threads: int
) -> None:
    days = events_by_day()
    reference, other = Lake(tmp_path / "lake"), Lake(tmp_path / "other", threads=threads)
    by_day(tmp_path / "landing", days)
    ingest(reference, MemoryLedger(), tmp_path / "landing", NOW)
    counts, aggregates = payload(reference, tmp_path)

    ledger = MemoryLedger()
    for part in range(3):  # several batches, several files
        deliver(tmp_path / "other-landing" / f"{part}", {day: days[day] for day in days if day % 3 == part})
        move_up(tmp_path / "other-landing" / f"{part}", tmp_path / "deliveries", f"{part}")
        ingest(other, ledger, tmp_path / "deliveries", NOW)
    for compacted in (False, True):
        if compacted:
            assert compact(other, NOW, whole=True)
        found, moments = payload(other, tmp_path)
        assert found == counts
        for column in ("mean", "m2", "largest"):
            for mine, theirs in zip(moments[column], aggregates[column], strict=True):
                assert mine == pytest.approx(theirs, rel=1e-12)
