"""What is computed from the lake does not depend on how its events came or lie (rule X5)."""

import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from experiment_pipeline.domain.analysis import AnalysisScope
from experiment_pipeline.domain.audience import Audience, Dimension
from experiment_pipeline.domain.experiments import CONTROL
from experiment_pipeline.domain.exposures import Window
from experiment_pipeline.domain.measures import Aggregation, Bound, Condition, Events, Measure, MeasureWindow, Operator
from experiment_pipeline.domain.metrics import Funnel, Maturity, Mean, Metric, Quantile, Ratio, Retention, Statistic
from experiment_pipeline.lake.compaction import compact
from experiment_pipeline.lake.ingestion import ingest
from experiment_pipeline.lake.lake import Lake
from experiment_pipeline.warehouse.artifacts import ArtifactStore
from experiment_pipeline.warehouse.duckdb.warehouse import DuckDBWarehouse
from tests.lake.ledger import NOW, PROD, MemoryLedger, exposure, land, record
from tests.metrics import version_1

START = datetime(2026, 1, 20, tzinfo=UTC)  # two months, two partitions
WINDOW = Window(START, START + timedelta(days=21))
LATER = MeasureWindow(timedelta(days=2), timedelta(days=5))
GERMAN = Condition("traits.country", Operator.IS, "DE")
DEAR = Condition("metadata.cart.size", Operator.AT_LEAST, 3)
BOUNDED = {"cap": Bound(percentile=99.5, of_nonzero=True), "floor": Bound(percentile=10)}


def measure(event: str, aggregation: Aggregation, **fields: Any) -> Measure:
    return Measure(Events(event, (GERMAN,) if aggregation is Aggregation.LAST else ()), aggregation, **fields)


STATISTICS: dict[str, Statistic] = {
    **{f"mean of {kind}": Mean(measure("purchase", kind)) for kind in Aggregation},
    **{f"bounded {kind}": Mean(measure("purchase", kind, **BOUNDED)) for kind in (Aggregation.SUM, Aggregation.MEAN)},
    "slices": Mean(measure("purchase", Aggregation.SUM, slice_by="metadata.cart.size")),
    "adjusted": Mean(measure("purchase", Aggregation.SUM, **BOUNDED), covariate_before=timedelta(days=7)),
    "ratio": Ratio(measure("purchase", Aggregation.SUM), measure("view", Aggregation.COUNT)),
    "ratio of who has both": Ratio(measure("rating", Aggregation.MAX, **BOUNDED), measure("view", Aggregation.MIN)),
    "quantile of identities": Quantile(0.9, measure("rating", Aggregation.MEAN)),
    "quantile of events": Quantile(0.75, Events("rating", (DEAR,))),
    "retention": Retention(Measure(Events("view", window=LATER), Aggregation.OCCURRENCE)),
    "funnel": Funnel((Events("view"), Events("rating", (DEAR,)), Events("purchase")), within=timedelta(days=2)),
}
VARIANTS = (CONTROL, "b")
AUDIENCE = Audience(dimensions=(Dimension("country", "country"),))
VERSION_1 = tuple(
    version_1(id=100 + number, environment_key=PROD, name=f"version 1 {kind}", event=event, aggregation=kind)
    for number, (event, kind) in enumerate(
        [
            ("purchase", Aggregation.SUM),
            ("purchase", Aggregation.OCCURRENCE),
            ("view", Aggregation.COUNT),
            ("rating", Aggregation.MEAN),
        ]
    )
)
METRICS = VERSION_1 + tuple(
    Metric(number, PROD, name, statistic, maturity=Maturity.COMPLETE if name == "retention" else Maturity.ALL)
    for number, (name, statistic) in enumerate(STATISTICS.items())
)
(SENSITIVE,) = (each for each in METRICS if each.name == "adjusted")  # with bounds that are percentiles
Days = dict[int, list[dict[str, object]]]
Computed = tuple[list[object], pl.DataFrame]


def events_by_day(seed: int = 7) -> Days:
    """Exposures of 400 identities, some flickering, and their events, by day."""
    draw = random.Random(seed)
    days: Days = {day: [] for day in range(21)}
    for _ in range(6_000):
        day, who = draw.randrange(21), draw.randrange(400)
        at = int((START + timedelta(days=day)).timestamp() * 1000) + draw.randrange(86_400_000)
        variant = draw.choice(VARIANTS) if who % 50 == 0 else VARIANTS[who % 2]
        line = (
            exposure(
                identifier=f"user-{who}",
                value=variant,
                timestamp=at,
                traits={"country": draw.choice(["DE", "AT", None])},
            )
            if draw.random() < 0.2
            else record(
                event=draw.choice(["purchase", "view", "rating"]),
                identifier=f"user-{who}",
                value=draw.choice([f"{draw.gauss(1e6, 1):.3f}", round(draw.random(), 6), "free"]),
                timestamp=at,
                traits={"country": draw.choice(["DE", "AT", None, 5])},
                metadata={"cart": {"size": draw.randrange(6)}},
            )
        )
        days[day].append(line)
    return days


def payload(lake: Lake, root: Path) -> Computed:
    """Counts of exposures and aggregates, computed over a lake."""
    warehouse = DuckDBWarehouse(lake.connect, lake.event_files, ArtifactStore(root / "artifacts"))
    scope = AnalysisScope("experiment-1", PROD, "checkout", WINDOW, lake.newest_batch, audience=AUDIENCE)
    first = warehouse.write_first_exposures(scope)
    counts = [first.identities, first.quarantined, warehouse.exposure_buckets(scope).rows.to_dicts()]
    found = warehouse.variant_aggregates(scope, METRICS, sensitive=SENSITIVE, self_check=True).rows
    assert {"sensitivity"} <= set(found["part"])
    assert found["split_calls"].count() > len(METRICS) / 2
    return counts, found


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


FAST = {(twice, 2), (shuffled, 8)}
CASES = [
    pytest.param(deliver, threads, marks=() if (deliver, threads) in FAST else pytest.mark.slow)
    for deliver in (at_once, twice, shuffled, by_day)
    for threads in (1, 2, 8)
]


@pytest.fixture(scope="module")
def days() -> Days:
    return events_by_day()


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory, days: Days) -> Computed:
    """Counts and aggregates of one batch, an object for each day."""
    root = tmp_path_factory.mktemp("one-batch")
    lake = Lake(root / "lake")
    by_day(root / "landing", days)
    ingest(lake, MemoryLedger(), root / "landing", NOW)
    return payload(lake, root)


@pytest.mark.parametrize(("deliver", "threads"), CASES)
def test_payload__however_delivered_compacted_and_on_any_number_of_threads__is_the_same(
    tmp_path: Path, days: Days, expected: Computed, deliver: Callable[[Path, Days], None], threads: int
) -> None:
    counts, aggregates = expected
    lake, ledger = Lake(tmp_path / "lake", threads=threads), MemoryLedger()
    for part in range(3):  # several batches, several files
        deliver(tmp_path / "landing" / f"{part}", {day: days[day] for day in days if day % 3 == part})
        move_up(tmp_path / "landing" / f"{part}", tmp_path / "deliveries", f"{part}")
        ingest(lake, ledger, tmp_path / "deliveries", NOW)
    for compacted in (False, True):
        if compacted:
            assert compact(lake, NOW, whole=True)
        found, others = payload(lake, tmp_path)
        assert found == counts
        assert_frame_equal(others, aggregates, check_exact=True)
